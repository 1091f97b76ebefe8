//! Writes certstores as a device reads them: `endpoint.txt` and one directory for each certificate id.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use super::{CertificateKind, Issued, Pki};

impl Pki {
    /// Makes `dir` a certstore for the broker at `localhost:port`, with one new valid certificate in it.
    ///
    /// # Panics
    /// When `dir` cannot be written.
    pub fn write_certstore(&self, dir: &Path, port: u16) -> Issued {
        let issued = self.issue(CertificateKind::Valid);
        self.add_to_certstore(dir, &issued);
        write(&dir.join("endpoint.txt"), &format!("localhost:{port}\n"))
            .expect("the certstore can be written");
        issued
    }

    /// Makes `dir` a certstore like [`write_certstore`](Pki::write_certstore) does, with a new claim certificate in it:
    /// one that many devices share, and that may only be used to request a certificate of their own.
    ///
    /// # Panics
    /// When `dir` cannot be written.
    pub fn write_claim_store(&self, dir: &Path, port: u16) -> Issued {
        let issued = self.write_certstore(dir, port);
        self.make_claim(&issued.id);
        issued
    }

    /// A new claim certificate, valid or not.
    pub fn issue_claim(&self, kind: CertificateKind) -> Issued {
        let issued = self.issue(kind);
        self.make_claim(&issued.id);
        issued
    }

    /// From now on this certificate is a claim certificate.
    pub fn make_claim(&self, id: &str) {
        self.claims.add(id);
    }

    /// Adds `ID/ID-certificate.pem.crt` and `ID/ID-private.pem.key` (mode 0600) to the certstore in `dir`.
    ///
    /// # Panics
    /// When `dir` cannot be written.
    pub fn add_to_certstore(&self, dir: &Path, issued: &Issued) {
        add(dir, issued).expect("the certstore can be written");
    }
}

fn add(dir: &Path, issued: &Issued) -> anyhow::Result<()> {
    let id = &issued.id;
    let home = dir.join(id);
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    write(
        &home.join(format!("{id}-certificate.pem.crt")),
        &issued.certificate_pem,
    )?;
    write_private(
        &home.join(format!("{id}-private.pem.key")),
        &issued.private_key_pem,
    )
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certstore_has_an_endpoint_and_a_key_that_only_its_owner_reads() {
        let (pki, dir) = (Pki::open(None).unwrap(), tempfile::tempdir().unwrap());
        let Issued { id, .. } = pki.write_certstore(dir.path(), 18883);

        assert_eq!(
            read(&dir.path().join("endpoint.txt")).unwrap(),
            "localhost:18883\n"
        );
        assert_eq!(id.len(), 64);
        let key = dir.path().join(&id).join(format!("{id}-private.pem.key"));
        assert_eq!(
            fs::metadata(key).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_named_directory_keeps_its_ca() {
        let dir = tempfile::tempdir().unwrap();
        let first = Pki::open(Some(dir.path()))
            .unwrap()
            .ca_certificate_pem()
            .to_owned();
        assert_eq!(
            Pki::open(Some(dir.path())).unwrap().ca_certificate_pem(),
            first
        );
    }
}
