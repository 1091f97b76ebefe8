//! What the thread of an action directory knows of the names in `new/`: which are to be looked at,
//! which were reported, and how often those were closed by a writer since.

use std::collections::{HashMap, VecDeque};

use super::Name;
use super::intake::{Intake, Ready};

/// Names that are to be looked at. For more the directory is read.
const MOST_FOUND: usize = 16 * 1024;

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
        for name in ready.settled {
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

    /// It is to be looked at. Where there is no room, a scan finds it; one that was reported is read at its
    /// turn, or stays when it is to leave, because it was closed once more.
    pub fn look_at(&mut self, name: Name, certain: bool) {
        if self.found.len() < MOST_FOUND {
            self.found.push_back(Arrival { name, certain });
        } else {
            self.intake.scan_soon();
        }
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
        ready.settled.retain(|name| !names.contains(name));
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

#[cfg(test)]
mod tests {
    use super::super::maildir::Maildir;
    use super::*;

    #[tokio::test]
    async fn names_that_are_to_be_looked_at_have_a_bound_and_no_close_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(dir.path(), 10).unwrap();
        let mut arrivals = Arrivals::new(Intake::new(&maildir));
        let name = |n: usize| Name::new(n.to_string().as_ref());
        arrivals.tells(&name(0));
        let closed: Vec<Name> = (1..=MOST_FOUND).chain([0]).map(name).collect();
        arrivals.ready(Ready {
            closed,
            ..Ready::default()
        });
        assert_eq!(arrivals.found.len(), MOST_FOUND);
        assert_eq!(arrivals.closes(&name(0)), 1);
    }
}
