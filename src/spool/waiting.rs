//! Pure: the names that wait on disk and are not in the queue yet, in the order in which they are to be
//! taken. Only the first of them are held; another look at the directory finds the rest.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Name;
use super::order::Order;

/// Names held at most. A look at a directory with more of them takes longer than its files do, if it
/// has to be repeated often.
pub const MOST_HELD: usize = 32 * 1024;

/// A name, and what its place in the order depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Nanoseconds since 1970; 0 in orders by name.
    pub modified: i64,
    pub name: Name,
}

impl Pending {
    /// Who is taken first.
    pub fn compare(&self, other: &Pending, order: Order) -> Ordering {
        let by_name = || self.name.cmp(&other.name);
        match order {
            Order::Lexical => by_name(),
            Order::ReverseLexical => by_name().reverse(),
            Order::NewestFirst => other.modified.cmp(&self.modified).then_with(by_name),
            Order::OldestFirst => self.modified.cmp(&other.modified).then_with(by_name),
        }
    }
}

/// Nanoseconds since 1970, as far as they can be counted.
pub fn nanoseconds(time: SystemTime) -> i64 {
    let count = |nanoseconds: u128| i64::try_from(nanoseconds).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => count(after.as_nanos()),
        Err(before) => -count(before.duration().as_nanos()),
    }
}

/// The names that one look at the directory has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order in which they are to be taken.
    pub names: Vec<Pending>,
    /// There were others behind them.
    pub more: bool,
}

/// What waits behind the queue.
#[derive(Debug)]
pub struct WaitingNames {
    order: Order,
    names: VecDeque<Pending>,
    /// Others wait on disk, behind all that are held.
    more: bool,
    /// So many of the first were looked at for their priority.
    looked_at: usize,
    /// The last that was taken from the front.
    passed: Option<Pending>,
}

impl WaitingNames {
    pub fn new(order: Order) -> WaitingNames {
        WaitingNames {
            order,
            names: VecDeque::new(),
            more: false,
            looked_at: 0,
            passed: None,
        }
    }

    /// Takes what a look at the directory has found in place of what is held.
    pub fn replace(&mut self, found: Found) {
        let order = self.order;
        let mut looked_at = self.names.range(..self.looked_at).peekable();
        let known = |pending: &&Pending| {
            while looked_at
                .next_if(|old| old.compare(pending, order).is_lt())
                .is_some()
            {}
            looked_at.next_if_eq(pending).is_some()
        };
        self.looked_at = found.names.iter().take_while(known).count();
        self.names = found.names.into();
        self.more = found.more;
    }

    /// Whether there is anything behind the queue.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.more
    }

    /// Whether any name is held.
    pub fn holds_any(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether another look at the directory is needed soon.
    pub fn is_short(&self) -> bool {
        self.more && self.names.len() < MOST_HELD / 4
    }

    /// Whether one that has just arrived has to wait behind others.
    pub fn precedes(&self, arrival: &Pending) -> bool {
        let passed = self.passed.as_ref();
        !self.is_empty() && passed.is_none_or(|passed| passed.compare(arrival, self.order).is_lt())
    }

    /// One that has arrived, and was looked at for its priority. If there is no room for it, a later look
    /// at the directory finds it.
    pub fn insert(&mut self, arrival: Pending) {
        let place = match self.place(&arrival) {
            Ok(_) => return,
            Err(place) => place,
        };
        let behind_all = place == self.names.len();
        if behind_all && (self.more || place >= MOST_HELD) {
            self.more = true;
            return;
        }
        if place <= self.looked_at {
            self.looked_at += 1;
        }
        self.names.insert(place, arrival);
        if self.names.len() > MOST_HELD {
            self.names.pop_back();
            self.looked_at = self.looked_at.min(self.names.len());
            self.more = true;
        }
    }

    fn place(&self, pending: &Pending) -> Result<usize, usize> {
        let compare = |held: &Pending| held.compare(pending, self.order);
        self.names.binary_search_by(compare)
    }

    /// Holds nothing any more: those that wait are found by another look at the directory.
    pub fn leave_to_a_scan(&mut self) {
        self.names.clear();
        self.looked_at = 0;
        self.more = true;
    }

    /// The name that is to be taken first.
    pub fn first(&mut self) -> Option<Name> {
        let first = self.names.pop_front()?;
        self.looked_at = self.looked_at.saturating_sub(1);
        let name = first.name.clone();
        self.passed = Some(first);
        Some(name)
    }

    /// The last name that is held.
    pub fn last(&mut self) -> Option<Name> {
        let last = self.names.pop_back()?;
        self.looked_at = self.looked_at.min(self.names.len());
        Some(last.name)
    }

    /// The first that was not looked at for its priority. It counts as looked at from now on.
    pub fn next_unseen(&mut self) -> Option<Name> {
        let next = self.names.get(self.looked_at)?.name.clone();
        self.looked_at += 1;
        Some(next)
    }

    /// How many of the first were looked at.
    pub fn count_seen(&self) -> usize {
        self.looked_at
    }

    /// Whether [`WaitingNames::next_unseen`] has another one.
    pub fn has_unseen(&self) -> bool {
        self.looked_at < self.names.len()
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
