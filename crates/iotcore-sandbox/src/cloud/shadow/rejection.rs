//! Pure: why a request is rejected, with AWS's codes and messages. Devices should look at the code only.

use std::fmt;

use super::name::ShadowName;

/// A rejected request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowRejection {
    pub code: u16,
    pub message: String,
}

impl ShadowRejection {
    pub(super) fn new(code: u16, message: impl Into<String>) -> ShadowRejection {
        ShadowRejection {
            code,
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> ShadowRejection {
        ShadowRejection::new(400, message)
    }

    pub(super) fn no_shadow(name: &ShadowName) -> ShadowRejection {
        ShadowRejection::new(404, format!("No shadow exists with name: '{name}'"))
    }

    /// A rejection with this code and AWS's message for it.
    pub(super) fn of_code(code: u16) -> ShadowRejection {
        let message = match code {
            400 => "Invalid JSON",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Thing not found",
            409 => "Version conflict",
            413 => "The payload exceeds the maximum size allowed",
            // The grammar is AWS's.
            415 => "Unsupported documented encoding; supported encoding is UTF-8",
            429 => "Too many requests",
            _ => "Internal service failure",
        };
        ShadowRejection::new(code, message)
    }
}

impl fmt::Display for ShadowRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

impl std::error::Error for ShadowRejection {}
