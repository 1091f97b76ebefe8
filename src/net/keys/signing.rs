//! How TLS signs by a key in a token.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use chariotd_pkcs11::scheme::Scheme;
use chariotd_pkcs11::{Identity, KeyError, KeyUri, Keys, Problem, der};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};
use tokio::sync::Semaphore;

/// Handshakes with one key at a time: each has a thread, which a token that hangs keeps.
const HANDSHAKES: usize = 4;

/// A key in a token that belongs to a certificate.
pub struct TokenKey {
    uri: KeyUri,
    keys: Arc<dyn Keys>,
    /// Of the certificate, a SubjectPublicKeyInfo, and what it is called in messages.
    certificate_key: Vec<u8>,
    certificate: String,
    identity: OnceLock<Identity>,
    /// Calls that wait for the token.
    waiting: AtomicUsize,
    pub handshakes: Arc<Semaphore>,
}

impl TokenKey {
    pub fn new(
        uri: KeyUri,
        keys: Arc<dyn Keys>,
        certificate_key: Vec<u8>,
        certificate: String,
    ) -> TokenKey {
        TokenKey {
            uri,
            keys,
            certificate_key,
            certificate,
            identity: OnceLock::new(),
            waiting: AtomicUsize::new(0),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
        }
    }

    /// Finds the key, unless that was done, and sees whether it is the certificate's. Takes as long as the
    /// token does.
    ///
    /// # Errors
    /// Why it cannot be used now.
    pub fn ready(&self) -> Result<&Identity, KeyError> {
        if let Some(identity) = self.identity.get() {
            return Ok(identity);
        }
        let hint = Some(self.certificate_key.as_slice());
        let identity = self.waiting(|| self.keys.identity(&self.uri, hint))?;
        if der::key_bits(&identity.public_key) != der::key_bits(&self.certificate_key) {
            let text = format!(
                "the key with {} in {} does not match the certificate {}",
                self.uri.key_name(),
                self.uri.token_name(),
                self.certificate
            );
            return Err(KeyError::new(Problem::Key, text));
        }
        Ok(self.identity.get_or_init(|| identity))
    }

    /// Whether somebody waits for the token at this moment.
    pub fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn waiting<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let answer = ask();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let digest = scheme.digest(message);
        let signature = self.waiting(|| self.keys.sign(&self.uri, scheme.number(), &digest))?;
        // Another token may have come in the place of the one that was looked at.
        if scheme.verifies(&self.certificate_key, message, &signature) {
            return Ok(signature);
        }
        let text = format!(
            "{} signs by another key than that of the certificate {}",
            self.uri.token_name(),
            self.certificate
        );
        Err(KeyError::new(Problem::Key, text))
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.uri)
    }
}

/// The same for the TLS library.
#[derive(Debug)]
pub struct TokenSigningKey(pub Arc<TokenKey>);

impl SigningKey for TokenSigningKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let known = self.0.identity.get()?;
        let numbers = known.schemes.iter();
        let fitting = numbers.filter_map(|number| Scheme::of_number(*number));
        let fitting = fitting
            .into_iter()
            .find(|scheme| offered.contains(&named(*scheme)));
        Some(Box::new(TokenSigner {
            key: self.0.clone(),
            scheme: fitting,
            named: fitting.map_or_else(|| offered.first().copied(), |it| Some(named(it)))?,
        }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.certificate_key.as_slice().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match Scheme::of_key(&self.0.certificate_key).first() {
            Some(Scheme::EcdsaP256Sha256 | Scheme::EcdsaP384Sha384) => SignatureAlgorithm::ECDSA,
            Some(Scheme::RsaPssSha256 | Scheme::RsaPkcs1Sha256) => SignatureAlgorithm::RSA,
            None => SignatureAlgorithm::Unknown(0),
        }
    }
}

fn named(scheme: Scheme) -> SignatureScheme {
    SignatureScheme::from(scheme.number())
}

#[derive(Debug)]
struct TokenSigner {
    key: Arc<TokenKey>,
    /// `None`: the broker takes nothing that the token can do. Without a signer the library would show no
    /// certificate, and the broker's refusal would be about that.
    scheme: Option<Scheme>,
    named: SignatureScheme,
}

impl Signer for TokenSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signed = match self.scheme {
            Some(scheme) => self.key.sign(scheme, message),
            None => {
                let text = format!(
                    "the broker takes no signature that {} can make, RSA keys need RSA-PSS for TLS 1.3; use an EC key",
                    self.key.uri.token_name()
                );
                Err(KeyError::new(Problem::Key, text))
            }
        };
        signed.map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.named
    }
}

/// The token's reason, if it is one.
pub fn key_error(error: &rustls::Error) -> Option<&KeyError> {
    match error {
        rustls::Error::Other(OtherError(inner)) => inner.downcast_ref(),
        _ => None,
    }
}
