//! A look at one file: whether it is a request, and what its contents say about its turn.

use log::warn;

use super::super::Name;
use super::super::opened::{HeldFile, OpenError, Opened};
use super::super::order::Facts;
use super::super::prefetch::Prefetched;
use super::messages::{Sighting, WorkerEvent};
use super::state::Worker;

impl Worker {
    /// A file that is a request. `certain`: it is known to be complete.
    pub(super) fn sighted(
        &mut self,
        name: &Name,
        certain: bool,
        news: &mut Vec<WorkerEvent>,
    ) -> Option<Sighting> {
        match self.open_one(name) {
            Ok(opened) if !certain && self.arrivals.intake.is_unsure(name, &opened) => {}
            Ok(opened) if !self.is_stuck(name, opened.identity) => {
                return Some(self.sighting(name.clone(), opened));
            }
            Ok(_) | Err(OpenError::Vanished | OpenError::Directory) => {}
            Err(OpenError::Postponed(error)) => {
                warn!("cannot open '{name}' for now: {error}");
                // It is the same with the others that wait, of which it need not be said.
                self.names.leave_to_a_scan();
                self.arrivals.intake.scan_again();
            }
            Err(OpenError::Refused { reason, identity }) => {
                if identity.is_none_or(|identity| !self.is_stuck(name, identity)) {
                    let departure = self.fail(name, &HeldFile::Closed(identity), &reason);
                    news.push(WorkerEvent::Refused {
                        departure,
                        name: name.clone(),
                        reason,
                    });
                }
            }
        }
        None
    }

    /// Reads it if its contents are wanted now.
    pub(super) fn sighting(&self, name: Name, mut opened: Opened) -> Sighting {
        let permit = self.prefetching.permit();
        let read = self.reporting.priority.is_some() || permit.is_some();
        // Who cannot read it now is told when it is its turn.
        let contents = read.then(|| opened.read().ok()).flatten();
        let (priority, slot) = match (self.reporting.priority, &contents) {
            (Some(priority), Some(contents)) => priority(contents),
            _ => (None, None),
        };
        let facts = Facts {
            identity: opened.identity,
            modified: opened.modified,
            priority,
            slot,
        };
        let prefetched = permit
            .zip(contents)
            .and_then(|(permit, contents)| Prefetched::new(opened, contents, permit));
        Sighting {
            name,
            facts,
            prefetched,
        }
    }
}
