//! Pure: how often a shadow is fetched, and how often it is updated with what nobody has asked for.

use std::time::{Duration, Instant};

/// After a request that has failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(128);
/// Between two fetches, and between two updates that nobody has asked for.
const FLOOR: Duration = Duration::from_secs(1);
/// The floor doubles so often when somebody else undoes what we report: up to 1024 s.
const MOST_DOUBLINGS: u32 = 10;
/// After so many times the pause without being undone, and at least a minute, the next time is the
/// first.
const FORGOTTEN: u32 = 4;
const MINUTE: Duration = Duration::from_secs(60);
/// So often in a row is no accident.
const NEWS: u32 = 3;

/// When the next fetch and the next update are due that nobody waits for.
#[derive(Debug, Default)]
pub struct Pace {
    fetched: Option<Instant>,
    told: Option<Instant>,
    undone: u32,
}

impl Pace {
    /// No fetch before this. `None`: at once.
    pub fn fetch_due(&self) -> Option<Instant> {
        Some(self.fetched? + FLOOR)
    }

    pub fn fetched(&mut self, now: Instant) {
        self.fetched = Some(now);
    }

    /// No update that nobody has asked for before this. `None`: at once.
    pub fn update_due(&self) -> Option<Instant> {
        Some(self.told? + self.pause())
    }

    /// The time between two such updates.
    pub fn pause(&self) -> Duration {
        FLOOR * 2u32.pow(self.undone)
    }

    /// Such an update is sent. `again`: it holds what the cloud had accepted before, so somebody
    /// else has undone that. Returns whether that is worth a line.
    pub fn told(&mut self, now: Instant, again: bool) -> bool {
        let memory = MINUTE.max(self.pause() * FORGOTTEN);
        if self.told.is_none_or(|last| now > last + memory) {
            self.undone = 0;
        }
        self.told = Some(now);
        if again {
            self.undone = (self.undone + 1).min(MOST_DOUBLINGS);
        }
        again && self.undone == NEWS
    }
}

/// How long to rest after so many failures in a row. Doubles with each; the jitter takes away up to all
/// of it but keeps it from zero.
pub fn pause_after(failures: u32, jitter: f64) -> Duration {
    let whole = FIRST_PAUSE
        .saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)))
        .min(LONGEST_PAUSE);
    whole.mul_f64(0.1 + 0.9 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_who_undoes_what_we_say_makes_it_rarer_and_is_news_once() {
        let mut pace = Pace::default();
        let (mut now, mut pauses, mut news) = (Instant::now(), Vec::new(), 0);
        for again in [false].into_iter().chain([true; 12]) {
            now = pace.update_due().unwrap_or(now);
            news += u32::from(pace.told(now, again));
            pauses.push(pace.pause().as_secs());
        }
        assert_eq!(
            pauses,
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]
        );
        assert_eq!(news, 1);
        assert!(!pace.told(now + Duration::from_secs(5000), true));
        assert_eq!(pace.pause().as_secs(), 2, "it was long ago");
    }
}
