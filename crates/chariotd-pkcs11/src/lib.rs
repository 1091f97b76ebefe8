//! Keys that never leave their hardware: a smart card, a TPM, an HSM, through its vendor's PKCS#11 module.
//!
//! - [`uri`]: the address of such a key, by RFC 7512.
//! - [`scheme`]: TLS's signature schemes.
//! - `token`: the module in this process (feature `token`).
//! - [`protocol`]: how a process that cannot load a module asks the program `chariotd-pkcs11`, which can.
//!
//! Both implement [`Keys`], whose errors name the thing, the reason and the remedy, and never a PIN.

pub mod der;
mod error;
pub mod protocol;
pub mod scheme;
pub mod uri;

#[cfg(feature = "token")]
mod pin;
#[cfg(feature = "token")]
pub mod token;

pub use error::{KeyError, Problem};
pub use uri::KeyUri;

/// What is known of a key that can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// The numbers that IANA has given to TLS's signature schemes, the best first; each was seen to work.
    pub schemes: Vec<u16>,
}

/// What kind of key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    EcP256,
    EcP384,
    Rsa2048,
}

/// Those who hold keys: a module in this process, or the helper beside it. Every call may take as long as
/// the hardware does, so it belongs on a thread that may wait.
pub trait Keys: Send + Sync {
    /// Finds the key, and sees what it can do. `hint`: the public key of the certificate, DER, for a token
    /// that has the private one alone.
    ///
    /// # Errors
    /// Why it cannot be used.
    fn identity(&self, uri: &KeyUri, hint: Option<&[u8]>) -> Result<Identity, KeyError>;

    /// The signature as TLS has it: DER for ECDSA. `digest`: of the message, by [`scheme::Scheme::digest`].
    ///
    /// # Errors
    /// Why there is none.
    fn sign(&self, uri: &KeyUri, scheme: u16, digest: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// Makes a key in the token at exactly this address, which must have a label and an id. One that is
    /// there already is left as it is: the call may be repeated.
    ///
    /// # Errors
    /// Why there is none.
    fn make(&self, uri: &KeyUri, kind: KeyKind) -> Result<Identity, KeyError>;
}
