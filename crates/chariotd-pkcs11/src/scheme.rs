//! Pure: TLS's signature schemes that a token is asked for. One for each kind of key and each version of TLS:
//! every server takes these, and each costs a signature at the start.

use ring::digest;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::der::{self, Curve};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    /// What TLS 1.3 demands of RSA keys.
    RsaPssSha256,
    /// For TLS 1.2, for certificate requests, and for tokens that have no PSS.
    RsaPkcs1Sha256,
}

use Scheme::{EcdsaP256Sha256, EcdsaP384Sha384, RsaPkcs1Sha256, RsaPssSha256};

/// What stands before the digest in a signature by PKCS #1.
#[cfg(feature = "token")]
const DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

impl Scheme {
    /// IANA's number.
    pub fn number(self) -> u16 {
        match self {
            EcdsaP256Sha256 => 0x0403,
            EcdsaP384Sha384 => 0x0503,
            RsaPssSha256 => 0x0804,
            RsaPkcs1Sha256 => 0x0401,
        }
    }

    pub fn of_number(number: u16) -> Option<Scheme> {
        [
            EcdsaP256Sha256,
            EcdsaP384Sha384,
            RsaPssSha256,
            RsaPkcs1Sha256,
        ]
        .into_iter()
        .find(|scheme| scheme.number() == number)
    }

    /// What a key can be asked for, by its SubjectPublicKeyInfo; nothing for one of an unknown kind.
    pub fn of_key(public_key: &[u8]) -> &'static [Scheme] {
        match der::curve(public_key) {
            Some(Curve::P256) => &[EcdsaP256Sha256],
            Some(Curve::P384) => &[EcdsaP384Sha384],
            Some(Curve::None) => &[RsaPssSha256, RsaPkcs1Sha256],
            None => &[],
        }
    }

    /// What is signed of a message.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        digest::digest(self.hash(), message).as_ref().to_vec()
    }

    fn hash(self) -> &'static digest::Algorithm {
        match self {
            EcdsaP384Sha384 => &digest::SHA384,
            EcdsaP256Sha256 | RsaPssSha256 | RsaPkcs1Sha256 => &digest::SHA256,
        }
    }

    /// How long a digest is.
    pub fn digest_length(self) -> usize {
        self.hash().output_len()
    }

    /// The digest with what says which one it is.
    #[cfg(feature = "token")]
    pub(crate) fn digest_info(digest: &[u8]) -> Vec<u8> {
        [&DIGEST_INFO[..], digest].concat()
    }

    /// Whether the signature is by this key.
    pub fn verifies(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self {
            EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        der::key_bits(public_key).is_some_and(|key| {
            UnparsedPublicKey::new(algorithm, key)
                .verify(message, signature)
                .is_ok()
        })
    }
}
