//! Fleet provisioning in the hands of a test, which is the owner of the fleet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::ProvisioningFault;
use super::registry::ProvisionedCertificate;
use super::service::Provisioner;
use super::template::Template;
use super::topic::ProvisioningOperation;
use crate::journal::Journal;
use crate::pki::CertificateKind;

/// What fleet provisioning has done, and how it goes on. It may be cloned and used from any thread.
#[derive(Clone)]
pub struct Provisioning {
    provisioner: Provisioner,
    journal: Arc<Journal>,
}

impl Provisioning {
    pub(crate) fn new(provisioner: Provisioner, journal: Arc<Journal>) -> Provisioning {
        Provisioning {
            provisioner,
            journal,
        }
    }

    /// Every certificate that was issued to a device, in order, registered or not.
    pub fn certificates(&self) -> Vec<ProvisionedCertificate> {
        self.provisioner.desk().office.certificates()
    }

    /// Those with which a device has become a thing.
    pub fn registered(&self) -> Vec<ProvisionedCertificate> {
        let mut all = self.certificates();
        all.retain(|certificate| certificate.registered.is_some());
        all
    }

    /// Waits until at least `count` certificates are registered, or the time is up: all that are registered then.
    pub fn wait_for_registered(
        &self,
        count: usize,
        limit: Duration,
    ) -> Vec<ProvisionedCertificate> {
        let until = Instant::now() + limit;
        loop {
            // Asked first: what changes from here on is recorded after it.
            let seen = self.journal.last();
            let registered = self.registered();
            if registered.len() >= count || !self.journal.wait_beyond(seen, until) {
                return registered;
            }
        }
    }

    /// How many requests of this kind have come, whatever became of them.
    pub fn requests(&self, operation: ProvisioningOperation) -> usize {
        self.provisioner.desk().requests(operation)
    }

    /// Adds this template, or puts it in the place of the one of the same name.
    pub fn template(&self, template: Template) {
        let templates = &mut self.provisioner.desk().office.templates;
        templates.insert(template.name.clone(), template);
    }

    /// There is no such template any more.
    pub fn remove_template(&self, name: &str) {
        self.provisioner.desk().office.templates.remove(name);
    }

    /// From now on certificates are issued like this. For some of them only:
    /// [`ProvisioningTrouble::Issue`](super::ProvisioningTrouble::Issue).
    pub fn issue(&self, kind: CertificateKind) {
        self.provisioner.desk().kind = kind;
    }

    /// From now on this goes wrong, after what was to go wrong before.
    pub fn fault(&self, fault: ProvisioningFault) {
        self.provisioner.desk().script.add(fault);
    }

    /// Nothing goes wrong any more, but for late answers, which still come.
    pub fn clear_faults(&self) {
        self.provisioner.desk().script.clear();
    }
}
