//! Pure: the pre-provisioning hook, with which the owner of a fleet has the last word.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a hook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRequest {
    /// The certificate with which the device is connected.
    pub claim_certificate_id: String,
    /// The certificate that it would become a thing with.
    pub certificate_id: String,
    pub certificate_pem: String,
    pub template: String,
    pub client_id: String,
    pub parameters: BTreeMap<String, String>,
}

/// What a hook decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    Allow,
    /// With these values in the place of what the device said, or in addition.
    AllowWith(BTreeMap<String, String>),
    /// The device is told 403; as it is when a hook fails, takes longer than 5 seconds, or says what AWS does not
    /// understand.
    Deny,
}

/// Called with the sandbox locked: it must not call the sandbox.
pub(super) type Hook = Arc<dyn Fn(&HookRequest) -> HookAnswer + Send + Sync>;
