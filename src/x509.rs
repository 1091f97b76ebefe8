//! Pure: from when to when a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

const DAY: Duration = Duration::from_secs(86_400);

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
        let certificate = parsed(certificate)?;
        let validity = &certificate.tbs_certificate.validity;
        let time = |time: &x509_cert::time::Time| UNIX_EPOCH + time.to_unix_duration();
        Ok(Validity {
            not_before: time(&validity.not_before),
            not_after: time(&validity.not_after),
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
    let certificate = parsed(certificate)?;
    let info = certificate.tbs_certificate.subject_public_key_info;
    Ok(info.subject_public_key.raw_bytes().to_vec())
}

/// The same with the algorithm, a SubjectPublicKeyInfo.
///
/// # Errors
/// It cannot be read.
pub fn public_key_info(certificate: &[u8]) -> Result<Vec<u8>, String> {
    let certificate = parsed(certificate)?;
    let info = certificate.tbs_certificate.subject_public_key_info;
    info.to_der()
        .map_err(|error| format!("holds a public key that cannot be read: {error}"))
}

/// The bits of a public key that comes as a SubjectPublicKeyInfo. `None`: it is none.
pub fn key_bits(info: &[u8]) -> Option<Vec<u8>> {
    let info = SubjectPublicKeyInfoOwned::from_der(info).ok()?;
    Some(info.subject_public_key.raw_bytes().to_vec())
}

fn parsed(certificate: &[u8]) -> Result<Certificate, String> {
    Certificate::from_der(certificate)
        .map_err(|error| format!("holds a certificate that cannot be read: {error}"))
}

/// A date for the log, such as `2049-12-31T23:59:59Z`.
pub fn date(time: SystemTime) -> String {
    DateTime::from_system_time(time)
        .map_or_else(|_| "an unknown date".to_owned(), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Valid from 2026-01-01 to 2027-01-01.
    fn certificate() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
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
        assert_eq!(date(validity.not_before), "2026-01-01T00:00:00Z");
        assert_eq!(date(validity.not_after), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        for bytes in [&b""[..], b"text", &[0; 9], &certificate()[..100]] {
            assert!(Validity::of(bytes).is_err(), "{bytes:?}");
            assert!(public_key(bytes).is_err(), "{bytes:?}");
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
