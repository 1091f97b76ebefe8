//! Pure: from when to when a certificate is valid, and whose key is in it. Reads, and verifies nothing.

use std::time::{Duration, SystemTime};

use chariotd_pkcs11::der::{self, INTEGER, SEQUENCE};

use crate::date;

const DAY: Duration = Duration::from_secs(86_400);
/// The version of a certificate, which those of version 1 do not have.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const UNREADABLE: &str = "holds a certificate that cannot be read";

/// The time in which a certificate is valid, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

/// What the present means for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    NotYetValid,
    /// Whole days left.
    Valid {
        days: u64,
    },
    Expired,
}

impl Validity {
    /// Of a certificate in DER.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(certificate: &[u8]) -> Result<Validity, String> {
        let (mut validity, _) = parts(certificate).ok_or(UNREADABLE)?;
        let mut next = || time(&mut validity).ok_or(UNREADABLE);
        Ok(Validity {
            not_before: next()?,
            not_after: next()?,
        })
    }

    pub fn age(&self, now: SystemTime) -> Age {
        if now < self.not_before {
            return Age::NotYetValid;
        }
        match self.not_after.duration_since(now) {
            Ok(left) => Age::Valid {
                days: left.as_secs() / DAY.as_secs(),
            },
            Err(_) => Age::Expired,
        }
    }
}

/// The public key in a certificate of any version: its bits, without the algorithm, which is written in
/// several ways.
///
/// # Errors
/// It cannot be read.
pub fn public_key(certificate: &[u8]) -> Result<Vec<u8>, String> {
    let key = parts(certificate).and_then(|(_, info)| der::key_bits(info));
    Ok(key.ok_or(UNREADABLE)?.to_vec())
}

/// The same with the algorithm, a SubjectPublicKeyInfo.
///
/// # Errors
/// It cannot be read.
pub fn public_key_info(certificate: &[u8]) -> Result<Vec<u8>, String> {
    let (_, info) = parts(certificate).ok_or(UNREADABLE)?;
    Ok(info.to_vec())
}

/// Of a certificate in DER: what is in its validity, and its whole SubjectPublicKeyInfo.
fn parts(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (SEQUENCE, mut signed, []) = der::read(certificate)? else {
        return None;
    };
    let mut parts = take(&mut signed, SEQUENCE)?;
    let _algorithm = take(&mut signed, SEQUENCE)?;
    if parts.first() == Some(&VERSION) {
        take(&mut parts, VERSION)?;
    }
    let _serial = take(&mut parts, INTEGER)?;
    let _algorithm = take(&mut parts, SEQUENCE)?;
    let _issuer = take(&mut parts, SEQUENCE)?;
    let validity = take(&mut parts, SEQUENCE)?;
    let _subject = take(&mut parts, SEQUENCE)?;
    let from_key = parts;
    take(&mut parts, SEQUENCE)?;
    Some((validity, &from_key[..from_key.len() - parts.len()]))
}

/// The contents of the next element, which is to have this tag.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, contents, rest) = der::read(bytes)?;
    *bytes = rest;
    (found == tag).then_some(contents)
}

/// The year has two digits until 2049 and four from then on.
fn time(bytes: &mut &[u8]) -> Option<SystemTime> {
    let (tag, contents, rest) = der::read(bytes)?;
    *bytes = rest;
    let text = std::str::from_utf8(contents).ok()?;
    match tag {
        UTC_TIME if text < "50" => date::compact(&format!("20{text}")),
        UTC_TIME => date::compact(&format!("19{text}")),
        GENERALIZED_TIME => date::compact(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// Valid from 2026-01-01 to 2027-01-01.
    fn certificate() -> Vec<u8> {
        certificate_of(&rcgen::KeyPair::generate().unwrap(), 2026, 2027)
    }

    /// Valid from the beginning of the one year to that of the other.
    fn certificate_of(key: &rcgen::KeyPair, from: i32, to: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params.self_signed(key).unwrap().der().to_vec()
    }

    fn at(days_since_2026: i64) -> SystemTime {
        let begin = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let days = DAY * u32::try_from(days_since_2026.abs()).unwrap();
        if days_since_2026 < 0 {
            begin - days
        } else {
            begin + days
        }
    }

    #[test]
    fn the_validity_is_read() {
        let validity = Validity::of(&certificate()).unwrap();
        let dates = [validity.not_before, validity.not_after].map(date::extended);
        assert_eq!(dates, ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]);
    }

    #[test]
    fn a_year_has_two_digits_or_four() {
        let key = rcgen::KeyPair::generate().unwrap();
        for (from, to) in [(1970, 1999), (2000, 2049), (2049, 2050), (2050, 9999)] {
            let validity = Validity::of(&certificate_of(&key, from, to)).unwrap();
            let dates = [validity.not_before, validity.not_after].map(date::extended);
            assert_eq!(
                dates,
                [from, to].map(|year| format!("{year}-01-01T00:00:00Z"))
            );
        }
    }

    #[test]
    fn the_key_is_found() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = certificate_of(&key, 2026, 2027);
        let info = public_key_info(&certificate).unwrap();
        assert_eq!(info, rcgen::PublicKeyData::subject_public_key_info(&key));
        assert_eq!(
            public_key(&certificate).unwrap(),
            rcgen::PublicKeyData::der_bytes(&key)
        );
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        for bytes in [&b""[..], b"text", &[0; 9]] {
            assert!(Validity::of(bytes).is_err(), "{bytes:?}");
            assert!(public_key(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_off_or_goes_on_is_an_error() {
        let certificate = certificate();
        for length in 0..certificate.len() {
            assert!(Validity::of(&certificate[..length]).is_err(), "{length}");
            assert!(public_key(&certificate[..length]).is_err(), "{length}");
        }
        assert!(Validity::of(&[&certificate[..], b"\0"].concat()).is_err());
    }

    #[test]
    fn no_byte_of_a_certificate_is_believed() {
        let certificate = certificate();
        for at in 0..certificate.len() {
            for flip in [0x01, 0x20, 0x80, 0xff] {
                let mut other = certificate.clone();
                other[at] ^= flip;
                let _ = (Validity::of(&other), public_key(&other));
            }
        }
    }

    #[test]
    fn a_certificate_has_whole_days_left() {
        let validity = Validity::of(&certificate()).unwrap();
        for (day, expect) in [
            (-1, Age::NotYetValid),
            (0, Age::Valid { days: 365 }),
            (364, Age::Valid { days: 1 }),
            (365, Age::Valid { days: 0 }),
            (366, Age::Expired),
        ] {
            assert_eq!(validity.age(at(day)), expect, "day {day}");
        }
    }
}
