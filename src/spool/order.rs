//! Pure: in which order requests are taken.

use std::cmp::Reverse;
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
    pub priority: Option<i64>,
    pub slot: Option<String>,
}

/// Whether a request goes by its priority. Smaller numbers go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Prioritised(i64),
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
