//! How requests of an action directory end: what becomes of their files, and what the log says of it.

use std::time::Duration;

use log::{Level, debug, error, info, log, warn};

use super::super::Name;
use super::super::maildir::Removal;
use super::super::opened::HeldFile;
use super::super::outcome::{Disposal, Outcome};
use super::super::worker::WorkerRequest;
use super::ActionDir;
use crate::clock::now;

impl ActionDir {
    /// What became of a request. `done` is the line for the log if it was carried out.
    pub fn settle(&mut self, name: &Name, held: HeldFile, outcome: Outcome, done: &str) {
        match (held, outcome) {
            (HeldFile::Open(opened), Outcome::Unusable(reason)) => {
                self.checking += 1;
                self.order(WorkerRequest::Check(name.clone(), opened, reason));
            }
            (held, outcome) => self.dispose(name, held, outcome, done),
        }
        self.count_time();
    }

    pub(super) fn dispose(&mut self, name: &Name, held: HeldFile, outcome: Outcome, done: &str) {
        let told = outcome.clone();
        if !matches!(outcome, Outcome::Postponed(_)) {
            self.troubles.ended(name);
        }
        match self.queue.settled(name, outcome, now()) {
            Disposal::Remove => {
                info!("{done}");
                match held {
                    HeldFile::Open(opened) => {
                        self.leaving += 1;
                        self.to_remove.push((name.clone(), opened));
                    }
                    HeldFile::Closed(_) => self.queue.gone(name),
                }
            }
            Disposal::MoveToFailed { reason, attempts } => {
                let reason = if attempts > 1 {
                    format!("{reason} ({attempts} attempts)")
                } else {
                    reason
                };
                self.leaves(WorkerRequest::Fail(name.clone(), held, reason));
            }
            Disposal::Forget => {
                debug!("'{name}' is gone");
                self.queue.gone(name);
                self.order(WorkerRequest::Look(name.clone()));
            }
            Disposal::Keep { pause } => match told {
                Outcome::Refused(refusal) => self.refused(name, pause, &refusal.reason),
                Outcome::Postponed(reason) => self.postponed(name, pause, reason),
                told => debug!("'{name}' waits again: {told:?}"),
            },
        }
    }

    /// A broker that refuses one message often refuses many: the same reason is logged at 1, 2, 4,
    /// ...
    fn refused(&mut self, name: &Name, pause: Duration, reason: &str) {
        let again = self.refusals.again(Level::Warn, reason);
        let times = if again.count > 1 {
            format!(" (refusal {} in a row for this reason)", again.count)
        } else {
            String::new()
        };
        log!(
            again.level,
            "'{name}' stays and is tried again in {} s: {reason}{times}",
            pause.as_secs()
        );
    }

    fn leaves(&mut self, order: WorkerRequest) {
        self.leaving += 1;
        self.order(order);
    }

    /// An error hits many requests many times: each cause is logged once, and then counted.
    fn postponed(&mut self, name: &Name, pause: Duration, reason: String) {
        let (level, times) = match self.troubles.postponed(name, &reason) {
            Some(1) => (Level::Warn, String::new()),
            Some(count) => (Level::Warn, format!(" ({count} times so far)")),
            None => (Level::Debug, String::new()),
        };
        log!(
            level,
            "'{name}' is tried again in {} s: {reason}{times}",
            pause.as_secs()
        );
    }

    pub(super) fn left(&mut self, name: &Name, departure: &Removal, reason: Option<&str>) {
        if let Some(reason) = reason {
            self.given_up(name, departure, reason);
        }
        match departure {
            Removal::Done | Removal::Deleted(_) => {}
            Removal::Replaced => debug!("'{name}' was replaced by a newer file"),
            Removal::Stuck(error) => error!(
                "cannot remove '{name}' from {}, it is ignored from now on: {error}",
                self.dir.display()
            ),
        }
        self.prefetched.forget(name);
        self.queue.gone(name);
    }

    fn given_up(&self, name: &Name, departure: &Removal, reason: &str) {
        match departure {
            Removal::Done if self.keep_failed == 0 => {
                warn!("deleted '{name}', failed/ keeps nothing: {reason}");
            }
            Removal::Done => warn!("moved '{name}' to failed/: {reason}"),
            Removal::Deleted(error) => {
                error!("deleted '{name}', it cannot be moved to failed/ ({error}): {reason}");
            }
            Removal::Replaced | Removal::Stuck(_) => warn!("gave up '{name}': {reason}"),
        }
    }
}
