//! Pure: what is recorded about shadows.

use std::fmt;

use super::name::{ShadowName, ShadowOperation};

/// A request to a shadow, or something that the cloud published about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowEvent {
    pub name: ShadowName,
    pub kind: ShadowKind,
    /// Whose request it is, or led to it; `None` for an operator, who does not come over MQTT.
    pub client_id: Option<String>,
    /// The client token in the message.
    pub token: Option<String>,
    /// The version in the message: the one that a request insists on, or that an answer tells.
    pub version: Option<u64>,
    /// How many requests of devices to this thing are not answered: after an answer, and including a request.
    pub in_flight: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowKind {
    /// A request came.
    Request(ShadowOperation),
    Accepted(ShadowOperation),
    /// Refused with this code.
    Rejected(ShadowOperation, u16),
    Delta,
    Documents,
    /// It was neither carried out nor will it be answered, says the fault script.
    Ignored(ShadowOperation),
    /// This is the answer that will not be given, says the fault script.
    Withheld(ShadowOperation),
    /// Something was published instead of the answer.
    Garbled(ShadowOperation),
    /// A delta was published that is not of now.
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
            ShadowKind::Request(operation) => write!(f, "{} asked", operation.word()),
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
