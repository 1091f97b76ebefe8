//! Files that leave `new/`, and whether they may.

use super::super::being_written::Writers;
use super::super::maildir::Removal;
use super::super::opened::{HeldFile, Opened};
use super::super::{Identity, Name};
use super::messages::WorkerEvent;
use super::state::Worker;

impl Worker {
    /// One look at all processes serves all that ask.
    pub(super) fn checked(&self, checks: Vec<(Name, Opened, String)>) -> Vec<WorkerEvent> {
        if checks.is_empty() {
            return Vec::new();
        }
        let names = checks.iter().map(|(name, ..)| name);
        let writers = Writers::of(&self.maildir.new_dir(), names);
        let checked = checks.into_iter().map(|(name, opened, reason)| {
            let written = writers.has_open(&name);
            WorkerEvent::Checked {
                name,
                opened,
                reason,
                written,
            }
        });
        checked.collect()
    }

    /// One look at what was closed serves all: it comes when none of them can be opened any more.
    pub(super) fn remove_all(&mut self, removals: Vec<(Name, Opened)>) -> Vec<WorkerEvent> {
        let mut aside = Vec::new();
        for (name, opened) in removals {
            let taken = self.maildir.take_aside(&name, opened.identity);
            aside.push((name, opened, taken));
        }
        if !aside.is_empty() {
            self.arrivals.catch_up();
        }
        let mut news = Vec::new();
        let mut replaced = Vec::new();
        for (name, opened, taken) in aside {
            let again = self.arrivals.closes(&name) != opened.closes;
            let departure = self.maildir.remove(&name, &opened, taken, again);
            self.left(&name, Some(opened.identity), &departure);
            if matches!(departure, Removal::Replaced) {
                replaced.push(name.clone());
            }
            news.push(WorkerEvent::Left {
                name,
                departure,
                reason: None,
            });
        }
        if !replaced.is_empty() {
            self.arrivals.put_back(&replaced);
        }
        news
    }

    /// It is given up for this reason.
    pub(super) fn give_up(&mut self, name: Name, held: &HeldFile, reason: String) -> WorkerEvent {
        let departure = self.fail(&name, held, &reason);
        WorkerEvent::Left {
            name,
            departure,
            reason: Some(reason),
        }
    }

    pub(super) fn fail(&mut self, name: &Name, held: &HeldFile, reason: &str) -> Removal {
        let again = || {
            self.arrivals.catch_up();
            match held {
                HeldFile::Open(opened) => self.arrivals.closes(name) != opened.closes,
                HeldFile::Closed(_) => self.arrivals.closes(name) > 0,
            }
        };
        let departure = self.maildir.fail(name, held, reason, again);
        self.left(name, held.identity(), &departure);
        if matches!(departure, Removal::Replaced) {
            self.arrivals.put_back(std::slice::from_ref(name));
        }
        departure
    }

    fn left(&mut self, name: &Name, read: Option<Identity>, departure: &Removal) {
        self.arrivals.gone(name);
        self.scanning.left();
        match (departure, read) {
            (Removal::Stuck(_), Some(read)) => {
                self.stuck.insert(name.clone(), read);
            }
            (Removal::Stuck(_), None)
            | (Removal::Done | Removal::Deleted(_) | Removal::Replaced, _) => {}
        }
    }

    /// Whether this very file could not be removed.
    pub(super) fn is_stuck(&mut self, name: &Name, identity: Identity) -> bool {
        let stuck = self.stuck.get(name) == Some(&identity);
        if !stuck {
            self.stuck.remove(name);
        }
        stuck
    }
}
