//! Pure: which postponements of requests are worth a line. One cause may hit many requests, many
//! times, in turn with others: each is logged once and then counted.

use std::collections::BTreeMap;

use super::Name;

/// Causes that are known at one time. With more, all are logged again.
const MOST: usize = 32;

/// The causes for which requests of one directory were postponed.
#[derive(Debug, Default)]
pub struct Postponements {
    /// How often, and the request that was hit first.
    causes: BTreeMap<String, (u64, Name)>,
}

impl Postponements {
    /// A request was postponed. Gives how often that was for this cause, if it is worth a line: at 1,
    /// 10, 100, ...
    pub fn postponed(&mut self, name: &Name, cause: &str) -> Option<u64> {
        if self.causes.len() >= MOST && !self.causes.contains_key(cause) {
            self.causes.clear();
        }
        let (count, _) = self
            .causes
            .entry(cause.to_owned())
            .or_insert_with(|| (0, name.clone()));
        *count += 1;
        is_power_of_ten(*count).then_some(*count)
    }

    /// A request has come to its end: what hit it first is over.
    pub fn ended(&mut self, name: &Name) {
        self.causes.retain(|_, (_, first)| first != name);
    }
}

fn is_power_of_ten(count: u64) -> bool {
    count
        .checked_ilog10()
        .is_some_and(|n| count == 10_u64.pow(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_ref())
    }

    #[test]
    fn causes_that_come_in_turn_are_each_logged_once_and_then_counted() {
        let mut troubles = Postponements::default();
        let mut told = Vec::new();
        for _ in 0..50 {
            told.extend(troubles.postponed(&name("a"), "disk full"));
            told.extend(troubles.postponed(&name("b"), "an earlier one waits"));
            told.extend(troubles.postponed(&name("c"), "an earlier one waits"));
        }
        told.sort();
        assert_eq!(told, [1, 1, 10, 10, 100]);
        assert_eq!(troubles.postponed(&name("c"), "another"), Some(1));
    }

    #[test]
    fn a_cause_that_comes_back_is_reported_again() {
        let mut troubles = Postponements::default();
        assert_eq!(troubles.postponed(&name("a"), "disk full"), Some(1));
        troubles.ended(&name("b"));
        assert_eq!(troubles.postponed(&name("b"), "disk full"), None);
        troubles.ended(&name("a"));
        assert_eq!(troubles.postponed(&name("b"), "disk full"), Some(1));
    }

    #[test]
    fn the_memory_has_a_bound() {
        let mut troubles = Postponements::default();
        for n in 0..1000 {
            assert_eq!(troubles.postponed(&name("a"), &n.to_string()), Some(1));
        }
        assert!(troubles.causes.len() <= MOST);
    }
}
