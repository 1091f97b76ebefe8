//! One action directory at work: takes note of arrivals, hands out requests in the order of its
//! queue, and disposes of their files. Every decision is the queue's; here is where it is carried
//! out on disk and logged.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use log::{Level, debug, error, info, log, warn};
use tokio::task::yield_now;

use super::intake::{Intake, Notice};
use super::maildir::{Departure, Maildir, Opened, Trouble};
use super::order::Facts;
use super::outcome::{Disposal, Next, Outcome, Readiness};
use super::queue::{self, MOST_NAMES, Queue};
use super::troubles::Troubles;
use super::{Identity, Name};
use crate::clock::now;
use crate::repeats::{Repeats, worth_a_line};

/// A long scan lets the other tasks work after so many files.
const FILES_PER_TURN: usize = 32;

/// A request that was handed out: settle it, whatever becomes of it.
#[derive(Debug)]
pub struct Taken {
    pub name: Name,
    /// It was its priority's turn.
    pub prioritised: bool,
    /// To be kept until it is settled, so that its identity stays unique.
    pub opened: Opened,
}

/// The facts of requests that are taken by name alone.
pub fn without_priority(opened: &Opened) -> Facts {
    Facts {
        identity: opened.identity,
        modified: SystemTime::UNIX_EPOCH,
        priority: None,
        slot: None,
    }
}

/// The requests of one action directory.
pub struct Desk {
    maildir: Maildir,
    intake: Intake,
    queue: Queue,
    /// What the queue needs to know of a file.
    facts: fn(&Opened) -> Facts,
    keep_failed: usize,
    /// There was no room for all names: scan again when there is.
    overfull: bool,
    troubles: Troubles,
    refusals: Repeats,
}

impl Desk {
    /// Prepares the directory. Must be called within the runtime.
    pub fn open(
        dir: &Path,
        keep_failed: usize,
        options: queue::Options,
        facts: fn(&Opened) -> Facts,
    ) -> Result<Desk> {
        let maildir = Maildir::open(dir, keep_failed)?;
        let intake = Intake::new(&maildir);
        Ok(Desk {
            maildir,
            intake,
            queue: Queue::new(options),
            facts,
            keep_failed,
            overfull: false,
            troubles: Troubles::default(),
            refusals: Repeats::default(),
        })
    }

    pub fn dir(&self) -> &Path {
        self.maildir.dir()
    }

    /// Waits for something that [`Desk::noticed`] is to be told. May be dropped while it waits.
    pub async fn notice(&mut self) -> Notice {
        self.intake.next().await
    }

    /// Takes note of arrivals.
    pub async fn noticed(&mut self, notice: Notice) {
        let names = match notice {
            Notice::Names(names) => names,
            Notice::Scan => self.scan(),
        };
        for some in names.chunks(FILES_PER_TURN) {
            for name in some {
                self.arrived(name);
            }
            if self.overfull {
                return;
            }
            yield_now().await;
        }
    }

    fn scan(&mut self) -> Vec<Name> {
        let names = self
            .intake
            .scan(&self.maildir, |name| self.queue.knows(name));
        self.queue.forget_aside(|name| self.maildir.holds(name));
        names
    }

    fn arrived(&mut self, name: &Name) {
        match self.maildir.request(name) {
            Ok(opened) => {
                let facts = (self.facts)(&opened);
                if !self.queue.arrived(name.clone(), facts) && !self.overfull {
                    self.overfull = true;
                    let dir = self.dir().display();
                    warn!(
                        "more than {MOST_NAMES} requests wait in {dir}, the rest is taken up later"
                    );
                }
            }
            Err(Trouble::Vanished | Trouble::Directory) => {}
            Err(Trouble::Postponed(error)) => {
                warn!("cannot open '{name}' for now: {error}");
                self.intake.scan_again();
            }
            Err(Trouble::Refused { reason, identity }) => {
                if identity.is_none_or(|identity| !self.queue.is_aside(name, identity)) {
                    self.give_up(name, identity, &reason);
                }
            }
        }
    }

    /// The link is up; what the watch has missed is looked for.
    pub fn link_up(&mut self) {
        self.queue.link_up(now());
        self.intake.scan_soon();
    }

    pub fn link_down(&mut self) {
        self.queue.link_down(now());
    }

    /// Whether one request at a time is to be tried, because nothing is accepted at present.
    pub fn probing(&mut self, probing: bool) {
        self.queue.probing(probing);
    }

    /// Requests are accepted again: those that were refused need not wait for the end of their pause.
    pub fn accepts_again(&mut self) {
        self.queue.accepts_again();
        self.refusals.clear();
    }

    /// Whether the window was full without any answer for too long.
    pub fn jammed(&mut self) -> bool {
        self.queue.jammed(now())
    }

