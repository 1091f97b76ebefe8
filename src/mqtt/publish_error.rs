//! Pure: whether there is a connection, and why a publish was not acknowledged.

/// Whether there is a connection. The number distinguishes one connection from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Down,
    Up(u64),
}

/// Why a publish was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// Says nothing about whether the broker got it: the caller still has the message and may send
    /// it again. `Some`: the broker ended the connection, perhaps because of this message.
    Disconnected { blame: Option<PossibleCause> },
    /// The broker answered with a refusal. `accepted`: how many messages it has accepted until
    /// then, so whoever is refused twice can see whether others were accepted in between.
    Refused {
        reason: String,
        refusal: RefusalClass,
        accepted: u64,
    },
}

/// How a message stands to the end of a connection that the broker may have ended because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossibleCause {
    /// Nothing else was on its way.
    pub alone: bool,
    /// It was the oldest on its way: a broker that answers in order ended it over this one.
    pub oldest: bool,
    /// How many messages the broker has accepted until then.
    pub accepted: u64,
}

/// What a refusal says about the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// The same message will be refused again.
    Permanent,
    /// The same message may be accepted later.
    Passing,
    /// We send too much: every message may be refused until we send less.
    Quota,
}
