//! The status of certificates, shared by the handle, the services and the connections.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// Whether a device certificate may connect: only an active one may. A certificate whose status
/// was never set is active, and all statuses are lost when the sandbox ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStatus {
    Active,
    Inactive,
    Revoked,
    /// Issued to a device that has not registered a thing with it.
    PendingActivation,
    /// Its device did not register in time. It is unknown to the cloud now.
    Deleted,
}

/// Which certificates may connect.
#[derive(Clone, Default)]
pub(crate) struct Statuses(Arc<Mutex<HashMap<String, CertificateStatus>>>);

impl Statuses {
    pub(crate) fn of(&self, id: &str) -> CertificateStatus {
        let known = self.known().get(id).copied();
        known.unwrap_or(CertificateStatus::Active)
    }

    pub(crate) fn set(&self, id: &str, status: CertificateStatus) {
        self.known().insert(id.to_owned(), status);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, CertificateStatus>> {
        self.0
            .lock()
            .expect("no thread panics while it holds this lock")
    }
}

/// Which certificates are claim certificates.
#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<String>>>);

impl Claims {
    pub(crate) fn contain(&self, id: &str) -> bool {
        self.known().contains(id)
    }

    pub(crate) fn add(&self, id: &str) {
        self.known().insert(id.to_owned());
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0
            .lock()
            .expect("no thread panics while it holds this lock")
    }
}
