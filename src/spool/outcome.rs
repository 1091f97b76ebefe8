//! Pure: the words in which a queue and its owner talk about a request.

use std::time::Duration;

use super::Name;

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Carried out.
    Delivered,
    /// Refused by the broker; the same request may be accepted later. `quota`: so may others, when
    /// less is sent.
    Undelivered { reason: String, quota: bool },
    /// Refused by the broker for good.
    Denied(String),
    /// The connection was lost. `suspect`: the broker ended it, perhaps because of this request.
    Interrupted { suspect: bool },
    /// Not even sent: can never be accepted.
    Unusable(String),
    /// Something local was short (memory, file descriptors): nothing is known about the request.
    Postponed(String),
    /// The file is gone.
    Vanished,
}

/// What to do with the file of a request whose attempt has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposal {
    Remove,
    MoveToFailed {
        reason: String,
        attempts: u32,
    },
    /// It stays in `new/` and waits for another attempt, after this pause.
    Keep {
        pause: Duration,
    },
    /// Nothing is there to be disposed of.
    Forget,
}

/// Whether a request can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing waits, or it has to go on waiting.
    Nothing,
    Together,
    /// Only while nothing else flies on the connection: the request is suspected to be the reason
    /// why the broker ended one.
    Alone,
}

/// A request that is to be carried out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    pub name: Name,
    pub prioritised: bool,
}
