//! Pure: the certificates that were issued to devices, the tokens that prove who owns one, and the things registered with
//! them.

use std::collections::BTreeMap;
use std::time::Instant;

use super::rejection::ProvisioningRejection;
use super::topic::ProvisioningOperation;
use crate::pki::CertificateStatus;

/// A certificate that fleet provisioning has issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisionedCertificate {
    pub id: String,
    pub certificate_pem: String,
    /// Which request issued it: for a key pair of the cloud, or for a key of the device.
    pub made_by: ProvisioningOperation,
    /// Who requested it.
    pub client_id: String,
    /// The certificate with which that client was connected.
    pub claim_certificate_id: String,
    /// Its status now.
    pub status: CertificateStatus,
    /// The thing that was registered with it.
    pub registered: Option<RegisteredThing>,
}

impl ProvisionedCertificate {
    /// The name of the thing that was registered with it.
    pub fn thing(&self) -> Option<&str> {
        let registered = self.registered.as_ref();
        registered.map(|registered| registered.thing.as_str())
    }
}

/// A thing that a device has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredThing {
    pub thing: String,
    pub template: String,
    /// The device's parameters, with the defaults of the template and the changes of its hook.
    pub parameters: BTreeMap<String, String>,
}

/// A certificate with its token.
pub(super) struct Entry {
    pub certificate: ProvisionedCertificate,
    pub token: String,
    pub expires: Instant,
    /// It was registered, or has expired: it is not waited for any more.
    pub settled: bool,
}

/// All certificates, in the order in which they were issued.
#[derive(Default)]
pub(super) struct Registry(Vec<Entry>);

impl Registry {
    pub(super) fn add(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// The certificate of this token.
    pub(super) fn owned(&self, token: &str, now: Instant) -> Result<&Entry, ProvisioningRejection> {
        match self.0.iter().find(|entry| entry.token == token) {
            None => Err(ProvisioningRejection::token(
                "Certificate ownership token is invalid.",
            )),
            Some(entry) if entry.expires <= now => Err(ProvisioningRejection::token(
                "Certificate ownership token has expired.",
            )),
            Some(entry) => Ok(entry),
        }
    }

    /// Notes that a device has registered this thing with this certificate.
    pub(super) fn register(&mut self, id: &str, thing: RegisteredThing) {
        let entry = self.0.iter_mut().find(|entry| entry.certificate.id == id);
        if let Some(entry) = entry {
            entry.settled = true;
            entry.certificate.registered = Some(thing);
        }
    }

    /// Whether this thing belongs to another certificate.
    pub(super) fn is_of_another(&self, thing: &str, id: &str) -> bool {
        let mut all = self.0.iter().map(|entry| &entry.certificate);
        all.any(|certificate| certificate.thing() == Some(thing) && certificate.id != id)
    }

    /// When the next certificate expires unregistered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.0.iter().filter(|entry| !entry.settled);
        waiting.map(|entry| entry.expires).min()
    }

    /// The certificates that have expired unregistered, each once.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<ProvisionedCertificate> {
        let entries = self.0.iter_mut();
        let overdue = entries.filter(|entry| !entry.settled && entry.expires <= now);
        let settle = |entry: &mut Entry| {
            entry.settled = true;
            entry.certificate.clone()
        };
        overdue.map(settle).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(id: &str, token: &str, expires: Instant) -> Entry {
        let certificate = ProvisionedCertificate {
            id: id.to_owned(),
            certificate_pem: String::new(),
            made_by: ProvisioningOperation::Create,
            client_id: "new".to_owned(),
            claim_certificate_id: "claim".to_owned(),
            status: CertificateStatus::PendingActivation,
            registered: None,
        };
        Entry {
            certificate,
            token: token.to_owned(),
            expires,
            settled: false,
        }
    }

    fn thing(name: &str) -> RegisteredThing {
        RegisteredThing {
            thing: name.to_owned(),
            template: "t".to_owned(),
            parameters: BTreeMap::new(),
        }
    }

    #[test]
    fn a_token_is_good_for_its_time() {
        let (now, mut registry) = (Instant::now(), Registry::default());
        let soon = now + Duration::from_secs(1);
        registry.add(entry("a", "one", soon));
        let check = |token: &str, now, expected: Result<&str, &str>| {
            let found = registry
                .owned(token, now)
                .map(|entry| &entry.certificate.id);
            let found = found.map(String::as_str);
            let expected = expected.map_err(ProvisioningRejection::token);
            assert_eq!(found, expected);
        };
        check("one", now, Ok("a"));
        check("one", soon, Err("Certificate ownership token has expired."));
        check("two", now, Err("Certificate ownership token is invalid."));
    }

    #[test]
    fn what_nobody_registers_is_overdue_once() {
        let (now, mut registry) = (Instant::now(), Registry::default());
        let at = |seconds| now + Duration::from_secs(seconds);
        registry.add(entry("a", "one", at(2)));
        registry.add(entry("b", "two", at(1)));
        registry.add(entry("c", "three", at(1)));
        registry.register("c", thing("pump"));
        assert_eq!(registry.deadline(), Some(at(1)));
        let overdue: Vec<String> = registry
            .overdue(at(1))
            .into_iter()
            .map(|certificate| certificate.id)
            .collect();
        assert_eq!(overdue, ["b"]);
        assert_eq!(registry.deadline(), Some(at(2)));
        assert_eq!(registry.overdue(at(1)).len(), 0);
    }

    #[test]
    fn a_thing_may_be_of_another_certificate() {
        let (now, mut registry) = (Instant::now(), Registry::default());
        registry.add(entry("a", "one", now));
        registry.register("a", thing("pump"));
        assert!(registry.is_of_another("pump", "b"));
        assert!(!registry.is_of_another("pump", "a"));
        assert!(!registry.is_of_another("valve", "b"));
    }
}
