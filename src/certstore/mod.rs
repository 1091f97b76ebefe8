//! The certificate store: `endpoint.txt`, one directory for each certificate, and the link
//! `preferred` to the one in use.

mod new_key;
mod staged;
mod times;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use chariotd_pkcs11::KeyUri;
use chariotd_pkcs11::uri::is_key_uri;

use crate::file::{self, without_byte_order_mark};
use crate::identity::{Credentials, Endpoint, Keyring, MQTTS, PrivateKey};
use crate::pem::{self, PemKind};
use crate::x509::Validity;

pub use staged::{Fresh, Registered, Staged};

/// A host and a port, and whatever white space.
const LARGEST_ENDPOINT: u64 = 4096;
const PREFERRED: &str = "preferred";

/// A store on disk. Nothing is cached: every call looks.
#[derive(Clone, Debug)]
pub struct Certstore {
    dir: PathBuf,
}

/// A certificate of the store, complete but not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub id: OsString,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    /// `None`: the file is not what it should be, which shows when it is used.
    pub validity: Option<Validity>,
    /// From when it is valid, which distinguishes the newer from the older; the file's time where
    /// that cannot be read.
    valid_from: SystemTime,
}

/// What the store holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Newest first.
    pub certificates: Vec<Certificate>,
    /// One sentence for each thing that is wrong.
    pub problems: Vec<String>,
}

impl Certstore {
    pub fn new(dir: &Path) -> Certstore {
        Certstore {
            dir: dir.to_owned(),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the certificates are valid, from `endpoint.txt`.
    pub fn endpoint(&self) -> Result<Endpoint> {
        self.endpoint_at(MQTTS)
    }

    /// The same, at this port when the file names none.
    pub fn endpoint_at(&self, default_port: u16) -> Result<Endpoint> {
        let path = self.dir.join("endpoint.txt");
        let text = file::read(&path, LARGEST_ENDPOINT)
            .with_context(|| format!("cannot read endpoint from {}", path.display()))?;
        let text = String::from_utf8_lossy(without_byte_order_mark(&text));
        Endpoint::read(&text, default_port).map_err(|why| anyhow!("{}: {why}", path.display()))
    }

    /// All complete certificates, newest first. Incomplete ones become problems.
    pub fn contents(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        let context = || format!("cannot read certificate store {}", self.dir.display());
        for entry in fs::read_dir(&self.dir).with_context(context)? {
            let entry = entry.with_context(context)?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if hidden || !entry.file_type().with_context(context)?.is_dir() {
                continue;
            }
            match certificate(&entry.path(), &entry.file_name(), &mut contents.problems) {
                Ok(certificate) => contents.certificates.push(certificate),
                Err(problem) => contents.problems.push(problem),
            }
        }
        contents
            .certificates
            .sort_by(|a, b| (b.valid_from, &a.id).cmp(&(a.valid_from, &b.id)));
        Ok(contents)
    }

    /// The certificate that `preferred` points at, by a relative link or by an absolute one into this
    /// store; `None` when there is no such link.
    pub fn preferred(&self) -> Option<OsString> {
        let target = fs::read_link(self.dir.join(PREFERRED)).ok()?;
        if target.is_absolute() {
            return self.within(&target);
        }
        let mut parts = target
            .components()
            .filter(|part| *part != Component::CurDir);
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(id)), None) => Some(id.to_owned()),
            _ => None,
        }
    }

    /// The directory of this store that an absolute path names, whatever links lead there.
    fn within(&self, target: &Path) -> Option<OsString> {
        let parent = fs::canonicalize(target.parent()?).ok()?;
        let own = fs::canonicalize(&self.dir).ok()?;
        (parent == own)
            .then(|| target.file_name().map(OsStr::to_owned))
            .flatten()
    }

    /// Points `preferred` at `id`, atomically. Does nothing when it already points there.
    pub fn prefer(&self, id: &OsStr) -> Result<()> {
        if self.preferred().as_deref() == Some(id) {
            return Ok(());
        }
        let link = self.dir.join(PREFERRED);
        file::replace_link(&link, Path::new(id)).with_context(|| {
            format!(
                "cannot point {} at {}",
                link.display(),
                id.to_string_lossy()
            )
        })
    }

    /// Points `preferred` at the certificate after the one in use, by age and wrapping round. `None`
    /// when there is no other.
    pub fn rotate(&self, in_use: &OsStr) -> Result<Option<OsString>> {
        let certificates = self.contents()?.certificates;
        match starting_with(certificates, Some(in_use))
            .into_iter()
            .find(|other| other.id != in_use)
        {
            None => Ok(None),
            Some(next) => {
                self.prefer(&next.id)?;
                Ok(Some(next.id))
            }
        }
    }
}

