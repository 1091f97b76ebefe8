//! Pure: what is recorded about shadows.

use std::fmt;

use super::name::{ShadowName, ShadowOperation};

/// A request to a shadow, or something that the cloud published about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowEvent {
    pub name: ShadowName,
    pub kind: ShadowKind,
    /// Who sent the request that it belongs to; `None` for an operator, who does not use MQTT.
    pub client_id: Option<String>,
    /// The client token in the message.
    pub token: Option<String>,
    /// The version in the message: the one that a request expects, or that an answer gives.
    pub version: Option<u64>,
    /// How many requests of devices to this thing are unanswered now, this request included and this answer not.
    pub in_flight: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowKind {
    /// A request arrived.
    Request(ShadowOperation),
    Accepted(ShadowOperation),
    /// Rejected with this code.
    Rejected(ShadowOperation, u16),
    Delta,
    Documents,
    /// The fault script ignores the request: it is neither carried out nor answered.
    Ignored(ShadowOperation),
    /// The fault script withholds this answer.
    Withheld(ShadowOperation),
    /// A garbled answer was published.
    Garbled(ShadowOperation),
    /// An earlier delta was published again.
    StaleDelta,
}

impl fmt::Display for ShadowEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shadow {}: {}", self.name, self.kind)?;
        if let Some(version) = self.version {
            write!(f, ", version {version}")?;
        }
        if let Some(token) = &self.token {
            write!(f, ", token {token:?}")?;
        }
        write!(f, ", {} in flight", self.in_flight)?;
        match &self.client_id {
            Some(client) => write!(f, " (for {client})"),
            None => write!(f, " (for an operator)"),
        }
    }
}

impl fmt::Display for ShadowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShadowKind::Request(operation) => write!(f, "{} requested", operation.word()),
            ShadowKind::Accepted(operation) => write!(f, "{} accepted", operation.word()),
            ShadowKind::Rejected(operation, code) => {
                write!(f, "{} rejected with {code}", operation.word())
            }
            ShadowKind::Delta => write!(f, "delta"),
            ShadowKind::Documents => write!(f, "documents"),
            ShadowKind::Ignored(operation) => write!(f, "{} ignored", operation.word()),
            ShadowKind::Withheld(operation) => write!(f, "{} not answered", operation.word()),
            ShadowKind::Garbled(operation) => write!(f, "{} garbled", operation.word()),
            ShadowKind::StaleDelta => write!(f, "stale delta"),
        }
    }
}
