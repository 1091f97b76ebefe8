//! Pure: how long a full window has gone without any answer while there was a connection.

use std::time::{Duration, Instant};

/// A look that comes later than this after it was due says nothing: the process stood still, or was busy
/// with a slow disk, and answers may wait unread.
const LATE: Duration = Duration::from_millis(250);
/// Then it is looked again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// A stopwatch that runs while the window is full and the link is up, stops otherwise, and starts
/// afresh at each answer.
#[derive(Debug)]
pub struct Jam {
    limit: Duration,
    full: bool,
    up: bool,
    before: Duration,
    running_since: Option<Instant>,
    /// The last look was too late: look again then.
    again: Option<Instant>,
}

impl Jam {
    pub fn new(limit: Duration) -> Self {
        Jam {
            limit,
            full: false,
            up: false,
            before: Duration::ZERO,
            running_since: None,
            again: None,
        }
    }

    pub fn window(&mut self, full: bool, now: Instant) {
        self.full = full;
        self.run(now);
    }

    pub fn link(&mut self, up: bool, now: Instant) {
        self.up = up;
        self.run(now);
    }

    /// The broker answered something.
    pub fn answered(&mut self, now: Instant) {
        self.before = Duration::ZERO;
        self.again = None;
        self.running_since = self.running_since.map(|_| now);
    }

    fn run(&mut self, now: Instant) {
        match (self.full && self.up, self.running_since) {
            (true, None) => self.running_since = Some(now),
            (false, Some(since)) => {
                self.before += now.saturating_duration_since(since);
                self.running_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// When to look.
    pub fn deadline(&self) -> Option<Instant> {
        let due = self.running_since? + self.limit.saturating_sub(self.before);
        Some(self.again.map_or(due, |again| again.max(due)))
    }

    /// Whether it has been too long. Answers that have come must have been passed on before.
    pub fn look(&mut self, now: Instant) -> bool {
        let Some(due) = self.deadline().filter(|due| *due <= now) else {
            return false;
        };
        let late = now.saturating_duration_since(due) > LATE;
        self.again = late.then(|| now + AGAIN);
        !late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_comes_late_says_nothing_until_answers_could_be_read() {
        let start = Instant::now();
        let mut jam = Jam::new(Duration::from_secs(1));
        jam.link(true, start);
        jam.window(true, start);
        let busy = start + Duration::from_secs(4);
        assert!(!jam.look(busy), "the process was busy for 3 s");
        assert_eq!(jam.deadline(), Some(busy + AGAIN));
        assert!(!jam.look(busy + Duration::from_millis(1)));
        assert!(!jam.look(busy + Duration::from_secs(2)), "late again");
        let again = jam.deadline().expect("it runs");
        assert!(jam.look(again), "in time, and nothing has come");
    }

    #[test]
    fn an_answer_after_a_late_look_starts_afresh() {
        let start = Instant::now();
        let mut jam = Jam::new(Duration::from_secs(1));
        jam.link(true, start);
        jam.window(true, start);
        let busy = start + Duration::from_secs(4);
        assert!(!jam.look(busy));
        jam.answered(busy);
        assert_eq!(jam.deadline(), Some(busy + Duration::from_secs(1)));
    }
}
