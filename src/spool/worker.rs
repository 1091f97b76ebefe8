//! The thread of one action directory: everything that may wait for the disk. It carries out orders,
//! one after the other, and tells what it finds. What is to be done is decided elsewhere.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::ready;
use std::path::Path;

use anyhow::Result;
use log::warn;
use tokio::sync::{mpsc, oneshot};

use super::being_written::Writers;
use super::intake::{Intake, Notice, Ready};
use super::maildir::{Departure, Maildir};
use super::opened::{Opened, Trouble};
use super::order::{Facts, Order as ByWhat};
use super::queue::MOST_NAMES;
use super::scan;
use super::{Identity, Name};

/// Names that are told, and not gone since. Those that have just gone may still be in the queue.
const MOST_TOLD: usize = MOST_NAMES - 1024;
/// Files that are looked at before the next orders are carried out.
const AT_A_TIME: usize = 64;

/// What is to be done.
#[derive(Debug)]
pub enum Order {
    /// Look what the watch has missed.
    Scan,
    /// Look at this name again: the queue has forgotten it.
    Look(Name),
    Open(Name, oneshot::Sender<Result<(Opened, Vec<u8>), Trouble>>),
    /// Whether somebody has it open for writing. The text is handed back.
    Check(Name, Opened, String),
    /// It was carried out.
    Remove(Name, Opened),
    /// It was given up, for this reason.
    Fail(Name, Held, String),
}

/// What is known of the file of a request that was handed out.
#[derive(Debug)]
pub enum Held {
    Open(Opened),
    /// It could not be opened; what it looked like.
    Closed(Option<Identity>),
}

impl Held {
    pub fn identity(&self) -> Option<Identity> {
        match self {
            Held::Open(opened) => Some(opened.identity),
            Held::Closed(identity) => *identity,
        }
    }
}

/// What has happened.
#[derive(Debug)]
pub enum News {
    Found(Vec<(Name, Facts)>),
    /// A scan has come to its end, and all that it has found was told.
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
        departure: Departure,
        reason: Option<String>,
    },
    /// The same of one that was no request.
    Refused {
        name: Name,
        departure: Departure,
        reason: String,
    },
}

