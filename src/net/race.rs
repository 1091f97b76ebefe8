//! Pure: in which order the addresses of a name are tried, and when (RFC 8305): one family after the
//! other, the next address when one has failed or after a quarter of a second.

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

use super::failure::{Class, Ending};

/// The head start of an address before the next one.
const HEAD_START: Duration = Duration::from_millis(250);
/// How long IPv4 addresses wait for the IPv6 ones, which come first.
const FOR_IPV6: Duration = Duration::from_millis(50);
/// Addresses that are tried at most in one attempt.
const MOST: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V6,
    V4,
}

/// One attempt to reach one of the addresses of a name.
#[derive(Debug)]
pub struct Race {
    host: String,
    v6: Side,
    v4: Side,
    last: Option<Family>,
    /// Those that are or were tried, with why they failed.
    tried: Vec<(SocketAddr, Option<String>)>,
    /// The next one is not tried before this.
    next_at: Option<Instant>,
}

/// What is known of one family.
#[derive(Debug, Default)]
struct Side {
    waiting: VecDeque<SocketAddr>,
    /// Whether the name service has answered, and why it has no address if it has none.
    answered: bool,
    problem: Option<String>,
}

impl Race {
    pub fn new(host: &str) -> Self {
        Race {
            host: host.to_owned(),
            v6: Side::default(),
            v4: Side::default(),
            last: None,
            tried: Vec::new(),
            next_at: None,
        }
    }

    /// The name service has answered for a family. What is said twice counts once.
    pub fn learned(
        &mut self,
        family: Family,
        answer: Result<Vec<SocketAddr>, String>,
        now: Instant,
    ) {
        let side = self.side(family);
        if side.answered {
            return;
        }
        side.answered = true;
        match answer {
            Ok(addresses) => side.waiting.extend(addresses),
            Err(problem) => side.problem = Some(problem),
        }
        if self.tried.is_empty() {
            let wait = if self.v6.answered {
                Duration::ZERO
            } else {
                FOR_IPV6
            };
            self.next_at = Some(now + wait);
        }
    }

    /// The name service is not waited for any longer.
    pub fn unanswered(&mut self, problem: &str, now: Instant) {
        self.learned(Family::V6, Err(problem.to_owned()), now);
        self.learned(Family::V4, Err(problem.to_owned()), now);
    }

    /// Whether everything is known of the name.
    pub fn is_answered(&self) -> bool {
        self.v6.answered && self.v4.answered
    }

    /// The address to be tried now, if any. To be asked again until there is none.
    pub fn next(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.deadline()? > now {
            return None;
        }
        // In turn, as long as both have some.
        let other = self.last == Some(Family::V6) && !self.v4.waiting.is_empty();
        let family = match other || self.v6.waiting.is_empty() {
            true => Family::V4,
            false => Family::V6,
        };
        let address = self.side(family).waiting.pop_front()?;
        self.last = Some(family);
        self.tried.push((address, None));
        self.next_at = Some(now + HEAD_START);
        Some(address)
    }

    /// When [`Race::next`] has the next address, as far as is known.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = !self.v6.waiting.is_empty() || !self.v4.waiting.is_empty();
        self.next_at.filter(|_| waiting && self.tried.len() < MOST)
    }

    /// A connection to an address has failed: the next one follows at once.
    pub fn failed(&mut self, address: SocketAddr, problem: String, now: Instant) {
        let mut tried = self.tried.iter_mut();
        if let Some(one) = tried.find(|(tried, why)| *tried == address && why.is_none()) {
            one.1 = Some(problem);
            self.next_at = Some(now);
        }
    }

    /// Why the race is lost, if it is: nothing is tried, and nothing is left to try.
    pub fn lost(&self) -> Option<Ending> {
        let over = self.deadline().is_none() && self.tried.iter().all(|(_, why)| why.is_some());
        if !self.is_answered() || !over {
            return None;
        }
        if self.tried.is_empty() {
            let problem = self.v4.problem.as_ref().or(self.v6.problem.as_ref());
            let problem = problem.map_or("no address", String::as_str);
            return Some(Ending::new(
                Class::Dns,
                format!("cannot resolve {}: {problem}", self.host),
            ));
        }
        Some(Ending::new(Class::Tcp, self.failures()))
    }

    /// Each reason with its addresses. The same failures make the same words, whatever order the name
    /// service gave the addresses in.
    fn failures(&self) -> String {
        let mut failures: Vec<_> = self
            .tried
            .iter()
            .map(|(address, why)| (why.as_deref().unwrap_or_default(), address))
            .collect();
        failures.sort();
        let mut text = String::new();
        let mut before = None;
        for (why, address) in failures {
            let _ = match before {
                Some(same) if same == why => write!(text, ", {address}"),
                Some(_) => write!(text, "; {why}: {address}"),
                None => write!(text, "{why}: {address}"),
            };
            before = Some(why);
        }
        text
    }

    fn side(&mut self, family: Family) -> &mut Side {
        match family {
            Family::V6 => &mut self.v6,
            Family::V4 => &mut self.v4,
        }
    }
}

#[cfg(test)]
#[path = "race_tests.rs"]
mod tests;
