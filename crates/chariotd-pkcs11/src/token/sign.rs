//! One signature.

use cryptoki::error::Error;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};

use super::{OpenKey, words};
use crate::scheme::Scheme;
use crate::{KeyError, KeyUri, Problem, der};

impl OpenKey {
    /// The signature as TLS has it.
    pub fn sign(&self, uri: &KeyUri, scheme: u16, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
        let asked =
            Scheme::of_number(scheme).filter(|scheme| scheme.digest_length() == digest.len());
        let Some(scheme) = asked else {
            let why = format!(
                "signature scheme {scheme:#06x} with {} bytes is not supported",
                digest.len()
            );
            return Err(KeyError::new(Problem::Key, why));
        };
        let sign =
            |mechanism: &Mechanism, data: &[u8]| self.session.sign(mechanism, self.key, data);
        let signed = match scheme {
            // The one that every token has: not all hash by themselves.
            Scheme::EcdsaP256Sha256 | Scheme::EcdsaP384Sha384 => sign(&Mechanism::Ecdsa, digest)
                .and_then(|both| der::ecdsa_signature(&both).ok_or(Error::InvalidValue)),
            Scheme::RsaPssSha256 => sign(&Mechanism::RsaPkcsPss(pss()), digest),
            Scheme::RsaPkcs1Sha256 => sign(&Mechanism::RsaPkcs, &Scheme::digest_info(digest)),
        };
        signed.map_err(|error| words::token(uri, "does not sign", &error))
    }
}

fn pss() -> PkcsPssParams {
    PkcsPssParams {
        hash_alg: MechanismType::SHA256,
        mgf: PkcsMgfType::MGF1_SHA256,
        s_len: 32.into(),
    }
}
