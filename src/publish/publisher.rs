//! The task of one messages directory: takes requests from the queue, publishes them, and disposes
//! of their files. Every decision is the queue's; here is where it is carried out and logged.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use log::{Level, debug, error, info, log, warn};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};

use super::Options;
use super::attempt::{Attempt, attempt, facts};
use crate::clock::{now, reached};
use crate::mqtt::{Link, Mqtt, Slot};
use crate::spool::intake::{Intake, Notice};
use crate::spool::maildir::{Departure, Maildir, Trouble};
use crate::spool::outcome::{Disposal, Next, Outcome, Readiness};
use crate::spool::queue::{MOST_NAMES, Queue};
use crate::spool::{Identity, Name};

/// A long scan lets the other tasks work after so many files.
const FILES_PER_TURN: usize = 32;

/// The directory whose window was full without any acknowledgement for too long.
#[derive(Debug)]
pub struct Jammed(pub PathBuf);

/// Owns one messages directory.
pub struct Publisher {
    options: Arc<Options>,
    maildir: Maildir,
    intake: Intake,
    queue: Queue,
    mqtt: Mqtt,
    link: watch::Receiver<Link>,
    running: JoinSet<Attempt>,
    /// There was no room for all names: scan again when there is.
    overfull: bool,
    /// Why a message was last postponed.
    shortage: Option<String>,
    /// The wait for the whole window, which goes on while other things happen.
    alone: Option<Pin<Box<dyn Future<Output = Slot> + Send>>>,
}

impl Publisher {
    /// Prepares the directory. Must be called within the runtime.
    pub fn new(options: Options, mqtt: Mqtt) -> Result<Publisher> {
        let maildir = Maildir::open(&options.dir, options.keep_failed)?;
        let intake = Intake::new(&maildir);
        let queue = Queue::new(options.queue);
        let link = mqtt.link();
        let running = JoinSet::new();
        let options = Arc::new(options);
        Ok(Publisher {
            options,
            maildir,
            intake,
            queue,
            mqtt,
            link,
            running,
            overfull: false,
            shortage: None,
            alone: None,
        })
    }

    /// Publishes until the directory is jammed. Dropping the future at any moment loses nothing.
    pub async fn run(mut self) -> Jammed {
        self.link_changed();
        loop {
            self.queue.resume(now());
            if self.queue.jammed(now()) {
                return Jammed(self.options.dir.clone());
            }
            let readiness = if self.is_up() {
                self.queue.readiness()
            } else {
                Readiness::Nothing
            };
            if readiness != Readiness::Alone {
                self.alone = None;
            } else if self.alone.is_none() {
                let mqtt = self.mqtt.clone();
                self.alone = Some(Box::pin(async move { mqtt.slot_alone().await }));
            }
            tokio::select! {
                notice = self.intake.next() => self.noticed(notice).await,
                slot = self.mqtt.slot(), if readiness == Readiness::Together => self.start(slot),
                slot = waited(&mut self.alone) => {
                    self.alone = None;
                    self.start(slot);
                }
                Some(attempt) = self.running.join_next() => match attempt {
                    Ok(attempt) => self.settle(attempt),
                    Err(fault) => std::panic::resume_unwind(fault.into_panic()),
                },
                Ok(()) = self.link.changed() => self.link_changed(),
                () = reached(self.queue.deadline()) => {}
            }
        }
    }

    fn is_up(&self) -> bool {
        *self.link.borrow() != Link::Down
    }

    fn link_changed(&mut self) {
        match *self.link.borrow_and_update() {
            Link::Down => self.queue.link_down(now()),
            Link::Up(_) => {
                self.queue.link_up(now());
                self.intake.scan_soon();
            }
        }
    }

    async fn noticed(&mut self, notice: Notice) {
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
                if !self.queue.arrived(name.clone(), facts(&opened)) && !self.overfull {
                    self.overfull = true;
                    let dir = self.options.dir.display();
                    warn!(
                        "more than {MOST_NAMES} messages wait in {dir}, the rest is taken up later"
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

    /// Takes the next request, now that there is room for it.
    fn start(&mut self, slot: Slot) {
        let Some(Next { name, prioritised }) = self.queue.next(now()) else {
            return;
        };
        match self.maildir.request(&name) {
            Ok(opened) => {
                let work = attempt(
                    self.options.clone(),
                    self.mqtt.clone(),
                    slot,
                    name,
                    prioritised,
                    opened,
                );
                self.running.spawn(work);
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
    }

    fn settle(&mut self, mut attempt: Attempt) {
        let unusable = matches!(attempt.outcome, Outcome::Unusable(_));
        if unusable && self.maildir.is_being_written(&attempt.name) {
            attempt.outcome = Outcome::Postponed("is being written again".to_owned());
        }
        self.dispose(
            &attempt.name,
            Some(attempt.opened.identity),
            attempt.outcome,
            &attempt.topic,
        );
        if self.overfull && self.queue.has_room() {
            self.overfull = false;
            self.intake.scan_soon();
        }
    }

    fn dispose(&mut self, name: &Name, read: Option<Identity>, outcome: Outcome, topic: &str) {
        let told = outcome.clone();
        match self.queue.settled(name, outcome, now()) {
            Disposal::Remove => {
                info!("published '{name}' to {topic}");
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
                Outcome::Undelivered { reason, .. } => {
                    warn!("'{name}' is tried again in {} s: {reason}", pause.as_secs());
                }
                Outcome::Postponed(reason) => self.postponed(name, pause, reason),
                told => debug!("'{name}' waits again: {told:?}"),
            },
        }
    }

    /// A shortage hits many messages many times: the same one is told once.
    fn postponed(&mut self, name: &Name, pause: Duration, reason: String) {
        let known = self.shortage.as_ref() == Some(&reason);
        let level = if known { Level::Debug } else { Level::Warn };
        log!(
            level,
            "'{name}' is tried again in {} s: {reason}",
            pause.as_secs()
        );
        self.shortage = Some(reason);
    }

    fn give_up(&mut self, name: &Name, read: Option<Identity>, reason: &str) {
        let departure = self.maildir.fail(name, read, reason);
        match &departure {
            Departure::Done if self.options.keep_failed == 0 => {
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
                    self.options.dir.display()
                );
                match read {
                    Some(read) => self.queue.set_aside(name, read),
                    None => self.queue.gone(name),
                }
            }
        }
    }
}

async fn waited(slot: &mut Option<Pin<Box<dyn Future<Output = Slot> + Send>>>) -> Slot {
    match slot {
        Some(slot) => slot.await,
        None => std::future::pending().await,
    }
}
