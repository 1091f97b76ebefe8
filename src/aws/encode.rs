//! Pure: percent-encoding as AWS wants it, and bytes as hexadecimal digits.

use std::fmt::Write;

/// Leaves nothing but letters, digits and `-._~` as it is.
pub fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Two small digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_unreserved_is_encoded() {
        for (text, expect) in [
            ("", ""),
            ("azAZ09-._~", "azAZ09-._~"),
            ("a/b+c==", "a%2Fb%2Bc%3D%3D"),
            ("a b&c?d", "a%20b%26c%3Fd"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(percent(text), expect, "{text:?}");
        }
    }

    #[test]
    fn hexadecimal_digits_are_small() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
