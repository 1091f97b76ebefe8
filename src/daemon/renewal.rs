//! Pure: when a certificate is to be renewed, and when a person is to be warned.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use crate::x509::{Age, Validity};

/// Days left at which the log warns.
const WARNINGS: [u64; 3] = [1, 7, 30];
/// The devices of a fleet renew within this part of the time, so that they do not come all at once.
const SPREAD: f64 = 0.25;

/// What the days left mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemainingDays {
    Fine,
    /// Not valid yet, or no more.
    Useless,
    /// Fewer days left than somebody should wait for. `days` is the warning that is due.
    Warn {
        days: u64,
    },
}

/// What to say about a certificate at this time.
pub fn verdict(validity: Validity, now: SystemTime) -> RemainingDays {
    match validity.age(now) {
        Age::NotYetValid | Age::Expired => RemainingDays::Useless,
        Age::Valid { days } => match WARNINGS.iter().find(|limit| days < **limit) {
            Some(limit) => RemainingDays::Warn { days: *limit },
            None => RemainingDays::Fine,
        },
    }
}

/// Whether a device renews now: when fewer than about so many days are left. Each device has its own
/// share of the spread, always the same.
pub fn due(validity: Validity, now: SystemTime, before: Duration, client_id: &str) -> bool {
    let life = validity
        .not_after
        .duration_since(validity.not_before)
        .unwrap_or_default();
    // A certificate that lives shorter than it is to be renewed before its end would be renewed for
    // ever: it has half of its life in any case.
    let share = before
        .mul_f64(1.0 - SPREAD * fraction(client_id))
        .min(life / 2);
    match validity.age(now) {
        Age::NotYetValid => false,
        Age::Expired => true,
        Age::Valid { .. } => validity
            .not_after
            .duration_since(now)
            .is_ok_and(|left| left < share),
    }
}

/// Between 0 and 1, spread evenly over client ids.
fn fraction(client_id: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    client_id.hash(&mut hasher);
    let thousandth = hasher.finish() % 1000;
    f64::from(u16::try_from(thousandth).unwrap_or(0)) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const DAY: Duration = Duration::from_secs(86_400);

    /// Valid from day 100 to day 200.
    fn validity() -> Validity {
        Validity {
            not_before: at(100.0),
            not_after: at(200.0),
        }
    }

    fn at(day: f64) -> SystemTime {
        UNIX_EPOCH + DAY.mul_f64(day)
    }

    #[test]
    fn the_log_warns_at_thirty_seven_and_one_days() {
        for (day, expect) in [
            (99.0, RemainingDays::Useless),
            (100.0, RemainingDays::Fine),
            (169.9, RemainingDays::Fine),
            (170.5, RemainingDays::Warn { days: 30 }),
            (193.5, RemainingDays::Warn { days: 7 }),
            (199.5, RemainingDays::Warn { days: 1 }),
            (200.5, RemainingDays::Useless),
        ] {
            assert_eq!(verdict(validity(), at(day)), expect, "day {day}");
        }
    }

    #[test]
    fn a_fleet_renews_within_the_last_quarter_of_the_time_and_each_device_at_its_own() {
        let before = DAY * 40;
        let begins: Vec<u64> = (0..1000)
            .map(|device| {
                let id = format!("device-{device}");
                (0..1000)
                    .find(|tenth| {
                        due(
                            validity(),
                            at(150.0 + f64::from(*tenth) / 10.0),
                            before,
                            &id,
                        )
                    })
                    .map(|tenth| u64::try_from(tenth).unwrap() + 1500)
                    .unwrap()
            })
            .collect();
        let (first, last) = (begins.iter().min().unwrap(), begins.iter().max().unwrap());
        assert!(*first >= 1600 && *last <= 1701, "{first} {last}");
        let early = begins.iter().filter(|begin| **begin < 1650).count();
        assert!(
            (400..600).contains(&early),
            "evenly spread: {early} of 1000"
        );
    }

    #[test]
    fn a_short_life_is_lived_to_its_half_whatever_is_asked_for() {
        let before = DAY * 3650;
        assert!(!due(validity(), at(100.1), before, "x"));
        assert!(!due(validity(), at(149.9), before, "x"));
        assert!(due(validity(), at(150.1), before, "x"));
    }

    #[test]
    fn an_expired_certificate_is_due_and_one_of_the_future_is_not() {
        assert!(due(validity(), at(201.0), DAY, "x"));
        assert!(!due(validity(), at(99.0), DAY * 40, "x"));
        assert!(!due(validity(), at(150.0), DAY * 10, "x"));
    }
}
