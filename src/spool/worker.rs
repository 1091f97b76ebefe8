//! The thread of one action directory: everything that may wait for the disk. It carries out
//! orders, one after the other, and reports what it finds. What is to be done is decided elsewhere.

use std::collections::HashMap;
use std::future::ready;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use log::{error, warn};
use tokio::sync::{mpsc, oneshot};

use super::arrivals::Arrivals;
use super::being_written::Writers;
use super::intake::{Intake, IntakeNotice};
use super::maildir::{Maildir, Removal};
use super::opened::{HeldFile, OpenError, Opened};
use super::order::{Facts, Order as ByWhat};
use super::queue::MOST_NAMES;
use super::scan;
use super::{Identity, Name};
use crate::clock::{now, reached};

/// Names that are reported, and not gone since. Those that have just gone may still be in the
/// queue.
const MOST_TOLD: usize = MOST_NAMES - 1024;
/// Files that are looked at before the next orders are carried out.
const AT_A_TIME: usize = 64;
/// No event shows that something was mounted over the directory, or that it was moved together with
/// its parent. A look is cheap, and still rare enough for a device that sleeps.
const LOOK: Duration = Duration::from_secs(10);

/// Where an opened file goes, with its contents.
pub type OpenReply = oneshot::Sender<Result<(Opened, Vec<u8>), OpenError>>;

/// An opened file with its contents, or why there is none, and where it goes.
pub type Answered = (OpenReply, Result<(Opened, Vec<u8>), OpenError>);

/// What is to be done.
#[derive(Debug)]
pub enum WorkerRequest {
    /// Look what the watch has missed.
    Scan,
    /// Look at this name again: the queue has forgotten it.
    Look(Name),
    /// All of them, before the first answer is given.
    Open(Vec<(Name, OpenReply)>),
    /// Whether somebody has it open for writing. The text is handed back.
    Check(Name, Opened, String),
    /// It was carried out.
    Remove(Name, Opened),
    /// It was given up, for this reason.
    Fail(Name, HeldFile, String),
}

/// What has happened.
#[derive(Debug)]
pub enum WorkerEvent {
    Found(Vec<(Name, Facts)>),
    /// Files that were to be opened, for those who asked.
    Opened(Vec<Answered>),
    /// A scan has ended, and all that it has found was reported.
    Scanned,
    Checked {
        name: Name,
        opened: Opened,
        reason: String,
        written: bool,
    },
    /// What became of a file that was to leave, and why it was given up, if it was not carried out.
    Left {
        name: Name,
        departure: Removal,
        reason: Option<String>,
    },
    /// The same of one that was no request.
    Refused {
        name: Name,
        departure: Removal,
        reason: String,
    },
}

/// Owns one action directory on disk.
pub struct Worker {
    maildir: Maildir,
    arrivals: Arrivals,
    facts: fn(&mut Opened) -> Facts,
    order: ByWhat,
    /// The end of what a scan has found is still to be reported.
    scanning: bool,
    /// Could be neither removed nor moved: not reported again while these very files are there.
    stuck: HashMap<Name, Identity>,
    /// When to look whether the directory is another one.
    look_due: Instant,
    /// There was no room for all names: scan again when there is.
    overfull: bool,
}

impl Worker {
    /// Prepares the directory. Must be called within the runtime that it is to run in.
    pub fn open(
        dir: &Path,
        keep_failed: usize,
        order: ByWhat,
        facts: fn(&mut Opened) -> Facts,
    ) -> Result<Worker> {
        let maildir = Maildir::open(dir, keep_failed)?;
        let arrivals = Arrivals::new(Intake::new(&maildir));
        Ok(Worker {
            maildir,
            arrivals,
            facts,
            order,
            scanning: false,
            stuck: HashMap::new(),
            look_due: now() + LOOK,
            overfull: false,
        })
    }

