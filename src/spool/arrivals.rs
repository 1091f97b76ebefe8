//! What the thread of an action directory knows of the names in `new/`: which are to be looked at,
//! which were reported, and how often those were closed by a writer since.

use std::collections::{HashMap, VecDeque};

use super::Name;
use super::intake::{Intake, Ready};

/// A name that is complete, as far as is known.
pub struct Arrival {
    pub name: Name,
    /// Somebody has said so: it was renamed to here, or closed by its writer.
    pub certain: bool,
}

pub struct Arrivals {
    pub intake: Intake,
    /// To be looked at.
    pub found: VecDeque<Arrival>,
    /// Have left, perhaps by our own hand.
    left: Vec<Name>,
    /// Reported, and not gone since, each with how often a writer has closed it meanwhile.
    told: HashMap<Name, u32>,
}

impl Arrivals {
    pub fn new(intake: Intake) -> Arrivals {
        Arrivals {
            intake,
            found: VecDeque::new(),
            left: Vec::new(),
            told: HashMap::new(),
        }
    }

    /// Takes note of files that are complete.
    pub fn ready(&mut self, ready: Ready) {
        for name in ready.closed {
            if let Some(closes) = self.told.get_mut(&name) {
                *closes = closes.wrapping_add(1);
            }
            self.look_at(name, true);
        }
        for name in ready.others {
            self.look_at(name, false);
        }
        self.left.extend(ready.gone);
    }

    /// Whether [`Arrivals::taken_away`] is to be asked.
    pub fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Those that were reported and that somebody else has taken away.
    pub fn taken_away(&mut self) -> Vec<Name> {
        let told = &self.told;
        let left = self.left.drain(..);
        left.filter(|name| told.contains_key(name)).collect()
    }

    pub fn look_at(&mut self, name: Name, certain: bool) {
        self.found.push_back(Arrival { name, certain });
    }

    /// Takes note of what has happened until now.
    pub fn catch_up(&mut self) {
        let ready = self.intake.pending();
        self.ready(ready);
    }

    /// Takes note of what has happened until now, after these were put back: that a name has appeared says
    /// nothing of whether its file is complete.
    pub fn put_back(&mut self, names: &[Name]) {
        let mut ready = self.intake.pending();
        ready.closed.retain(|name| !names.contains(name));
        ready.others.retain(|name| !names.contains(name));
        self.ready(ready);
        for name in names {
            self.intake.doubt(name.clone());
        }
    }

    /// It is reported.
    pub fn tells(&mut self, name: &Name) {
        if !self.told.contains_key(name) {
            self.told.insert(name.clone(), 0);
        }
    }

    /// Whether it was reported and has not gone since.
    pub fn has_told(&self, name: &std::ffi::OsStr) -> bool {
        self.told.contains_key(name)
    }

    /// How many were.
    pub fn count_told(&self) -> usize {
        self.told.len()
    }

    /// How often a writer has closed it since it was reported first, as far as is known: more than when it
    /// was opened, and it is a request again, however it looks.
    pub fn closes(&self, name: &Name) -> u32 {
        self.told.get(name).copied().unwrap_or(0)
    }

    pub fn gone(&mut self, name: &Name) {
        self.told.remove(name);
    }
}
