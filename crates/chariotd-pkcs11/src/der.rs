//! Pure: as much of DER as a public key and an ECDSA signature need.

pub const SEQUENCE: u8 = 0x30;
pub const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;

const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const RSA_ENCRYPTION: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// The object identifiers of the curves that TLS knows here.
pub const P_256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub const P_384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// SubjectPublicKeyInfo of an elliptic-curve key. `point`: as the token gives it, in an OCTET STRING or bare.
pub fn ec_public_key(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let bare = match read(point) {
        Some((OCTET_STRING, inner, [])) if inner.first() == Some(&4) => inner,
        _ => point,
    };
    public_key(&[EC_PUBLIC_KEY, curve].concat(), bare)
}

/// SubjectPublicKeyInfo of an RSA key.
pub fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = tagged(SEQUENCE, &[unsigned(modulus), unsigned(exponent)].concat());
    public_key(RSA_ENCRYPTION, &key)
}

fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = tagged(BIT_STRING, &[&[0], key].concat());
    tagged(SEQUENCE, &[tagged(SEQUENCE, algorithm), bits].concat())
}

/// The key itself in a SubjectPublicKeyInfo: the point of an elliptic-curve key, RSAPublicKey of an RSA key.
pub fn key_bits(info: &[u8]) -> Option<&[u8]> {
    let (_, _, bits) = parts(info)?;
    Some(bits)
}

/// What kind of key it is.
pub fn curve(info: &[u8]) -> Option<Curve> {
    let (algorithm, parameters, _) = parts(info)?;
    match (algorithm, parameters) {
        (algorithm, _) if algorithm == &RSA_ENCRYPTION[..11] => Some(Curve::None),
        (EC_PUBLIC_KEY, P_256) => Some(Curve::P256),
        (EC_PUBLIC_KEY, P_384) => Some(Curve::P384),
        _ => None,
    }
}

/// An RSA key has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    None,
    P256,
    P384,
}

/// The algorithm's identifier, its parameters, and the key.
fn parts(info: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (SEQUENCE, inner, []) = read(info)? else {
        return None;
    };
    let (SEQUENCE, algorithm, rest) = read(inner)? else {
        return None;
    };
    let (BIT_STRING, [0, bits @ ..], []) = read(rest)? else {
        return None;
    };
    let (_, _, parameters) = read(algorithm)?;
    let (identifier, parameters) = algorithm.split_at(algorithm.len() - parameters.len());
    Some((identifier, parameters, bits))
}

/// From the two numbers of equal width that a token gives to what TLS takes.
pub fn ecdsa_signature(both: &[u8]) -> Option<Vec<u8>> {
    if both.is_empty() || !both.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = both.split_at(both.len() / 2);
    Some(tagged(SEQUENCE, &[unsigned(r), unsigned(s)].concat()))
}

fn unsigned(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0);
    let digits = start.map_or(&[0][..], |start| &number[start..]);
    if digits.first().is_some_and(|first| first & 0x80 != 0) {
        tagged(INTEGER, &[&[0], digits].concat())
    } else {
        tagged(INTEGER, digits)
    }
}

fn tagged(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match contents.len() {
        short @ 0..=0x7f => bytes.push(short as u8),
        length => {
            let length = length.to_be_bytes();
            let digits = length.iter().skip_while(|byte| **byte == 0);
            bytes.push(0x80 | digits.clone().count() as u8);
            bytes.extend(digits);
        }
    }
    bytes.extend_from_slice(contents);
    bytes
}

/// The first element: its tag, its contents, and what follows. `None`: it is cut off, or longer than 4 GiB.
pub fn read(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let digits = usize::from(length & 0x7f);
            let (digits, rest) = rest.split_at_checked(digits)?;
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_minimal_positive_numbers() {
        let mut both = [0; 64];
        both[31] = 1;
        both[32] = 0x80;
        let der = ecdsa_signature(&both).unwrap();
        assert_eq!(der[..6], [0x30, 3 + 35, 2, 1, 1, 2]);
        assert_eq!(der[6..9], [33, 0, 0x80]);
        assert_eq!(
            ecdsa_signature(&[0, 0]),
            Some(vec![0x30, 6, 2, 1, 0, 2, 1, 0])
        );
        // Of the curve P-521, whose length needs a byte of its own.
        assert_eq!(
            ecdsa_signature(&[0x7f; 132]).unwrap()[..5],
            [0x30, 0x81, 136, 2, 66]
        );
        assert_eq!(ecdsa_signature(&[]), None);
        assert_eq!(ecdsa_signature(&[1, 2, 3]), None);
    }

    #[test]
    fn a_point_counts_with_and_without_its_wrapping() {
        let point = [&[4][..], &[7; 64]].concat();
        let wrapped = [&[0x04, 65][..], &point].concat();
        let info = ec_public_key(P_256, &point);
        assert_eq!(info, ec_public_key(P_256, &wrapped));
        assert_eq!(info.len(), 91);
        assert_eq!(key_bits(&info), Some(&point[..]));
        assert_eq!(curve(&info), Some(Curve::P256));
        let point = [&[4][..], &[7; 96]].concat();
        assert_eq!(curve(&ec_public_key(P_384, &point)), Some(Curve::P384));
    }

    #[test]
    fn an_rsa_key_is_put_together() {
        let info = rsa_public_key(&[0xc0; 256], &[0, 1, 0, 1]);
        assert_eq!(info.len(), 294);
        assert_eq!(curve(&info), Some(Curve::None));
        assert_eq!(
            key_bits(&info).unwrap()[..9],
            [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0]
        );
    }

    #[test]
    fn no_bytes_make_reading_panic() {
        let mut random = fastrand::Rng::with_seed(5);
        let whole = ec_public_key(P_256, &[4; 65]);
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            bytes.truncate(random.usize(..=whole.len()));
            for _ in 0..random.usize(..4) {
                let at = random.usize(..bytes.len().max(1));
                bytes
                    .get_mut(at)
                    .into_iter()
                    .for_each(|byte| *byte = random.u8(..));
            }
            let _ = (
                key_bits(&bytes),
                curve(&bytes),
                ec_public_key(P_256, &bytes),
            );
        }
    }
}
