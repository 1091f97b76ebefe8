//! Pure: certificate signing requests: which ones AWS accepts, and their keys.

use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
    SignatureAlgorithm,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A public key that can be certified.
#[derive(Debug)]
pub(crate) struct SubjectKey {
    algorithm: &'static SignatureAlgorithm,
    bits: Vec<u8>,
}

impl SubjectKey {
    /// The key of a certificate signing request in PEM, whose signature is checked. The error is the reason as text.
    pub(crate) fn of_request(text: &str) -> Result<SubjectKey, String> {
        let block = pem::parse(text).map_err(|_| "not PEM".to_owned())?;
        if !matches!(
            block.tag(),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"
        ) {
            return Err(format!("PEM of a {}", block.tag()));
        }
        let (rest, request) = X509CertificationRequest::from_der(block.contents())
            .map_err(|_| "not a PKCS #10 request".to_owned())?;
        if !rest.is_empty() {
            return Err("more than a PKCS #10 request".to_owned());
        }
        let key = &request.certification_request_info.subject_pki;
        let algorithm = algorithm(key)?;
        request
            .verify_signature()
            .map_err(|_| "not signed with the key that it is for".to_owned())?;
        Ok(SubjectKey {
            algorithm,
            bits: key.subject_public_key.data.to_vec(),
        })
    }
}

impl PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// AWS takes RSA keys of at least 2048 bits, and the curves P-256 and P-384.
fn algorithm(key: &SubjectPublicKeyInfo) -> Result<&'static SignatureAlgorithm, String> {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= 2048 => Ok(&PKCS_RSA_SHA256),
        Ok(PublicKey::RSA(rsa)) => Err(format!("an RSA key of {} bits", rsa.key_size())),
        Ok(PublicKey::EC(_)) => curve(key),
        _ => Err("a key that is neither RSA nor EC".to_owned()),
    }
}

fn curve(key: &SubjectPublicKeyInfo) -> Result<&'static SignatureAlgorithm, String> {
    let parameters = key.algorithm.parameters.as_ref();
    let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
    match curve.map(|curve| curve.to_id_string()).as_deref() {
        Some("1.2.840.10045.3.1.7") => Ok(&PKCS_ECDSA_P256_SHA256),
        Some("1.3.132.0.34") => Ok(&PKCS_ECDSA_P384_SHA384),
        Some(other) => Err(format!("an EC key on the curve {other}")),
        None => Err("an EC key on no named curve".to_owned()),
    }
}

#[cfg(test)]
#[path = "csr_tests.rs"]
mod tests;
