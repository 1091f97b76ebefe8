//! Pure: the query part of a URL, and percent-encoding.

/// Names and values, decoded, in the order in which they were sent.
pub(crate) type Pairs = Vec<(String, String)>;

/// `None` if a percent sign is not followed by two hex digits, or what is encoded is not UTF-8.
pub(crate) fn parse(raw: &str) -> Option<Pairs> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    };
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    pairs.map(pair).collect()
}

/// The first value of this name.
pub(crate) fn find<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

/// A plus sign is a space, as in forms: whoever sends a base64 text without encoding it loses its plus signs.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Encodes everything but letters, digits and `-._~`, with upper-case hex digits, as SigV4 wants it.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Pairs {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        of.iter().map(owned).collect()
    }

    #[test]
    fn names_and_values_are_decoded_in_order() {
        let check = |raw, expected: Option<&[(&str, &str)]>| {
            assert_eq!(parse(raw), expected.map(pairs), "{raw}");
        };
        check("", Some(&[]));
        check("b=2&a=1", Some(&[("b", "2"), ("a", "1")]));
        check("a&b=", Some(&[("a", ""), ("b", "")]));
        check("a=x%2Fy%3d=z", Some(&[("a", "x/y==z")]));
        check("a=%C3%BC", Some(&[("a", "ü")]));
        check("a=1+2", Some(&[("a", "1 2")]));
        for malformed in ["a=%2", "a=%zz", "a=%ff", "%=1"] {
            check(malformed, None);
        }
    }

    #[test]
    fn what_was_encoded_is_decoded_to_the_same() {
        let text = "AZaz09-._~ /+=&?%ü";
        assert_eq!(encode(text), "AZaz09-._~%20%2F%2B%3D%26%3F%25%C3%BC");
        assert_eq!(decode(&encode(text)).as_deref(), Some(text));
    }
}
