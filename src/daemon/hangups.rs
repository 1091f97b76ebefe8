//! Pure: SIGHUP that comes again and again is one order a second.

use std::time::{Duration, Instant};

const FLOOR: Duration = Duration::from_secs(1);

/// The signals that are not carried out yet.
#[derive(Debug, Default)]
pub struct Hangups {
    count: u32,
    last: Option<Instant>,
}

impl Hangups {
    /// One has come.
    pub fn came(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// When they are to be carried out. `None`: there are none.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let earliest = self.last.map_or(now, |last| last + FLOOR);
        (self.count > 0).then_some(earliest)
    }

    /// They are carried out, as one. Gives how many there were.
    pub fn take(&mut self, now: Instant) -> u32 {
        self.last = Some(now);
        std::mem::take(&mut self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_counts_at_once_and_the_rest_of_its_second_together() {
        let mut hangups = Hangups::default();
        let now = Instant::now();
        assert_eq!(hangups.due(now), None);
        hangups.came();
        assert_eq!(hangups.due(now), Some(now));
        assert_eq!(hangups.take(now), 1);
        for _ in 0..3000 {
            hangups.came();
        }
        assert_eq!(hangups.due(now), Some(now + FLOOR));
        assert_eq!(hangups.take(now + FLOOR), 3000);
        assert_eq!(hangups.due(now + FLOOR), None);
    }
}
