//! The token in this process: finds module, token and key, logs in, signs, makes keys. One session for each
//! key, which is opened anew once when the token has lost it.

mod find;
mod login;
mod make;
mod modules;
mod sign;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use crate::{Identity, KeyError, KeyKind, KeyUri, Keys, Problem};
use modules::Module;

/// More keys than a device has at once: its own, the claim's, and a new one.
const MOST_KEYS: usize = 16;

/// The tokens of this process, by their modules.
#[derive(Default)]
pub struct Tokens {
    keys: Mutex<HashMap<KeyUri, Arc<Mutex<KnownKey>>>>,
}

#[derive(Default)]
struct KnownKey {
    open: Option<OpenKey>,
    /// Its public part, as the certificate tells it.
    hint: Option<Vec<u8>>,
}

/// The session goes before its module.
struct OpenKey {
    session: Session,
    key: ObjectHandle,
    identity: Identity,
    _module: Arc<Module>,
}

impl Tokens {
    pub fn new() -> Tokens {
        Tokens::default()
    }

    fn known(&self, uri: &KeyUri) -> Arc<Mutex<KnownKey>> {
        let mut keys = lock(&self.keys);
        if keys.len() >= MOST_KEYS && !keys.contains_key(uri) {
            keys.clear();
        }
        keys.entry(uri.clone()).or_default().clone()
    }
}

impl KnownKey {
    fn open(&mut self, uri: &KeyUri) -> Result<&OpenKey, KeyError> {
        let found = find::key(uri, self.hint.as_deref())?;
        Ok(self.open.insert(found))
    }
}

impl Keys for Tokens {
    fn identity(&self, uri: &KeyUri, hint: Option<&[u8]>) -> Result<Identity, KeyError> {
        let known = self.known(uri);
        let mut known = lock(&known);
        if let Some(hint) = hint {
            known.hint = Some(hint.to_vec());
        }
        match &known.open {
            Some(key) => Ok(key.identity.clone()),
            None => known.open(uri).map(|key| key.identity.clone()),
        }
    }

    fn sign(&self, uri: &KeyUri, scheme: u16, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let known = self.known(uri);
        let mut known = lock(&known);
        if let Some(key) = &known.open {
            match key.sign(uri, scheme, digest) {
                // The token may be back already, and the session alone is lost.
                Err(error) if error.problem.may_pass() => known.open = None,
                outcome => return outcome,
            }
        }
        let signed = known.open(uri)?.sign(uri, scheme, digest);
        if signed.is_err() {
            known.open = None;
        }
        signed
    }

    fn make(&self, uri: &KeyUri, kind: KeyKind) -> Result<Identity, KeyError> {
        match self.identity(uri, None) {
            Err(error) if error.problem == Problem::Key => {}
            outcome => return outcome,
        }
        make::key(uri, kind)?;
        self.identity(uri, None)
    }
}

/// What a panic has left is a session at worst, which the next call finds to be lost.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
