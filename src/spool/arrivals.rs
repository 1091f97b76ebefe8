//! What the thread of an action directory knows of the names in `new/`: which are to be looked at,
//! which were reported, and which of those were written again since they were opened.

use std::collections::{HashMap, VecDeque};

use super::Name;
use super::intake::{Intake, Ready};

pub struct Arrivals {
    pub intake: Intake,
    /// Names that are complete, to be looked at.
    pub found: VecDeque<Name>,
    /// Reported, and not gone since: a scan need not look at them again. Whether a writer has
    /// closed it since it was opened.
    pub told: HashMap<Name, bool>,
}

impl Arrivals {
    pub fn new(intake: Intake) -> Arrivals {
        Arrivals {
            intake,
            found: VecDeque::new(),
            told: HashMap::new(),
        }
    }

    /// Takes note of files that are complete.
    pub fn ready(&mut self, ready: Ready) {
        for name in ready.closed {
            if let Some(again) = self.told.get_mut(&name) {
                *again = true;
            }
            self.found.push_back(name);
        }
        self.found.extend(ready.others);
    }

    /// Takes note of what has happened until now.
    pub fn catch_up(&mut self) {
        let ready = self.intake.pending();
        self.ready(ready);
    }

    pub fn tells(&mut self, name: &Name) {
        self.told.entry(name.clone()).or_insert(false);
    }

    /// It is being opened: what was closed before that is known.
    pub fn opens(&mut self, name: &Name) {
        if let Some(again) = self.told.get_mut(name) {
            *again = false;
        }
    }

    /// Whether a writer has closed a file of this name since it was opened: then it is a request again,
    /// however it looks.
    pub fn closed_again(&mut self, name: &Name) -> bool {
        self.catch_up();
        self.is_closed_again(name)
    }

    /// The same, as far as is known.
    pub fn is_closed_again(&self, name: &Name) -> bool {
        self.told.get(name).copied().unwrap_or(false)
    }

    pub fn gone(&mut self, name: &Name) {
        self.told.remove(name);
    }
}
