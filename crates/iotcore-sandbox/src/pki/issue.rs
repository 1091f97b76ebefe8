//! Signs certificates: for devices, and for the server itself.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PublicKeyData, SerialNumber,
    date_time_ymd,
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{Authority, CertificateKind, Issued, KeyKind, Pki, ServerCertificate, keys};

impl Pki {
    /// A new device certificate with an EC key in PKCS #8.
    ///
    /// # Panics
    /// When the cryptography library fails, which would be a defect of the sandbox, or the kind has a time that no
    /// certificate can have.
    pub fn issue(&self, kind: CertificateKind) -> Issued {
        self.issue_with(kind, KeyKind::EcPkcs8)
    }

    /// A new device certificate with a key of this type and format.
    ///
    /// # Panics
    /// As [`issue`](Pki::issue).
    pub fn issue_with(&self, kind: CertificateKind, key: KeyKind) -> Issued {
        let issued = keys::key(key).and_then(|(key, text)| self.issued(kind, &key, text));
        issued.expect("fixed parameters can be signed")
    }

    /// A certificate with a new key pair such as AWS makes them: RSA of 2048 bits in PKCS #1. There are eight keys,
    /// used in turn.
    pub(crate) fn issue_rsa(&self, kind: CertificateKind) -> anyhow::Result<Issued> {
        let (key, text) = keys::rsa(self.next_rsa())?;
        self.issued(kind, &key, text)
    }

    fn issued(
        &self,
        kind: CertificateKind,
        key: &KeyPair,
        private_key_pem: String,
    ) -> anyhow::Result<Issued> {
        let (id, certificate_pem) = self.certify(kind, key)?;
        Ok(Issued {
            id,
            certificate_pem,
            private_key_pem,
        })
    }

    /// A new device certificate for this key: its id and its PEM.
    pub(crate) fn certify(
        &self,
        kind: CertificateKind,
        key: &impl PublicKeyData,
    ) -> anyhow::Result<(String, String)> {
        let (from, until) = validity(kind);
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let parameters = leaf(&[], "AWS IoT Certificate", usage, (from, until))?;
        let text = match kind {
            CertificateKind::OtherCa => sign(parameters, key, &self.other),
            CertificateKind::OtherKey => sign(parameters, &KeyPair::generate()?, &self.ca),
            CertificateKind::Valid
            | CertificateKind::Expired
            | CertificateKind::NotYetValid
            | CertificateKind::ValidFor(_)
            | CertificateKind::Between(..) => sign(parameters, key, &self.ca),
        }?;
        Ok((fingerprint_of_pem(&text)?, text))
    }

    /// Certificate and key of a server, both PEM: for the sandbox itself, or for another broker to test against.
    pub fn server(&self, kind: ServerCertificate) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let (names, validity): (&[&str], _) = match kind {
            ServerCertificate::Valid => (&["localhost", "127.0.0.1"], long()),
            ServerCertificate::Expired => (&["localhost", "127.0.0.1"], past()),
            ServerCertificate::NotYetValid => (&["localhost", "127.0.0.1"], future()),
            ServerCertificate::OtherName => (&["elsewhere.example"], long()),
        };
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let parameters = leaf(names, "iotcore-sandbox", usage, validity)?;
        Ok((sign(parameters, &key, &self.ca)?, key.serialize_pem()))
    }
}

/// The certificate id that AWS would give: SHA-256 over the DER, in hex.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    hex(digest.as_ref())
}

/// This many random bytes in hex.
pub(crate) fn random_hex(count: usize) -> anyhow::Result<String> {
    let mut bytes = vec![0; count];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| anyhow::anyhow!("no random numbers"))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fingerprint_of_pem(text: &str) -> anyhow::Result<String> {
    Ok(fingerprint(
        pem::parse(text).context("a certificate is PEM")?.contents(),
    ))
}

type Validity = (SystemTime, SystemTime);

fn validity(kind: CertificateKind) -> Validity {
    match kind {
        CertificateKind::Valid | CertificateKind::OtherCa | CertificateKind::OtherKey => long(),
        CertificateKind::Expired => past(),
        CertificateKind::NotYetValid => future(),
        CertificateKind::ValidFor(time) => (SystemTime::now(), SystemTime::now() + time),
        CertificateKind::Between(from, until) => (from, until),
    }
}

/// From 2000 to the last second of 2049, as AWS does.
fn long() -> Validity {
    (after_epoch(946_684_800), after_epoch(2_524_607_999))
}

/// The year 2000.
fn past() -> Validity {
    (after_epoch(946_684_800), after_epoch(978_307_200))
}

/// From 2090 to 2099.
fn future() -> Validity {
    (after_epoch(3_786_912_000), after_epoch(4_070_908_800))
}

fn after_epoch(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn leaf(
    names: &[&str],
    common_name: &str,
    usage: ExtendedKeyUsagePurpose,
    (from, until): Validity,
) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names)?;
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    parameters.extended_key_usages = vec![usage];
    let epoch = date_time_ymd(1970, 1, 1);
    let stamp = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => epoch + after,
        Err(before) => epoch - before.duration(),
    };
    (parameters.not_before, parameters.not_after) = (stamp(from), stamp(until));
    // Otherwise all certificates of a key would have the same serial number.
    let mut serial = [0; 16];
    let filled = SystemRandom::new().fill(&mut serial);
    filled.map_err(|_| anyhow::anyhow!("no random numbers"))?;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(parameters)
}

fn sign(
    parameters: CertificateParams,
    key: &impl PublicKeyData,
    authority: &Authority,
) -> anyhow::Result<String> {
    Ok(parameters.signed_by(key, &authority.issuer)?.pem())
}
