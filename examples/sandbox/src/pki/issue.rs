//! Signs certificates: for devices, and for the server itself.

use anyhow::Context;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};

use super::{Authority, CertificateKind, Issued, KeyKind, Pki, ServerCertificate, keys};

impl Pki {
    /// A new device certificate with an EC key in PKCS #8.
    ///
    /// # Panics
    /// When the cryptography library refuses, which would be a defect of the sandbox.
    pub fn issue(&self, kind: CertificateKind) -> Issued {
        self.issue_with(kind, KeyKind::EcPkcs8)
    }

    /// A new device certificate with a key written down as `key` says.
    pub fn issue_with(&self, kind: CertificateKind, key: KeyKind) -> Issued {
        self.try_issue(kind, key)
            .expect("fixed parameters can be signed")
    }

    fn try_issue(&self, kind: CertificateKind, key: KeyKind) -> anyhow::Result<Issued> {
        let (key, private_key_pem) = keys::key(key)?;
        let (from, until) = match kind {
            CertificateKind::Valid | CertificateKind::OtherCa => (2000, 2050),
            CertificateKind::Expired => (2000, 2001),
            CertificateKind::NotYetValid => (2090, 2099),
        };
        let authority = match kind {
            CertificateKind::OtherCa => &self.other,
            CertificateKind::Valid | CertificateKind::Expired | CertificateKind::NotYetValid => {
                &self.ca
            }
        };
        let parameters = leaf(
            &[],
            "AWS IoT Certificate",
            ExtendedKeyUsagePurpose::ClientAuth,
            from,
            until,
        )?;
        let certificate_pem = sign(parameters, &key, authority)?;
        Ok(Issued {
            id: fingerprint_of_pem(&certificate_pem)?,
            certificate_pem,
            private_key_pem,
        })
    }

    /// Certificate and key of a server, both PEM: for the sandbox itself, or for another broker to test against.
    pub fn server(&self, kind: ServerCertificate) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let (names, from, until): (&[&str], _, _) = match kind {
            ServerCertificate::Valid => (&["localhost", "127.0.0.1"], 2000, 2050),
            ServerCertificate::Expired => (&["localhost", "127.0.0.1"], 2000, 2001),
            ServerCertificate::NotYetValid => (&["localhost", "127.0.0.1"], 2090, 2099),
            ServerCertificate::OtherName => (&["elsewhere.example"], 2000, 2050),
        };
        let parameters = leaf(
            names,
            "iotcore-sandbox",
            ExtendedKeyUsagePurpose::ServerAuth,
            from,
            until,
        )?;
        Ok((sign(parameters, &key, &self.ca)?, key.serialize_pem()))
    }
}

/// The certificate id that AWS would give: SHA-256 over the DER, in hex.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn fingerprint_of_pem(text: &str) -> anyhow::Result<String> {
    Ok(fingerprint(
        pem::parse(text).context("a certificate is PEM")?.contents(),
    ))
}

fn leaf(
    names: &[&str],
    common_name: &str,
    usage: ExtendedKeyUsagePurpose,
    from: i32,
    until: i32,
) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names)?;
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    parameters.extended_key_usages = vec![usage];
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    Ok(parameters)
}

fn sign(
    parameters: CertificateParams,
    key: &KeyPair,
    authority: &Authority,
) -> anyhow::Result<String> {
    Ok(parameters.signed_by(key, &authority.issuer)?.pem())
}