    /// Whether [`Desk::take`] would hand out something, now that some pauses may be over. To be asked
    /// before [`Desk::deadline`].
    pub fn readiness(&mut self) -> Readiness {
        self.queue.resume(now());
        self.queue.readiness()
    }

    /// When to ask for the readiness again, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.queue.deadline()
    }

    /// The next request. `None`: nothing waits, or what waited was none.
    pub fn take(&mut self) -> Option<Taken> {
        let Next { name, prioritised } = self.queue.next(now())?;
        match self.maildir.request(&name) {
            Ok(opened) => {
                return Some(Taken {
                    name,
                    prioritised,
                    opened,
                });
            }
            Err(Trouble::Vanished | Trouble::Directory) => {
                debug!("'{name}' is gone");
                self.dispose(&name, None, Outcome::Vanished, "");
            }
            Err(Trouble::Postponed(error)) => {
                self.dispose(&name, None, Outcome::Postponed(error.to_string()), "");
            }
            Err(Trouble::Refused { reason, identity }) => {
                self.dispose(&name, identity, Outcome::Unusable(reason), "");
            }
        }
        None
    }

    /// What became of a request. `done` is the line for the log if it was carried out.
    pub fn settle(&mut self, name: &Name, opened: Opened, mut outcome: Outcome, done: &str) {
        let unusable = matches!(outcome, Outcome::Unusable(_));
        if unusable && self.maildir.is_being_written(name) {
            outcome = Outcome::Postponed("is being written again".to_owned());
        }
        self.dispose(name, Some(opened.identity), outcome, done);
        if self.overfull && self.queue.has_room() {
            self.overfull = false;
            self.intake.scan_soon();
        }
    }

    fn dispose(&mut self, name: &Name, read: Option<Identity>, outcome: Outcome, done: &str) {
        let told = outcome.clone();
        if !matches!(outcome, Outcome::Postponed(_)) {
            self.troubles.ended(name);
        }
        match self.queue.settled(name, outcome, now()) {
            Disposal::Remove => {
                info!("{done}");
                let departure =
                    read.map_or(Departure::Done, |read| self.maildir.remove(name, read));
                self.departed(name, read, departure);
            }
            Disposal::MoveToFailed { reason, attempts } => {
                let reason = if attempts > 1 {
                    format!("{reason} ({attempts} attempts)")
                } else {
                    reason
                };
                self.give_up(name, read, &reason);
            }
            Disposal::Forget => self.queue.gone(name),
            Disposal::Keep { pause } => match told {
                Outcome::Refused(refusal) => self.refused(name, pause, &refusal.reason),
                Outcome::Postponed(reason) => self.postponed(name, pause, reason),
                told => debug!("'{name}' waits again: {told:?}"),
            },
        }
    }

    /// A broker that refuses one message often refuses many: the same reason is told at 1, 2, 4, ...
    fn refused(&mut self, name: &Name, pause: Duration, reason: &str) {
        let count = self.refusals.count(reason);
        let level = if worth_a_line(count) {
            Level::Warn
        } else {
            Level::Debug
        };
        let times = if count > 1 {
            format!(" (refusal {count} in a row for this reason)")
        } else {
            String::new()
        };
        log!(
            level,
            "'{name}' stays and is tried again in {} s: {reason}{times}",
            pause.as_secs()
        );
    }

    /// Trouble hits many requests many times: each cause is told once, and then counted.
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

    fn give_up(&mut self, name: &Name, read: Option<Identity>, reason: &str) {
        let departure = self.maildir.fail(name, read, reason);
        match &departure {
            Departure::Done if self.keep_failed == 0 => {
                warn!("deleted '{name}', failed/ keeps nothing: {reason}");
            }
            Departure::Done => warn!("moved '{name}' to failed/: {reason}"),
            Departure::Deleted(error) => {
                error!("deleted '{name}', it cannot be moved to failed/ ({error}): {reason}");
            }
            Departure::Replaced | Departure::Stuck(_) => warn!("gave up '{name}': {reason}"),
        }
        self.departed(name, read, departure);
    }

    fn departed(&mut self, name: &Name, read: Option<Identity>, departure: Departure) {
        match departure {
            Departure::Done | Departure::Deleted(_) => self.queue.gone(name),
            Departure::Replaced => {
                debug!("'{name}' was replaced by a newer file");
                self.queue.gone(name);
                self.intake.doubt(name.clone());
            }
            Departure::Stuck(error) => {
                error!(
                    "cannot remove '{name}' from {}, it is ignored from now on: {error}",
                    self.dir().display()
                );
                match read {
                    Some(read) => self.queue.set_aside(name, read),
                    None => self.queue.gone(name),
                }
            }
        }
    }
}
