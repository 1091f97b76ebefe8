//! The handle with which a test watches and controls fleet provisioning, as the owner of the fleet does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::ProvisioningFault;
use super::registry::ProvisionedCertificate;
use super::service::Provisioner;
use super::template::Template;
use super::topic::ProvisioningOperation;
use crate::journal::Journal;
use crate::pki::CertificateKind;

/// What fleet provisioning has done, and what it does next. It may be cloned and used from any thread.
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
        self.provisioner.handler().registrar.certificates()
    }

    /// Those with which a device has registered as a thing.
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
            // Read first: what changes from here on is recorded after it.
            let seen = self.journal.last();
            let registered = self.registered();
            if registered.len() >= count || !self.journal.wait_beyond(seen, until) {
                return registered;
            }
        }
    }

    /// How many requests of this kind have arrived, whatever their outcome.
    pub fn requests(&self, operation: ProvisioningOperation) -> usize {
        self.provisioner.handler().requests(operation)
    }

    /// Adds this template, or replaces the one of the same name.
    pub fn template(&self, template: Template) {
        let templates = &mut self.provisioner.handler().registrar.templates;
        templates.insert(template.name.clone(), template);
    }

    /// Removes this template.
    pub fn remove_template(&self, name: &str) {
        self.provisioner.handler().registrar.templates.remove(name);
    }

    /// From now on certificates are issued like this. For some of them only:
    /// [`ProvisioningTrouble::Issue`](super::ProvisioningTrouble::Issue).
    pub fn issue(&self, kind: CertificateKind) {
        self.provisioner.handler().kind = kind;
    }

    /// Adds to the end of the fault script.
    pub fn fault(&self, fault: ProvisioningFault) {
        self.provisioner.handler().script.add(fault);
    }

    /// Empties the fault script. Answers that are delayed already are still published.
    pub fn clear_faults(&self) {
        self.provisioner.handler().script.clear();
    }
}
