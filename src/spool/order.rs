//! Pure: in which order requests are taken.

use std::cmp::{Ordering, Reverse};
use std::str::FromStr;
use std::time::SystemTime;

use super::{Identity, Name};

/// The basic order of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Lexical,
    ReverseLexical,
    NewestFirst,
    OldestFirst,
}

impl Order {
    /// Whether it goes by the times of the files.
    pub fn is_by_time(self) -> bool {
        match self {
            Order::Lexical | Order::ReverseLexical => false,
            Order::NewestFirst | Order::OldestFirst => true,
        }
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lexical" => Ok(Order::Lexical),
            "reverse-lexical" => Ok(Order::ReverseLexical),
            "newest-first" => Ok(Order::NewestFirst),
            "oldest-first" => Ok(Order::OldestFirst),
            other => Err(format!(
                "unknown order '{other}', use lexical, reverse-lexical, newest-first or oldest-first"
            )),
        }
    }
}

/// What is known of a request without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub identity: Identity,
    pub modified: SystemTime,
    pub priority: Option<Priority>,
    pub slot: Option<String>,
}

/// A priority: any number. Smaller ones go first.
#[derive(Clone, Copy, Debug)]
pub struct Priority(f64);

impl Priority {
    /// What is not a number counts as the largest one.
    pub fn new(number: f64) -> Self {
        // There is one zero.
        Priority(if number.is_nan() {
            f64::INFINITY
        } else {
            number + 0.0
        })
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Priority {}

/// Whether a request goes by its priority. Smaller numbers go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Prioritised(Priority),
    Basic,
}

/// The place of a request in the queue: keys sort as requests are taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Requests that may have made the broker end a connection go last, so that the others flow:
    /// the more connections, the later.
    suspicion: u32,
    rank: Rank,
    basic: Basic,
}

/// Only one variant occurs within one queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Basic {
    Lexical(Name),
    ReverseLexical(Reverse<Name>),
    NewestFirst(Reverse<SystemTime>, Name),
    OldestFirst(SystemTime, Name),
}

impl Key {
    pub fn new(order: Order, suspicion: u32, rank: Rank, facts: &Facts, name: &Name) -> Self {
        let name = name.clone();
        let basic = match order {
            Order::Lexical => Basic::Lexical(name),
            Order::ReverseLexical => Basic::ReverseLexical(Reverse(name)),
            Order::NewestFirst => Basic::NewestFirst(Reverse(facts.modified), name),
            Order::OldestFirst => Basic::OldestFirst(facts.modified, name),
        };
        Key {
            suspicion,
            rank,
            basic,
        }
    }

    pub fn is_suspect(&self) -> bool {
        self.suspicion > 0
    }
}
