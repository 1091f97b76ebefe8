//! The handle of a test on access keys, the credential provider, and the clock of signatures.

use std::path::Path;

use super::{AccessKey, CredentialFault};
use crate::policy::Deny;
use crate::sandbox::Sandbox;

impl Sandbox {
    /// Replaces what is denied to clients with this identity: the id of an access key, the role alias of a temporary one,
    /// or what an [`Authorizer`](crate::Authorizer) says. Takes effect on the next packet.
    pub fn identity_policy(&self, identity: &str, deny: Vec<Deny>) {
        self.certificate_policy(identity, deny);
    }

    /// Adds an access key, or replaces the one with this id. See [`Builder::access_key`](crate::Builder::access_key).
    pub fn add_access_key(&self, id: &str, secret: &str, session_token: Option<&str>) {
        let key = AccessKey::new(id, secret, session_token);
        self.access().keys().add(key);
    }

    /// Adds the access key in this file of AWS's format, as `~/.aws/credentials`, or makes the file with a new key if
    /// there is none. Returns the key's id.
    pub fn keep_access_key(&self, file: &Path) -> anyhow::Result<String> {
        let key = AccessKey::kept(file)?;
        let id = key.id.clone();
        self.access().keys().add(key);
        Ok(id)
    }

    /// Removes this access key: new upgrades with it are refused.
    pub fn remove_access_key(&self, id: &str) {
        self.access().keys().remove(id);
    }

    /// Adds to the end of the fault script of the credential provider.
    pub fn credential_fault(&self, fault: CredentialFault) {
        self.access().credential_faults().add(fault);
    }

    /// Empties the fault script of the credential provider.
    pub fn clear_credential_faults(&self) {
        self.access().credential_faults().clear();
    }

    /// Sets how many seconds the clock that checks signatures and writes `Date` is ahead of this machine's.
    pub fn clock_skew(&self, seconds: i64) {
        self.access().set_skew(seconds);
    }
}
