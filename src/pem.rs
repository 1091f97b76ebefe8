//! Pure: PEM files, read as tolerantly as people and programs write them, and described in our own words
//! where they cannot be read: what a parser says about a key may hold the key.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// What stands between a BEGIN and an END line. Line lengths, line ends and blanks do not matter.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// What it is said to be, such as `CERTIFICATE`.
    pub label: &'a str,
    body: &'a str,
    closed: bool,
}

/// All blocks of a file, in their order; whatever else stands in it is passed over.
pub fn blocks(text: &[u8]) -> Vec<Block<'_>> {
    // Labels and bodies are ASCII; what stands around them may be anything.
    let text = longest_text(text);
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let after = &rest[at + BEGIN.len()..];
        let Some((label, body)) = after.split_once(DASHES) else {
            break;
        };
        let end = format!("-----END {label}{DASHES}");
        let (body, closed, next) = match body.find(&end) {
            Some(end_at) => (&body[..end_at], true, &body[end_at + end.len()..]),
            None => (body, false, body),
        };
        blocks.push(Block {
            label,
            body,
            closed,
        });
        rest = next;
    }
    blocks
}

/// The file as text, up to what is none.
fn longest_text(text: &[u8]) -> &str {
    match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
    }
}

impl Block<'_> {
    /// What is encoded. `None`: it is not complete, not base64, or protected by a passphrase.
    pub fn der(&self) -> Option<Vec<u8>> {
        if !self.closed {
            return None;
        }
        let letters: String = self.body.chars().filter(|c| !c.is_whitespace()).collect();
        BASE64.decode(letters).ok().filter(|der| !der.is_empty())
    }

    /// Its header says that a passphrase is needed.
    fn is_encrypted(&self) -> bool {
        self.label.starts_with("ENCRYPTED") || self.body.contains("ENCRYPTED")
    }

    /// Why [`Block::der`] has nothing to give.
    fn problem(&self) -> &'static str {
        if self.is_encrypted() {
            "is protected by a passphrase, which nobody can type here; write it without one with 'openssl pkey'"
        } else if !self.closed {
            "has no END line that fits its BEGIN line, it seems to be cut off"
        } else if self.body.contains("\\n") || self.body.contains("\\r") {
            "holds '\\n' as two characters where line breaks should be"
        } else {
            "is damaged: what stands between its BEGIN and END lines is not base64"
        }
    }
}

/// What a file is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemKind {
    Certificate,
    PrivateKey,
}

impl PemKind {
    fn is(self, label: &str) -> bool {
        match self {
            PemKind::Certificate => matches!(label, "CERTIFICATE" | "X509 CERTIFICATE"),
            PemKind::PrivateKey => {
                matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY")
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            PemKind::Certificate => "certificate",
            PemKind::PrivateKey => "private key",
        }
    }

    /// The command that makes PEM of DER.
    fn command(self) -> &'static str {
        match self {
            PemKind::Certificate => "openssl x509 -inform der",
            PemKind::PrivateKey => "openssl pkey -inform der",
        }
    }
}

/// All that a file holds of what is wanted, with its label, in its order: at least one.
///
/// # Errors
/// Why it holds none, or which one is damaged, without any of its contents.
pub fn read(text: &[u8], wanted: PemKind) -> Result<Vec<(&str, Vec<u8>)>, String> {
    let blocks = blocks(text);
    let mut found = Vec::new();
    for block in blocks.iter().filter(|block| wanted.is(block.label)) {
        let der = block.der().ok_or_else(|| {
            let number = match found.len() {
                0 => String::new(),
                before => format!(" number {}", before + 1),
            };
            format!("its {}{number} {}", wanted.name(), block.problem())
        })?;
        found.push((block.label, der));
    }
    if found.is_empty() {
        return Err(missing(text, &blocks, wanted));
    }
    Ok(found)
}

