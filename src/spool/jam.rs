//! Pure: how long a full window has gone without any answer while there was a connection.

use std::time::{Duration, Instant};

/// A stopwatch that runs while the window is full and the link is up, stops otherwise, and starts
/// afresh at each answer.
#[derive(Debug)]
pub struct Jam {
    limit: Duration,
    full: bool,
    up: bool,
    before: Duration,
    running_since: Option<Instant>,
}

impl Jam {
    pub fn new(limit: Duration) -> Self {
        Jam {
            limit,
            full: false,
            up: false,
            before: Duration::ZERO,
            running_since: None,
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

    pub fn deadline(&self) -> Option<Instant> {
        self.running_since
            .map(|since| since + self.limit.saturating_sub(self.before))
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|due| due <= now)
    }
}
