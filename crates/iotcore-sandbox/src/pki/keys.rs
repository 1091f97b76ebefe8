//! Private keys in the four common formats.

use anyhow::Context;
use rcgen::KeyPair;

use super::KeyKind;

const RSA_PKCS8: &str = include_str!("test-key-rsa-pkcs8.pem");
const RSA_PKCS1: &str = include_str!("test-key-rsa-pkcs1.pem");
/// Eight keys of 2048 bits in PKCS #8.
const RSA_KEYS: &str = include_str!("test-keys-rsa.pem");

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

/// One of eight RSA keys, and its PEM in PKCS #1, the format in which AWS delivers the keys that it generates.
pub(super) fn rsa(which: usize) -> anyhow::Result<(KeyPair, String)> {
    let keys = pem::parse_many(RSA_KEYS)?;
    let key = &keys[which % keys.len()];
    let inner = inside_rsa(key.contents()).context("not an RSA key in PKCS #8")?;
    let text = pem::encode_config(&pem::Pem::new("RSA PRIVATE KEY", inner), unix_lines());
    Ok((KeyPair::try_from(key.contents())?, text))
}

/// In PKCS #8 the PKCS #1 key is the last thing: an OCTET STRING after the null parameters of rsaEncryption.
fn inside_rsa(pkcs8: &[u8]) -> Option<&[u8]> {
    let head = [0x05, 0x00, 0x04, 0x82];
    let start = pkcs8.windows(head.len()).position(|bytes| bytes == head)? + head.len() + 2;
    pkcs8.get(start..)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rsa_keys_take_turns_and_are_written_down_in_pkcs_1() {
        let texts: BTreeSet<String> = (0..8).map(|which| rsa(which).unwrap().1).collect();
        assert_eq!(texts.len(), 8);
        assert_eq!(rsa(8).unwrap().1, rsa(0).unwrap().1);
        for text in texts {
            assert!(
                text.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"),
                "{text}"
            );
            let inner = pem::parse(text).unwrap().into_contents();
            let pair = ring::signature::RsaKeyPair::from_der(&inner).unwrap();
            assert_eq!(pair.public().modulus_len(), 256);
        }
    }
}
