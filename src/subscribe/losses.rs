//! What is logged of messages that were not handled: the first of its kind at once, and then a
//! count.

use log::{Level, info, log};

use super::backlog::{MOST, MOST_BYTES};
use crate::log_throttle::LogThrottle;

/// The losses of one option. Two kinds are counted apart, because a handler that hangs causes both in
/// turn, and each would make the other look new.
#[derive(Debug)]
pub struct Losses {
    /// What the option is called in the log.
    label: String,
    failures: LogThrottle,
    overflows: LogThrottle,
    in_a_row: u64,
}

impl Losses {
    pub fn new(label: String) -> Losses {
        Losses {
            label,
            failures: LogThrottle::default(),
            overflows: LogThrottle::default(),
            in_a_row: 0,
        }
    }

    /// A message could not be handled.
    pub fn failed(&mut self, topic: &str, reason: &str) {
        self.in_a_row += 1;
        let again = self.failures.again(Level::Warn, reason);
        log!(
            again.level,
            "the message on '{topic}' is lost: {reason}{again}"
        );
    }

    /// There was no room for a message.
    pub fn overflowed(&mut self, topic: &str) {
        self.in_a_row += 1;
        let label = &self.label;
        let reason = format!(
            "{label} already has {MOST} messages or {} KiB waiting, the most allowed",
            MOST_BYTES / 1024
        );
        let again = self.overflows.again(Level::Warn, &reason);
        log!(
            again.level,
            "the message on '{topic}' is lost: {reason}{again}"
        );
    }

    /// A message was handled. `idle`: and none waits.
    pub fn handled(&mut self, idle: bool) {
        self.failures.clear();
        if !idle {
            return;
        }
        self.overflows.clear();
        if self.in_a_row > 1 {
            let (label, lost) = (&self.label, self.in_a_row);
            info!("{label} works again, {lost} messages were lost");
        }
        self.in_a_row = 0;
    }
}
