//! A message that is repeated is logged once and then counted.

use std::fmt;

use log::Level;

/// Decides which repetitions of one message are worth a line: the first, and then at 2, 4, 8, …
/// in a row. A different message starts afresh.
#[derive(Debug, Default)]
pub struct LogThrottle {
    last: String,
    count: u32,
}

impl LogThrottle {
    /// How often `message` has come in a row now.
    pub fn count(&mut self, message: &str) -> u32 {
        if self.last != message {
            self.last = message.to_owned();
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count
    }

    /// The next time of this message: its level is `loud` if it is worth a line, and debug otherwise.
    pub fn again(&mut self, loud: Level, message: &str) -> Repetition {
        Repetition::new(loud, self.count(message))
    }

    pub fn clear(&mut self) {
        *self = LogThrottle::default();
    }
}

/// One more time of a message. Shown it is " (3 times in a row)", and nothing the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetition {
    pub level: Level,
    pub count: u32,
}

impl Repetition {
    pub fn new(loud: Level, count: u32) -> Repetition {
        let level = match worth_a_line(count) {
            true => loud,
            false => Level::Debug,
        };
        Repetition { level, count }
    }
}

impl fmt::Display for Repetition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 | 1 => Ok(()),
            count => write!(f, " ({count} times in a row)"),
        }
    }
}

/// Whether the `count`th repetition is worth a line.
pub fn worth_a_line(count: u32) -> bool {
    count.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_reported_once_and_then_counted() {
        let mut repeats = LogThrottle::default();
        let told: Vec<u32> = (0..20)
            .map(|_| repeats.count("tcp: refused"))
            .filter(|n| worth_a_line(*n))
            .collect();
        assert_eq!(told, [1, 2, 4, 8, 16]);
        let next = repeats.again(Level::Warn, "tcp: refused");
        assert_eq!(
            (next.level, next.to_string()),
            (Level::Debug, " (21 times in a row)".to_owned())
        );
        assert_eq!(
            repeats.count("dns: no such host"),
            1,
            "another failure is told at once"
        );
    }
}
