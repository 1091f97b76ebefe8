//! A throw-away public key infrastructure: the CA that signs the server and the devices, a second CA that signs
//! nothing that the sandbox trusts, and certificates of every kind, valid and invalid.

mod certstore;
mod csr;
mod issue;
mod keys;
mod status;

pub(crate) use certstore::write_private;
pub(crate) use csr::SubjectKey;
pub(crate) use issue::{fingerprint, random_hex};
pub use status::CertificateStatus;
pub(crate) use status::{Claims, Statuses};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// What a device needs to connect: both texts are PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The SHA-256 fingerprint of the certificate, 64 lower-case hex digits: AWS's certificate id.
    pub id: String,
    pub certificate_pem: String,
    pub private_key_pem: String,
}

/// The kinds of device certificates, valid and invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// Signed by the sandbox's CA, valid until the end of 2049.
    Valid,
    /// Ended in 2001.
    Expired,
    /// Begins in 2090.
    NotYetValid,
    /// Valid, but signed by a CA that the sandbox does not trust.
    OtherCa,
    /// Valid, but for another key than the one issued with it: the TLS handshake fails.
    OtherKey,
    /// Begins when it is issued, on this machine's clock, and ends this much later.
    ValidFor(Duration),
    /// Begins and ends at these times, to the second.
    Between(SystemTime, SystemTime),
}

/// The type and format of a private key. All RSA keys are the same test key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    EcPkcs8,
    EcSec1,
    RsaPkcs8,
    RsaPkcs1,
}

/// The kinds of server certificates, valid and invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCertificate {
    /// For `localhost` and 127.0.0.1.
    Valid,
    Expired,
    NotYetValid,
    /// Valid, but for `elsewhere.example`.
    OtherName,
}

/// The certificates of one sandbox, in one directory: a temporary one that is removed with the sandbox, or a given one,
/// whose CA is used again at the next start.
pub struct Pki {
    dir: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    ca: Authority,
    other: Authority,
    statuses: Statuses,
    claims: Claims,
    rsa_keys: AtomicUsize,
}

impl Pki {
    /// Opens the infrastructure in `dir` and creates what is missing.
    pub(crate) fn open(dir: Option<&Path>) -> anyhow::Result<Pki> {
        let temporary = match dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("cannot make a temporary directory")?),
        };
        let dir = dir
            .or(temporary.as_ref().map(|t| t.path()))
            .expect("one of the two is there")
            .to_path_buf();
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Pki {
            ca: Authority::open(&dir, "ca", "iotcore-sandbox CA")?,
            other: Authority::open(&dir, "other-ca", "iotcore-sandbox other CA")?,
            statuses: Statuses::default(),
            claims: Claims::default(),
            rsa_keys: AtomicUsize::new(0),
            dir,
            _temporary: temporary,
        })
    }

    /// The PEM file with the CA certificate that signed the server.
    pub fn ca_file(&self) -> &Path {
        &self.ca.file
    }

    /// The PEM file with a CA certificate that did not sign the server.
    pub fn other_ca_file(&self) -> PathBuf {
        self.other.file.clone()
    }

    /// The directory of the CAs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn ca_certificate_pem(&self) -> &str {
        &self.ca.certificate_pem
    }

    pub(crate) fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    fn next_rsa(&self) -> usize {
        self.rsa_keys.fetch_add(1, Ordering::Relaxed)
    }
}

/// A CA: its certificate in a file, its key ready to sign.
struct Authority {
    file: PathBuf,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn open(dir: &Path, stem: &str, name: &str) -> anyhow::Result<Authority> {
        let (file, key_file) = (
            dir.join(format!("{stem}.pem")),
            dir.join(format!("{stem}.key")),
        );
        if !file.exists() || !key_file.exists() {
            let key = KeyPair::generate()?;
            certstore::write_private(&key_file, &key.serialize_pem())?;
            certstore::write(&file, &parameters(name)?.self_signed(&key)?.pem())?;
        }
        let key = KeyPair::from_pem(&certstore::read(&key_file)?)?;
        let certificate_pem = certstore::read(&file)?;
        Ok(Authority {
            file,
            certificate_pem,
            issuer: Issuer::new(parameters(name)?, key),
        })
    }
}

fn parameters(name: &str) -> anyhow::Result<CertificateParams> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2099, 12, 31);
    Ok(parameters)
}
