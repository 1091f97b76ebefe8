//! Pure: the rules of fleet provisioning that a test may change.

use std::time::Duration;

/// The rules of fleet provisioning. The default is AWS as documented.
#[derive(Clone, Debug)]
pub struct ProvisioningLimits {
    /// How long an ownership token is valid, on the cloud's clock. A certificate that was not registered until then is
    /// deleted.
    pub token_lifetime: Duration,
}

impl Default for ProvisioningLimits {
    fn default() -> ProvisioningLimits {
        ProvisioningLimits {
            token_lifetime: Duration::from_secs(3600),
        }
    }
}
