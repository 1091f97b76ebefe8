//! The key in a token that the next certificate is to be for: its address is on disk before it is made, so that a
//! kill at any moment leaves no key behind that nobody knows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chariotd_pkcs11::KeyUri;

use super::Certstore;
use crate::file;

const NEW_KEY: &str = ".provisioning.key";
const LARGEST: u64 = 16 * 1024;

impl Certstore {
    fn new_key_file(&self) -> PathBuf {
        self.dir().join(NEW_KEY)
    }

    /// The key that an earlier attempt has made, or wanted to make, and got no certificate for: also that of a
    /// certificate which was staged and is given up. `None` where every key has a certificate in the store.
    pub fn new_key(&self) -> Option<KeyUri> {
        let staged = self.staged().map(|staged| staged.key_file());
        [Some(self.new_key_file()), staged]
            .into_iter()
            .flatten()
            .filter_map(|path| address(&path))
            .find(|uri| !self.has_certificate(uri))
    }

    fn has_certificate(&self, uri: &KeyUri) -> bool {
        let certificates = self.contents().unwrap_or_default().certificates;
        certificates
            .iter()
            .any(|one| address(&one.key_file).as_ref() == Some(uri))
    }

    /// To be said before the key is made.
    ///
    /// # Errors
    /// It must not be made then.
    pub fn remember_new_key(&self, uri: &KeyUri) -> Result<()> {
        let path = self.new_key_file();
        file::replace(&path, format!("{uri}\n").as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The key has a certificate, which is staged.
    pub fn forget_new_key(&self) {
        // One that stays is found to have a certificate.
        let _ = fs::remove_file(self.new_key_file());
    }
}

impl Certstore {
    /// Removes what is staged; its key, if a token has it, is for the next certificate.
    ///
    /// # Errors
    /// It is still there.
    pub fn give_up_staged(&self) -> Result<()> {
        let staged = self.staged();
        if let Some(uri) = staged.and_then(|staged| address(&staged.key_file())) {
            self.remember_new_key(&uri)?;
        }
        self.discard_staged()
    }
}

fn address(path: &Path) -> Option<KeyUri> {
    let text = file::read(path, LARGEST).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}
