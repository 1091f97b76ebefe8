//! Why provisioning did not come to its end.

use std::fmt;

/// The reason, in the words of the log.
#[derive(Debug)]
pub enum Failed {
    /// No connection with the claim certificate. `rotate`: another one is worth a try.
    Connection { failures: u32, rotate: bool },
    /// The policy does not allow it.
    Denied(String),
    /// The provisioning service refuses.
    Rejected {
        status: u64,
        code: String,
        message: String,
    },
    /// No answer; what became of the request is not known.
    Silent(String),
    /// An answer that makes no sense.
    Nonsense(String),
    /// The new certificate was not good for a connection.
    Trial(Box<Failed>),
    /// Disk, memory, the machine.
    Other(anyhow::Error),
}

impl Failed {
    /// Whether another claim certificate may do better.
    pub fn rotates(&self) -> bool {
        match self {
            Failed::Connection { rotate, .. } => *rotate,
            Failed::Denied(_)
            | Failed::Rejected { .. }
            | Failed::Silent(_)
            | Failed::Nonsense(_) => true,
            Failed::Trial(_) | Failed::Other(_) => false,
        }
    }
}

impl Failed {
    /// Whether the cloud will refuse the same request again: its quota and its own faults pass.
    pub fn is_final(&self) -> bool {
        matches!(self, Failed::Rejected { status, .. } if (400..500).contains(status) && *status != 429)
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Failed {
        Failed::Other(error)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Connection { failures, .. } => write!(
                f,
                "no connection with the claim certificate, {failures} failures in a row"
            ),
            Failed::Denied(why) => write!(f, "not allowed: {why}"),
            Failed::Rejected {
                status,
                code,
                message,
            } => write!(f, "the cloud refuses: {status} {code}: {message}"),
            Failed::Silent(what) => f.write_str(what),
            Failed::Nonsense(why) => write!(f, "the cloud's answer makes no sense: {why}"),
            Failed::Trial(why) => write!(f, "the new certificate does not work: {why}"),
            Failed::Other(error) => write!(f, "{error:#}"),
        }
    }
}
