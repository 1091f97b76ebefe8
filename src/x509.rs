//! Pure: from when to when a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::Certificate;
use x509_cert::der::{DateTime, DecodePem};

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
    /// Of the first certificate in a PEM file.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(pem: &[u8]) -> Result<Validity, String> {
        let block = first_block(pem).ok_or("it holds no PEM certificate")?;
        let first = Certificate::from_pem(block).map_err(|error| error.to_string())?;
        let validity = &first.tbs_certificate.validity;
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

/// The file may hold other things before and behind it.
fn first_block(pem: &[u8]) -> Option<&[u8]> {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let find = |text: &[u8], from: &[u8]| from.windows(text.len()).position(|it| it == text);
    let block = &pem[find(b"-----BEGIN CERTIFICATE-----", pem)?..];
    let length = find(END, block)? + END.len();
    Some(&block[..length])
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
    fn pem() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem().into_bytes()
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
    fn the_validity_is_read_from_the_first_certificate() {
        let validity = Validity::of(&pem()).unwrap();
        assert_eq!(date(validity.not_before), "2026-01-01T00:00:00Z");
        assert_eq!(date(validity.not_after), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn what_stands_around_a_certificate_does_not_matter() {
        let text = [&b"Bag Attributes\n  name: x\n"[..], &pem(), b"\n", &pem()].concat();
        let validity = Validity::of(&text).unwrap();
        assert_eq!(date(validity.not_before), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        for text in [
            "",
            "text",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(Validity::of(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_certificate_has_whole_days_left() {
        let validity = Validity::of(&pem()).unwrap();
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
