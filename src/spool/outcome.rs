//! Pure: the words in which a queue and its owner talk about a request.

use std::time::Duration;

use super::Name;

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Carried out.
    Delivered,
    /// Refused by the broker. Whether that is the fault of the request is for the queue to find out.
    Refused(Refusal),
    /// Refused for good by the one whom it was for: to ask again cannot change it.
    Denied(String),
    /// The connection was lost. `Some`: the broker ended it, perhaps because of this request.
    Interrupted { blame: Option<Blame> },
    /// Not even sent: can never be accepted.
    Unusable(String),
    /// Something local was short (memory, file descriptors): nothing is known about the request.
    Postponed(String),
    /// The file is gone.
    Vanished,
}

/// The broker's refusal of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    pub kind: RefusalKind,
    /// How many requests the broker had accepted by then, of all directories.
    pub accepted: u64,
}

/// What a refusal says about the request, if the broker accepts others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// It will be refused again.
    Permanent,
    /// It may be accepted later.
    Passing,
    /// Nothing: the broker was sent too much.
    Quota,
}

/// The broker ended a connection on which the request was unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Nothing else was unanswered.
    pub alone: bool,
    /// It was the oldest of those that were: a broker that answers in order ended it over this one.
    pub oldest: bool,
    /// How many requests the broker had accepted by then, of all directories.
    pub accepted: u64,
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
    /// Only while nothing of others is on the connection: it is one of those that may be the reason
    /// why the broker ended one, or a probe.
    Alone,
}

/// A request that is to be carried out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRequest {
    pub name: Name,
    pub prioritised: bool,
    /// Somebody has refused it before.
    pub refused_before: bool,
}