/// Owns one action directory on disk.
pub struct Worker {
    maildir: Maildir,
    intake: Intake,
    facts: fn(&mut Opened) -> Facts,
    order: ByWhat,
    /// Names that are complete, to be looked at.
    found: VecDeque<Name>,
    /// The end of what a scan has found is still to be told.
    scanning: bool,
    /// Told, and not gone since: a scan need not look at them again.
    told: HashSet<Name>,
    /// Could be neither removed nor moved: not told again while these very files are there.
    stuck: HashMap<Name, Identity>,
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
        let intake = Intake::new(&maildir);
        Ok(Worker {
            maildir,
            intake,
            facts,
            order,
            found: VecDeque::new(),
            scanning: false,
            told: HashSet::new(),
            stuck: HashMap::new(),
            overfull: false,
        })
    }

    /// Works until nobody gives orders any more; those that were given are carried out.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>, news: mpsc::Sender<News>) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                count = orders.recv_many(&mut batch, AT_A_TIME) => {
                    if count == 0 {
                        return;
                    }
                    for piece in self.obey(batch.drain(..)) {
                        let _ = news.send(piece).await;
                    }
                }
                () = ready(()), if self.has_found() => {
                    for piece in self.look() {
                        let _ = news.send(piece).await;
                    }
                }
                notice = self.intake.next() => match notice {
                    Notice::Ready(Ready { closed, others }) => {
                        self.found.extend(closed);
                        self.found.extend(others);
                    }
                    Notice::Scan => self.scan(),
                }
            }
        }
    }

    fn obey(&mut self, orders: impl Iterator<Item = Order>) -> Vec<News> {
        let mut news = Vec::new();
        let mut checks = Vec::new();
        for order in orders {
            match order {
                Order::Scan => self.intake.scan_soon(),
                Order::Look(name) => {
                    self.told.remove(&name);
                    self.found.push_back(name);
                }
                Order::Open(name, answer) => drop(answer.send(self.request(&name))),
                Order::Check(name, opened, reason) => checks.push((name, opened, reason)),
                Order::Remove(name, opened) => news.push(self.remove(name, &opened)),
                Order::Fail(name, held, reason) => {
                    let departure = self.fail(&name, held.identity(), &reason);
                    news.push(News::Left {
                        name,
                        departure,
                        reason: Some(reason),
                    });
                }
            }
        }
        news.extend(self.checked(checks));
        news
    }

    fn request(&self, name: &Name) -> Result<(Opened, Vec<u8>), Trouble> {
        let mut opened = self.maildir.request(name)?;
        let contents = opened.contents()?;
        Ok((opened, contents))
    }

    /// One look at all processes serves all that ask.
    fn checked(&self, checks: Vec<(Name, Opened, String)>) -> Vec<News> {
        if checks.is_empty() {
            return Vec::new();
        }
        let names: Vec<Name> = checks.iter().map(|(name, ..)| name.clone()).collect();
        let writers = Writers::of(&self.maildir.new_dir(), &names);
        let checked = checks.into_iter().map(|(name, opened, reason)| {
            let written = writers.has_open(&name);
            News::Checked {
                name,
                opened,
                reason,
                written,
            }
        });
        checked.collect()
    }

    fn remove(&mut self, name: Name, opened: &Opened) -> News {
        let departure = self.maildir.remove(&name, opened.identity);
        self.left(&name, Some(opened.identity), &departure);
        News::Left {
            name,
            departure,
            reason: None,
        }
    }

    fn fail(&mut self, name: &Name, read: Option<Identity>, reason: &str) -> Departure {
        let departure = self.maildir.fail(name, read, reason);
        self.left(name, read, &departure);
        departure
    }

    fn left(&mut self, name: &Name, read: Option<Identity>, departure: &Departure) {
        self.told.remove(name);
        match (departure, read) {
            (Departure::Replaced, _) => self.intake.doubt(name.clone()),
            (Departure::Stuck(_), Some(read)) => {
                self.stuck.insert(name.clone(), read);
            }
            _ => {}
        }
        if self.overfull && self.told.len() < MOST_TOLD / 2 {
            self.overfull = false;
            self.intake.scan_soon();
        }
    }

    fn has_found(&self) -> bool {
        self.scanning || !self.found.is_empty()
    }

    /// Looks at some of the files that are complete.
    fn look(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let mut requests = Vec::new();
        let count = self.found.len().min(AT_A_TIME);
        let names: Vec<Name> = self.found.drain(..count).collect();
        for name in names {
            match self.arrived(&name) {
                Ok(facts) => requests.push((name, facts)),
                Err(refused) => news.extend(refused),
            }
        }
        if !requests.is_empty() {
            news.push(News::Found(requests));
        }
        if self.found.is_empty() && std::mem::take(&mut self.scanning) {
            news.push(News::Scanned);
        }
        news
    }

    /// The facts of a file that is a request, or what became of it.
    fn arrived(&mut self, name: &Name) -> Result<Facts, Option<News>> {
        if self.told.len() >= MOST_TOLD && !self.told.contains(name) {
            self.no_room();
            return Err(None);
        }
        match self.maildir.request(name) {
            Ok(opened) if self.is_stuck(name, opened.identity) => Err(None),
            Ok(mut opened) => {
                self.told.insert(name.clone());
                Ok((self.facts)(&mut opened))
            }
            Err(Trouble::Vanished | Trouble::Directory) => Err(None),
            Err(Trouble::Postponed(error)) => {
                warn!("cannot open '{name}' for now: {error}");
                self.intake.scan_again();
                Err(None)
            }
            Err(Trouble::Refused { reason, identity }) => {
                let stuck = identity.is_some_and(|identity| self.is_stuck(name, identity));
                Err((!stuck).then(|| News::Refused {
                    departure: self.fail(name, identity, &reason),
                    name: name.clone(),
                    reason,
                }))
            }
        }
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

    fn scan(&mut self) {
        self.scanning = true;
        if self.overfull && self.told.len() >= MOST_TOLD / 2 {
            return self.intake.not_now();
        }
        self.overfull = false;
        let (new, order, told) = (self.maildir.new_dir(), self.order, &self.told);
        let room = MOST_TOLD.saturating_sub(told.len());
        let mut more = false;
        let names = self.intake.scan(&self.maildir, || {
            let found = scan::scan(&new, order, room, |name| !told.contains(name))?;
            more = found.more;
            Ok(found.names)
        });
        self.found.extend(names);
        if more {
            self.no_room();
        }
        let maildir = &self.maildir;
        self.stuck.retain(|name, _| maildir.holds(name));
    }
}