    /// Works until nobody gives orders any more; those that were given are carried out.
    pub async fn run(
        mut self,
        mut orders: mpsc::Receiver<WorkerRequest>,
        news: mpsc::Sender<Vec<WorkerEvent>>,
    ) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                count = orders.recv_many(&mut batch, AT_A_TIME) => {
                    if count == 0 {
                        return;
                    }
                    if batch.iter().any(|order| matches!(order, WorkerRequest::Open(..))) {
                        // What was closed before it is opened is read to its end.
                        self.arrivals.catch_up();
                    }
                    let pieces = self.obey(batch.drain(..));
                    if !pieces.is_empty() {
                        let _ = news.send(pieces).await;
                    }
                }
                () = ready(()), if self.has_found() => {
                    let _ = news.send(self.look()).await;
                }
                notice = self.arrivals.intake.next() => match notice {
                    IntakeNotice::Ready(ready) => self.arrivals.ready(ready),
                    IntakeNotice::Scan => self.scan(),
                },
                () = reached(Some(self.look_due)) => {
                    self.look_due = now() + LOOK;
                    if self.maildir.is_elsewhere() {
                        self.arrivals.intake.scan_soon();
                    }
                }
            }
        }
    }

    fn obey(&mut self, orders: impl Iterator<Item = WorkerRequest>) -> Vec<WorkerEvent> {
        let mut news = Vec::new();
        let mut checks = Vec::new();
        let mut removals = Vec::new();
        for order in orders {
            match order {
                WorkerRequest::Scan => self.arrivals.intake.scan_soon(),
                WorkerRequest::Look(name) => {
                    self.arrivals.gone(&name);
                    self.arrivals.found.push_back(name);
                }
                WorkerRequest::Open(requests) => news.push(self.open_all(requests)),
                WorkerRequest::Check(name, opened, reason) => checks.push((name, opened, reason)),
                WorkerRequest::Remove(name, opened) => removals.push((name, opened)),
                WorkerRequest::Fail(name, held, reason) => {
                    let departure = self.fail(&name, &held, &reason);
                    news.push(WorkerEvent::Left {
                        name,
                        departure,
                        reason: Some(reason),
                    });
                }
            }
        }
        news.extend(self.remove_all(removals));
        news.extend(self.checked(checks));
        news
    }

    fn open_all(&mut self, requests: Vec<(Name, OpenReply)>) -> WorkerEvent {
        let opened = requests.into_iter();
        WorkerEvent::Opened(opened.map(|(name, to)| (to, self.request(&name))).collect())
    }

    fn request(&mut self, name: &Name) -> Result<(Opened, Vec<u8>), OpenError> {
        self.arrivals.opens(name);
        let mut opened = self.maildir.request(name)?;
        let contents = opened.contents()?;
        Ok((opened, contents))
    }

    /// One look at all processes serves all that ask.
    fn checked(&self, checks: Vec<(Name, Opened, String)>) -> Vec<WorkerEvent> {
        if checks.is_empty() {
            return Vec::new();
        }
        let names: Vec<Name> = checks.iter().map(|(name, ..)| name.clone()).collect();
        let writers = Writers::of(&self.maildir.new_dir(), &names);
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
    fn remove_all(&mut self, removals: Vec<(Name, Opened)>) -> Vec<WorkerEvent> {
        let mut aside = Vec::new();
        for (name, opened) in removals {
            let taken = self.maildir.take_aside(&name, opened.identity);
            aside.push((name, opened, taken));
        }
        if !aside.is_empty() {
            self.arrivals.catch_up();
        }
        let mut news = Vec::new();
        for (name, opened, taken) in aside {
            let again = self.arrivals.is_closed_again(&name);
            let departure = self.maildir.remove(&name, &opened, taken, again);
            self.left(&name, Some(opened.identity), &departure);
            news.push(WorkerEvent::Left {
                name,
                departure,
                reason: None,
            });
        }
        news
    }

    fn fail(&mut self, name: &Name, held: &HeldFile, reason: &str) -> Removal {
        let again = || self.arrivals.closed_again(name);
        let departure = self.maildir.fail(name, held, reason, again);
        self.left(name, held.identity(), &departure);
        departure
    }

    fn left(&mut self, name: &Name, read: Option<Identity>, departure: &Removal) {
        self.arrivals.gone(name);
        match (departure, read) {
            (Removal::Replaced, _) => self.arrivals.intake.doubt(name.clone()),
            (Removal::Stuck(_), Some(read)) => {
                self.stuck.insert(name.clone(), read);
            }
            (Removal::Stuck(_), None) | (Removal::Done | Removal::Deleted(_), _) => {}
        }
        if self.overfull && self.arrivals.told.len() < MOST_TOLD / 2 {
            self.overfull = false;
            self.arrivals.intake.scan_soon();
        }
    }

    fn has_found(&self) -> bool {
        self.scanning || !self.arrivals.found.is_empty()
    }

    /// Looks at some of the files that are complete.
    fn look(&mut self) -> Vec<WorkerEvent> {
        let mut news = Vec::new();
        let mut requests = Vec::new();
        let count = self.arrivals.found.len().min(AT_A_TIME);
        let names: Vec<Name> = self.arrivals.found.drain(..count).collect();
        for name in names {
            if let Some(facts) = self.arrived(&name, &mut news) {
                requests.push((name, facts));
            }
        }
        if !requests.is_empty() {
            news.push(WorkerEvent::Found(requests));
        }
        if self.arrivals.found.is_empty() && std::mem::take(&mut self.scanning) {
            news.push(WorkerEvent::Scanned);
        }
        news
    }

    /// The facts of a file that is a request.
    fn arrived(&mut self, name: &Name, news: &mut Vec<WorkerEvent>) -> Option<Facts> {
        let told = &self.arrivals.told;
        if told.len() >= MOST_TOLD && !told.contains_key(name) {
            self.no_room();
            return None;
        }
        match self.maildir.request(name) {
            Ok(mut opened) if !self.is_stuck(name, opened.identity) => {
                self.arrivals.tells(name);
                return Some((self.facts)(&mut opened));
            }
            Ok(_) | Err(OpenError::Vanished | OpenError::Directory) => {}
            Err(OpenError::Postponed(error)) => {
                warn!("cannot open '{name}' for now: {error}");
                self.arrivals.intake.scan_again();
            }
            Err(OpenError::Refused { reason, identity }) => {
                if identity.is_none_or(|identity| !self.is_stuck(name, identity)) {
                    news.push(WorkerEvent::Refused {
                        departure: self.fail(name, &HeldFile::Closed(identity), &reason),
                        name: name.clone(),
                        reason,
                    });
                }
            }
        }
        None
    }

    /// Whether this very file could not be removed.
    fn is_stuck(&mut self, name: &Name, identity: Identity) -> bool {
        let stuck = self.stuck.get(name) == Some(&identity);
        if !stuck {
            self.stuck.remove(name);
        }
        stuck
    }

    fn no_room(&mut self) {
        if !std::mem::replace(&mut self.overfull, true) {
            let dir = self.maildir.dir().display();
            warn!("more than {MOST_TOLD} requests wait in {dir}, the rest is taken up later");
        }
    }

    /// The directory was moved away, or something was mounted over it, and another one stands there.
    fn follow(&mut self) {
        let new = self.maildir.new_dir();
        if !new.is_dir() {
            return;
        }
        warn!(
            "{} is another directory now, which is served from now on",
            new.display()
        );
        if let Err(problem) = self.maildir.follow() {
            error!("{problem:#}");
        }
    }

    fn scan(&mut self) {
        self.scanning = true;
        if self.overfull && self.arrivals.told.len() >= MOST_TOLD / 2 {
            return self.arrivals.intake.not_now();
        }
        self.overfull = false;
        let (new, order, told) = (self.maildir.new_dir(), self.order, &self.arrivals.told);
        let room = MOST_TOLD.saturating_sub(told.len());
        let mut more = false;
        let names = self.arrivals.intake.scan(&self.maildir, || {
            let found = scan::scan(&new, order, room, |name| !told.contains_key(name))?;
            more = found.more;
            Ok(found.names)
        });
        self.arrivals.found.extend(names);
        if more {
            self.no_room();
        }
        if self.maildir.is_elsewhere() {
            self.follow();
        }
        let maildir = &self.maildir;
        self.stuck.retain(|name, _| maildir.holds(name));
    }
}