fn missing(text: &[u8], blocks: &[Block<'_>], wanted: PemKind) -> String {
    let name = wanted.name();
    if text.iter().all(u8::is_ascii_whitespace) {
        return "is empty".to_owned();
    }
    if let Some(block) = blocks.iter().find(|block| block.is_encrypted()) {
        return format!("its {name} {}", block.problem());
    }
    if let Some(block) = blocks.first() {
        return other(block.label, wanted);
    }
    let text_is = |start: &[u8]| text.starts_with(start);
    if text_is(b"\x30") {
        return format!("is DER, not PEM; convert it with '{}'", wanted.command());
    }
    if text_is(b"\xff\xfe") || text_is(b"\xfe\xff") {
        return "is UTF-16; save it as plain text".to_owned();
    }
    if longest_text(text).contains("BEGIN") {
        return format!("holds no PEM {name}; its BEGIN line is damaged");
    }
    format!("holds no PEM {name}; there is no BEGIN line in it")
}

/// It holds something else.
fn other(label: &str, wanted: PemKind) -> String {
    let name = wanted.name();
    let hint = match (label, wanted) {
        ("CERTIFICATE", PemKind::PrivateKey) => {
            "a certificate; are the files of certificate and key swapped?"
        }
        (label, PemKind::Certificate) if label.ends_with("PRIVATE KEY") => {
            "a private key; are the files of certificate and key swapped?"
        }
        ("OPENSSH PRIVATE KEY", _) => {
            "a key in OpenSSH's form; convert it with 'ssh-keygen -p -m PKCS8'"
        }
        ("PUBLIC KEY" | "RSA PUBLIC KEY", _) => "a public key",
        ("CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST", _) => {
            "a request for a certificate; the CA's answer to it is wanted"
        }
        ("TRUSTED CERTIFICATE", _) => {
            "a certificate in OpenSSL's own form; convert it with 'openssl x509'"
        }
        ("PKCS7", _) => "PKCS#7; convert it with 'openssl pkcs7 -print_certs'",
        ("EC PARAMETERS", _) => "the parameters of a key only; the key itself is missing",
        (_, PemKind::Certificate | PemKind::PrivateKey) => "something else",
    };
    format!("holds no PEM {name}, but {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQF\n-----END CERTIFICATE-----\n";

    fn read_one(text: &str) -> Vec<u8> {
        read(text.as_bytes(), PemKind::Certificate).unwrap()[0]
            .1
            .clone()
    }

    #[test]
    fn line_lengths_line_ends_and_blanks_do_not_matter() {
        let body = [0, 1, 2, 3, 4, 5];
        for text in [
            PEM.to_owned(),
            PEM.replace('\n', "\r\n"),
            PEM.replace('\n', " \t\n"),
            PEM.replace("AAEC\nAwQF", "AAECAwQF"),
            PEM.replace("AAEC\nAwQF", "A\nA\nEC\n\nAwQF"),
            PEM.replace('\n', ""),
            format!("\u{feff}Bag Attributes\n  é: x\n{PEM}and more"),
        ] {
            assert_eq!(read_one(&text), body, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_said_without_a_word_of_it() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----\n";
        for (text, words) in [
            ("", "is empty"),
            ("hello", "no BEGIN line"),
            (PEM, "swapped"),
            ("0\u{1}\u{2}", "is DER"),
            (&key.replace('\n', "\\n"), "two characters"),
            (&key.replace("-----END PRIVATE KEY-----", ""), "cut off"),
            (&key.replace("MIGH", "MI?H"), "not base64"),
            (&key.replace("MIGHAgEA", ""), "not base64"),
            (
                &key.replace("-----BEGIN", "----BEGIN"),
                "BEGIN line is damaged",
            ),
            (
                &key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
                "passphrase",
            ),
            (
                &key.replace("MIGH", "Proc-Type: 4,ENCRYPTED\n\nMIGH"),
                "passphrase",
            ),
            (&key.replace("PRIVATE", "PUBLIC"), "a public key"),
            (&key.replace("PRIVATE", "OPENSSH PRIVATE"), "ssh-keygen"),
        ] {
            let why = read(text.as_bytes(), PemKind::PrivateKey).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
            assert!(!why.contains("MIGH") && !why.contains("AgEA"), "{why}");
        }
    }

    #[test]
    fn the_damaged_one_of_several_is_named() {
        let text = format!("{PEM}{PEM}{}", PEM.replace("AAEC", "A!EC"));
        let why = read(text.as_bytes(), PemKind::Certificate).unwrap_err();
        assert!(
            why.starts_with("its certificate number 3 is damaged"),
            "{why}"
        );
    }

    #[test]
    fn no_file_makes_reading_panic() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let mut bytes = PEM.as_bytes().to_vec();
            for _ in 0..random.usize(1..5) {
                let at = random.usize(..bytes.len());
                match random.u8(..3) {
                    0 => bytes[at] = random.u8(..),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, b'-'),
                }
            }
            let _ = read(&bytes, PemKind::Certificate);
            let _ = read(&bytes, PemKind::PrivateKey);
        }
    }
}
