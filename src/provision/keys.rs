//! A private key that never leaves the device, and the request to certify it.

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SigningKey};

/// What kind of key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    EcP256,
    Rsa2048,
}

/// A fresh key pair with its certificate signing request, both as PEM text.
pub struct DeviceKey {
    /// PKCS#8, which is secret, or the address of a key in a token.
    pub private_key: String,
    pub request: String,
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey")
    }
}

impl DeviceKey {
    /// Makes a key; an RSA key takes seconds on a small device. `name` becomes the common name of
    /// the request, which the cloud does not use.
    pub fn make(kind: KeyType, name: &str) -> Result<DeviceKey> {
        let key = key_pair(kind).context("cannot make a private key")?;
        Ok(DeviceKey {
            private_key: key.serialize_pem(),
            request: request(&key, name)?,
        })
    }
}

/// The request to certify a key, in PEM.
pub fn request(key: &impl SigningKey, name: &str) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .serialize_request(key)
        .and_then(|request| request.pem())
        .context("cannot make a certificate signing request")
}

fn key_pair(kind: KeyType) -> Result<KeyPair> {
    match kind {
        KeyType::EcP256 => Ok(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?),
        KeyType::Rsa2048 => rsa_key_pair(),
    }
}

/// The TLS library's cryptography signs with RSA keys but makes none.
#[cfg(feature = "rsa")]
fn rsa_key_pair() -> Result<KeyPair> {
    use rsa::pkcs8::{EncodePrivateKey, LineEnding};
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)?;
    let pem = key.to_pkcs8_pem(LineEnding::LF)?;
    Ok(KeyPair::from_pem(&pem)?)
}

#[cfg(not(feature = "rsa"))]
fn rsa_key_pair() -> Result<KeyPair> {
    anyhow::bail!("this build makes no RSA keys, use \"keytype\": \"ec-p256\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_both_kinds_are_pkcs8_and_their_requests_are_pem() {
        for kind in [KeyType::EcP256, KeyType::Rsa2048] {
            let key = DeviceKey::make(kind, "device-1").unwrap();
            assert!(key.private_key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
            assert!(
                key.request
                    .starts_with("-----BEGIN CERTIFICATE REQUEST-----")
            );
            assert_eq!(format!("{key:?}"), "DeviceKey");
        }
    }

    #[test]
    fn no_two_keys_are_the_same() {
        let make = || DeviceKey::make(KeyType::EcP256, "x").unwrap().private_key;
        assert_ne!(make(), make());
    }
}