/// Reads a certificate and its key, of the store or explicitly named. Instead of the key there may be the
/// address of one in a token, as the path or as the contents of the file.
pub fn read_credentials(certificate: &Path, key: &Path, keyring: &Keyring) -> Result<Credentials> {
    let read = |file: &Path, what| {
        fs::read(file).with_context(|| format!("cannot read {what} from {}", file.display()))
    };
    Ok(Credentials {
        certificate: read(certificate, "certificate")?,
        private_key: match key.to_str().filter(|path| is_key_uri(path)) {
            Some(uri) => in_token(uri, keyring)?,
            None => private_key(read(key, "private key")?, key, keyring)?,
        },
        certificate_file: certificate.to_owned(),
        key_file: key.to_owned(),
    })
}

/// What the file of a key holds.
///
/// # Errors
/// The address in it is none, or nobody can be asked for it.
pub fn private_key(contents: Vec<u8>, file: &Path, keyring: &Keyring) -> Result<PrivateKey> {
    let text = std::str::from_utf8(without_byte_order_mark(&contents)).unwrap_or_default();
    match text.trim() {
        uri if is_key_uri(uri) => in_token(uri, keyring)
            .with_context(|| format!("cannot use the key that {} names", file.display())),
        _ => Ok(PrivateKey::Pem(contents)),
    }
}

fn in_token(uri: &str, keyring: &Keyring) -> Result<PrivateKey> {
    let uri: KeyUri = uri
        .parse()
        .map_err(|why| anyhow!("the key's address {why}"))?;
    let keys = keyring.keys().map_err(anyhow::Error::msg)?;
    Ok(PrivateKey::Token {
        uri: Box::new(uri),
        keys,
    })
}

/// The certificates in the order in which they are tried: `first`, then by age, wrapping round.
/// Without `first` among them, the newest comes first.
pub fn starting_with(
    mut certificates: Vec<Certificate>,
    first: Option<&OsStr>,
) -> Vec<Certificate> {
    if let Some(index) = certificates
        .iter()
        .position(|one| Some(one.id.as_os_str()) == first)
    {
        certificates.rotate_left(index);
    }
    certificates
}

/// The names of a certificate's file and of its key's.
fn file_names(id: &OsStr) -> (OsString, OsString) {
    let name = |suffix: &str| {
        let mut name = id.to_owned();
        name.push(suffix);
        name
    };
    (name("-certificate.pem.crt"), name("-private.pem.key"))
}

fn is_complete(dir: &Path, id: &OsStr) -> bool {
    certificate(dir, id, &mut Vec::new()).is_ok()
}

fn certificate(dir: &Path, id: &OsStr, problems: &mut Vec<String>) -> Result<Certificate, String> {
    let (certificate_file, key_file) = file_names(id);
    let (certificate_file, key_file) = (dir.join(certificate_file), dir.join(key_file));
    let look = |file: &Path| match fs::metadata(file) {
        Ok(meta) if meta.is_file() => Ok(meta),
        Ok(_) => Err(format!(
            "{} is skipped: {} is not a file",
            dir.display(),
            file.display()
        )),
        Err(error) => Err(format!(
            "{} is skipped: {}: {error}",
            dir.display(),
            file.display()
        )),
    };
    let meta = look(&certificate_file)?;
    let key = look(&key_file)?;
    if key.permissions().mode() & 0o077 != 0 {
        let mode = key.permissions().mode() & 0o777;
        problems.push(format!(
            "{} can be read by others (mode {mode:o}), make it 600",
            key_file.display()
        ));
    }
    let validity = fs::read(&certificate_file)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|text| validity(&text));
    if let Err(why) = &validity {
        problems.push(format!(
            "{}: {why}; so nobody is warned before it expires, and it is not renewed",
            certificate_file.display()
        ));
    }
    let validity = validity.ok();
    let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Certificate {
        id: id.to_owned(),
        certificate_file,
        key_file,
        validity,
        valid_from: validity.map_or(modified, |validity| validity.not_before),
    })
}

/// Of the first certificate in the file, which is the one that is shown to the broker.
fn validity(text: &[u8]) -> Result<Validity, String> {
    let certificates = pem::read(text, PemKind::Certificate)?;
    let (_, first) = certificates.first().ok_or("holds no certificate")?;
    Validity::of(first)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
