//! Pure: the pre-provisioning hook, with which the owner of a fleet allows or denies each registration.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a hook is called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRequest {
    /// The certificate with which the device is connected.
    pub claim_certificate_id: String,
    /// The certificate that it registers with.
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
    /// With these values added to the parameters, or replacing them.
    AllowWith(BTreeMap<String, String>),
    /// The device is answered 403, as AWS does too when a hook fails, takes longer than 5 seconds, or returns something
    /// invalid.
    Deny,
}

/// Called with the sandbox locked: it must not call the sandbox.
pub(super) type Hook = Arc<dyn Fn(&HookRequest) -> HookAnswer + Send + Sync>;
