//! Private keys that are no files but in a token: who holds them, and how TLS signs by them. Everything that asks
//! a token belongs on a thread that may wait.

mod helper;
mod signing;

use std::sync::Arc;

use chariotd_pkcs11::Keys;

use crate::identity::Keyring;
use helper::Helper;
pub use signing::{TokenKey, TokenSigningKey, key_error};

/// `helper`: the words of a command, which is started when a key is needed. Without one this process loads
/// modules, if it can.
pub fn keyring(helper: Option<Vec<String>>) -> Keyring {
    Keyring(match helper {
        Some(command) => Some(Arc::new(Helper::new(command))),
        None => in_process(),
    })
}

#[cfg(feature = "pkcs11")]
fn in_process() -> Option<Arc<dyn Keys>> {
    Some(Arc::new(chariotd_pkcs11::token::Tokens::new()))
}

#[cfg(not(feature = "pkcs11"))]
fn in_process() -> Option<Arc<dyn Keys>> {
    None
}
