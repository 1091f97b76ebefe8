//! Pure: the rules of fleet provisioning that a test may move.

use std::time::Duration;

/// The rules of fleet provisioning. The default is AWS as documented.
#[derive(Clone, Debug)]
pub struct ProvisioningLimits {
    /// How long an ownership token is good, on the cloud's clock. A certificate that nobody has registered until then is
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
