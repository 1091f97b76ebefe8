//! Why provisioning failed.

use std::fmt;

/// The reason, in the words of the log.
#[derive(Debug)]
pub enum ProvisioningError {
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
    Malformed(String),
    /// The new certificate was not good for a connection.
    Trial(Box<ProvisioningError>),
    /// Disk, memory, the machine.
    Other(anyhow::Error),
}

impl ProvisioningError {
    /// Whether another claim certificate may do better.
    pub fn rotates(&self) -> bool {
        match self {
            ProvisioningError::Connection { rotate, .. } => *rotate,
            ProvisioningError::Denied(_)
            | ProvisioningError::Rejected { .. }
            | ProvisioningError::Silent(_)
            | ProvisioningError::Malformed(_) => true,
            ProvisioningError::Trial(_) | ProvisioningError::Other(_) => false,
        }
    }
}

impl ProvisioningError {
    /// Whether the cloud will refuse the same request again: its quota and its own faults pass.
    pub fn is_final(&self) -> bool {
        matches!(self, ProvisioningError::Rejected { status, .. } if (400..500).contains(status) && *status != 429)
    }
}

impl From<anyhow::Error> for ProvisioningError {
    fn from(error: anyhow::Error) -> ProvisioningError {
        ProvisioningError::Other(error)
    }
}

impl fmt::Display for ProvisioningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProvisioningError::Connection { failures, .. } => write!(
                f,
                "no connection with the claim certificate, {failures} failures in a row"
            ),
            ProvisioningError::Denied(why) => write!(f, "not allowed: {why}"),
            ProvisioningError::Rejected {
                status,
                code,
                message,
            } => write!(f, "the cloud refuses: {status} {code}: {message}"),
            ProvisioningError::Silent(what) => f.write_str(what),
            ProvisioningError::Malformed(why) => {
                write!(f, "the cloud's answer is malformed: {why}")
            }
            ProvisioningError::Trial(why) => write!(f, "the new certificate does not work: {why}"),
            ProvisioningError::Other(error) => write!(f, "{error:#}"),
        }
    }
}
