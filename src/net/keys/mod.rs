//! Private keys that are no files but in a token: who holds them, and how TLS signs by them. Everything that asks
//! a token belongs on a thread that may wait.

mod helper;
mod signing;

use std::fmt;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use chariotd_pkcs11::Keys;

use helper::Helper;
pub use signing::{TokenKey, TokenSigningKey, key_error};

/// Who holds the keys in tokens: the helper, or this process. Cheap to clone; asks nobody by itself.
#[derive(Clone)]
pub struct Keyring(Option<Arc<dyn Keys>>);

impl Keyring {
    /// `helper`: the words of a command, which is started when a key is needed. Without one this process
    /// loads modules, if it can.
    pub fn new(helper: Option<Vec<String>>) -> Keyring {
        Keyring(match helper {
            Some(command) => Some(Arc::new(Helper::new(command))),
            None => in_process(),
        })
    }

    /// # Errors
    /// This process cannot load modules, and what to do then.
    pub fn keys(&self) -> Result<Arc<dyn Keys>> {
        self.0.clone().ok_or_else(|| {
            anyhow!("this build cannot load the PKCS#11 modules of tokens: start the helper that is shipped beside it by --key-helper=/usr/bin/chariotd-pkcs11, or use a build with the feature pkcs11")
        })
    }
}

#[cfg(feature = "pkcs11")]
fn in_process() -> Option<Arc<dyn Keys>> {
    Some(Arc::new(chariotd_pkcs11::token::Tokens::new()))
}

#[cfg(not(feature = "pkcs11"))]
fn in_process() -> Option<Arc<dyn Keys>> {
    None
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}
