//! Pure: why a request is rejected. The format is AWS's, and so are the documented codes; the others are guesses, so
//! devices should look at the status only.

use std::fmt;

use serde_json::{Value, json};

/// A rejected request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisioningRejection {
    /// An HTTP status code.
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl ProvisioningRejection {
    pub fn new(
        status: u16,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> ProvisioningRejection {
        ProvisioningRejection {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// Too many requests of this kind in the account: 429.
    pub fn throttled() -> ProvisioningRejection {
        ProvisioningRejection::new(429, "Throttling", "Rate exceeded")
    }

    /// The pre-provisioning hook denied it, or returned something invalid: 403.
    pub fn access_denied() -> ProvisioningRejection {
        ProvisioningRejection::new(403, "AccessDenied", "Access Denied")
    }

    /// The cloud has failed: 500.
    pub fn internal_failure() -> ProvisioningRejection {
        ProvisioningRejection::new(500, "InternalFailure", "An unexpected error has occurred.")
    }

    pub(super) fn token(message: impl Into<String>) -> ProvisioningRejection {
        ProvisioningRejection::new(400, "InvalidCertificateOwnershipToken", message)
    }

    pub(super) fn request(message: impl Into<String>) -> ProvisioningRejection {
        ProvisioningRejection::new(400, "InvalidRequest", message)
    }

    pub(super) fn csr(message: impl fmt::Display) -> ProvisioningRejection {
        let message = format!("Invalid certificate signing request: {message}.");
        ProvisioningRejection::new(400, "InvalidCSR", message)
    }

    pub(super) fn parameters(message: impl Into<String>) -> ProvisioningRejection {
        ProvisioningRejection::new(400, "InvalidParameters", message)
    }

    pub(super) fn template(message: impl Into<String>) -> ProvisioningRejection {
        ProvisioningRejection::new(400, "InvalidTemplate", message)
    }

    pub(super) fn no_template(name: &str) -> ProvisioningRejection {
        let message = format!("Provisioning template '{name}' not found.");
        ProvisioningRejection::new(404, "ResourceNotFound", message)
    }

    pub(super) fn known_thing(name: &str) -> ProvisioningRejection {
        let message = format!("Thing '{name}' exists already.");
        ProvisioningRejection::new(409, "ResourceConflict", message)
    }

    pub(super) fn content(&self) -> Value {
        json!({
            "statusCode": self.status,
            "errorCode": self.code,
            "errorMessage": self.message,
        })
    }
}

impl fmt::Display for ProvisioningRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for ProvisioningRejection {}
