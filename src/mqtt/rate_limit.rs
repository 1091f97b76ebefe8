//! Pure: how fast a connection may publish, so that a backlog stays below what the cloud takes and none
//! of it is refused or, with MQTT 3.1.1, silently dropped.

use std::time::{Duration, Instant};

/// What a connection may publish a second; `None`: as much as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub messages: Option<u32>,
    /// Bytes of payload.
    pub bytes: Option<u32>,
}

impl Rates {
    /// What AWS IoT Core takes from one connection unless the account has another quota.
    pub const AWS: Rates = Rates {
        messages: Some(100),
        bytes: Some(512 * 1024),
    };
}

/// So much time may be made up for after a pause, in which nothing was sent or the timer was late.
const BURST: Duration = Duration::from_millis(20);
/// The share of a rate that is used: what is made up for must fit into the same second.
const SHARE: f64 = 0.97;

/// The pace of one connection.
#[derive(Debug)]
pub struct RateLimiter {
    messages: Meter,
    bytes: Meter,
}

impl RateLimiter {
    pub fn new(rates: Rates, now: Instant) -> Self {
        RateLimiter {
            messages: Meter::new(rates.messages, now),
            bytes: Meter::new(rates.bytes, now),
        }
    }

    /// When the next publish may go, if not at once.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let due = self.messages.due.max(self.bytes.due);
        (due > now).then_some(due)
    }

    /// A publish with so many bytes of payload goes.
    pub fn sent(&mut self, bytes: usize, now: Instant) {
        self.messages.add(1, now);
        self.bytes.add(bytes, now);
    }
}

/// Spaces out units so that there are never more than the rate allows.
#[derive(Debug)]
struct Meter {
    /// The time that one unit takes.
    unit: Duration,
    due: Instant,
}

impl Meter {
    fn new(rate: Option<u32>, now: Instant) -> Self {
        let unit = rate
            .filter(|rate| *rate > 0)
            .map_or(Duration::ZERO, |rate| {
                Duration::from_secs_f64(1.0 / (f64::from(rate) * SHARE))
            });
        Meter { unit, due: now }
    }

    fn add(&mut self, units: usize, now: Instant) {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        self.due = self.due.max(earliest) + self.unit.saturating_mul(units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many publishes of so many bytes go within the first second and within each later one.
    fn sent(rates: Rates, bytes: usize) -> Vec<usize> {
        let start = Instant::now();
        let mut pace = RateLimiter::new(rates, start);
        let mut now = start;
        let mut counts = vec![0; 3];
        while let Some(count) = counts.get_mut((now - start).as_secs() as usize) {
            match pace.due(now) {
                // A timer is never early, and here always late.
                Some(due) => now = due + Duration::from_millis(3),
                None => {
                    pace.sent(bytes, now);
                    *count += 1;
                }
            }
            if *count > 100_000 {
                break;
            }
        }
        counts
    }

    #[test]
    fn no_second_has_more_than_the_rate_and_little_is_given_away() {
        for count in sent(Rates::AWS, 10) {
            assert!((94..=100).contains(&count), "{count}");
        }
    }

    #[test]
    fn large_payloads_are_paced_by_their_bytes() {
        let counts = sent(Rates::AWS, 128 * 1024);
        assert!(
            counts.iter().all(|count| (3..=4).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let now = Instant::now();
        let mut pace = RateLimiter::new(Rates::default(), now);
        for _ in 0..1000 {
            assert_eq!(pace.due(now), None);
            pace.sent(128 * 1024, now);
        }
    }

    #[test]
    fn a_quiet_time_is_not_saved_up() {
        let start = Instant::now();
        let mut pace = RateLimiter::new(Rates::AWS, start);
        let now = start + Duration::from_secs(3600);
        let mut burst = 0;
        while pace.due(now).is_none() {
            pace.sent(10, now);
            burst += 1;
        }
        assert!(burst <= 3, "{burst}");
    }
}
