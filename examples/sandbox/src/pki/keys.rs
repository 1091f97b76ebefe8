//! Private keys in the four ways in which people write them down.

use anyhow::Context;
use rcgen::KeyPair;

use super::KeyKind;

const RSA_PKCS8: &str = include_str!("test-key-rsa-pkcs8.pem");
const RSA_PKCS1: &str = include_str!("test-key-rsa-pkcs1.pem");

/// A key that can be certified, and its PEM. EC keys (P-256) are new each time; the RSA key is always the same one,
/// because ring cannot generate RSA keys.
pub(super) fn key(kind: KeyKind) -> anyhow::Result<(KeyPair, String)> {
    Ok(match kind {
        KeyKind::EcPkcs8 => {
            let key = KeyPair::generate()?;
            let text = key.serialize_pem();
            (key, text)
        }
        KeyKind::EcSec1 => {
            let key = KeyPair::generate()?;
            let text = sec1(&key)?;
            (key, text)
        }
        KeyKind::RsaPkcs8 => (KeyPair::from_pem(RSA_PKCS8)?, RSA_PKCS8.to_owned()),
        KeyKind::RsaPkcs1 => (KeyPair::from_pem(RSA_PKCS8)?, RSA_PKCS1.to_owned()),
    })
}

/// The `BEGIN EC PRIVATE KEY` form of a P-256 key: RFC 5915 with the curve's name, byte for byte what openssl writes.
fn sec1(key: &KeyPair) -> anyhow::Result<String> {
    let secret = secret_of_p256(key.serialized_der()).context("not a P-256 key in PKCS #8")?;
    let mut der = vec![0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend(secret);
    der.extend([
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ]);
    der.extend([0xa1, 0x44, 0x03, 0x42, 0x00]);
    der.extend(key.public_key_raw());
    Ok(pem::encode_config(
        &pem::Pem::new("EC PRIVATE KEY", der),
        unix_lines(),
    ))
}

/// In PKCS #8 as ring writes it, the 32 secret bytes follow `INTEGER 1, OCTET STRING (32)` of the inner structure.
fn secret_of_p256(pkcs8: &[u8]) -> Option<&[u8]> {
    let head = [0x02, 0x01, 0x01, 0x04, 0x20];
    let start = pkcs8.windows(head.len()).position(|bytes| bytes == head)? + head.len();
    pkcs8.get(start..start + 32)
}

fn unix_lines() -> pem::EncodeConfig {
    pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)
}
