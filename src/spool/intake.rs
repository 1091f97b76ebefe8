//! Which names in `new/` are ready to be taken: watch events, scans, and the doubt about files that
//! appeared without anybody telling whether they are complete.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{error, warn};
use nix::unistd::Uid;

use super::Name;
use super::being_written::Writers;
use super::maildir::Maildir;
use super::opened::Opened;
use super::order::Order;
use super::scan::Scan;
use super::waiting::Found;
use super::watch::DirEvent;
use super::watched_dir::{SCAN_WITHOUT_WATCH, WatchedDir};
use crate::clock::{now, reached};

/// Scans take no more than this part of the time: 5 %.
const COST: u32 = 20;
/// Hard links and files written in place look alike at first. A writer that closes its file within
/// this time has reported it by then.
const DOUBT: Duration = Duration::from_millis(200);
/// A file whose writers cannot be seen must have rested for this long.
const REST: Duration = Duration::from_secs(3);

/// What to do now.
#[derive(Debug)]
pub enum IntakeNotice {
    Ready(Ready),
    /// Call [`Intake::begin_scan`].
    Scan,
}

/// Names of files that are complete.
#[derive(Debug, Default)]
pub struct Ready {
    /// Renamed into the directory, or closed by a writer, just now.
    pub closed: Vec<Name>,
    /// Need no closing, and are no news of any.
    pub settled: Vec<Name>,
    /// Nobody whom we can see is writing them.
    pub others: Vec<Name>,
    /// Not these: they have left, perhaps by our own hand.
    pub gone: Vec<Name>,
}

/// The way of requests from `new/` into the queue.
pub struct Intake {
    new_dir: PathBuf,
    watched: WatchedDir,
    doubtful: HashSet<Name>,
    doubt_until: Option<Instant>,
    /// There are processes that we cannot look at, which may be writing files of other users.
    blind: bool,
    /// Such files as they looked last time, since the last scan began and before that.
    unsure: [HashMap<Name, (FileStamp, Instant)>; 2],
    scan_due: Instant,
    /// No scan begins before: the last one took long.
    scan_from: Instant,
    /// The last scan failed, which was logged.
    scan_failed: bool,
}

/// What changes when a file is written: its size and its times.
type FileStamp = (u64, (i64, i64), (i64, i64));

impl Intake {
    /// Starts watching; the first notice is [`Notice::Scan`], so that nothing is missed between.
    pub fn new(maildir: &Maildir) -> Intake {
        let new_dir = maildir.new_dir();
        Intake {
            watched: WatchedDir::arrivals(&new_dir),
            new_dir,
            doubtful: HashSet::new(),
            doubt_until: None,
            blind: true,
            unsure: Default::default(),
            scan_due: now(),
            scan_from: now(),
            scan_failed: false,
        }
    }

    /// A file has appeared under this name, nobody knows whether complete.
    pub fn doubt(&mut self, name: Name) {
        self.doubt_until.get_or_insert(now() + DOUBT);
        self.doubtful.insert(name);
    }

    /// Asks for a scan at the next opportunity.
    pub fn scan_soon(&mut self) {
        self.scan_due = now();
    }

    /// Asks for a scan in a while: something could not be looked at now.
    pub fn scan_again(&mut self) {
        self.scan_due = self.scan_due.min(now() + SCAN_WITHOUT_WATCH);
    }

    /// Waits until something is to be done: a scan only if they are `wanted`. May be dropped while it
    /// waits.
    pub async fn next(&mut self, wanted: bool) -> IntakeNotice {
        tokio::select! {
            events = self.watched.next() => IntakeNotice::Ready(self.told(events)),
            () = reached(self.doubt_until) => IntakeNotice::Ready(self.without_doubt()),
            () = reached(Some(self.scan_due.max(self.scan_from))), if wanted => IntakeNotice::Scan,
        }
    }

    /// What has happened until now and was not reported yet, without waiting.
    pub fn pending(&mut self) -> Ready {
        let events = self.watched.pending();
        self.told(events)
    }

    fn told(&mut self, events: Vec<DirEvent>) -> Ready {
        let mut ready = Ready::default();
        for event in events {
            match event {
                DirEvent::Complete(name) => {
                    self.doubtful.remove(&name);
                    for unsure in &mut self.unsure {
                        unsure.remove(&name);
                    }
                    ready.closed.push(name);
                }
                DirEvent::Created(name) if self.is_settled(&name) => ready.settled.push(name),
                DirEvent::Created(name) => self.doubt(name),
                DirEvent::Gone(name) => ready.gone.push(name),
                DirEvent::Lost => self.scan_soon(),
            }
        }
        ready
    }

    /// A second link, or something that is not a regular file, needs no closing.
    fn is_settled(&self, name: &Name) -> bool {
        fs::symlink_metadata(self.new_dir.join(name))
            .is_ok_and(|meta| !meta.is_file() || meta.nlink() > 1)
    }

    fn without_doubt(&mut self) -> Ready {
        self.doubt_until = None;
        let mut names: Vec<Name> = self.doubtful.drain().collect();
        let writers = self.writers(names.iter());
        names.retain(|name| !writers.has_open(name));
        Ready {
            others: names,
            ..Ready::default()
        }
    }

    fn writers<'a>(&mut self, names: impl Iterator<Item = &'a Name>) -> Writers {
        let writers = Writers::of(&self.new_dir, names);
        self.blind = writers.is_blind();
        writers
    }

    /// Whether somebody whom we cannot see may be writing this file, of which no event has said that it is
    /// complete. It must have looked the same for some time; until then scans ask again, soon.
    pub fn is_unsure(&mut self, name: &Name, opened: &Opened) -> bool {
        if !self.blind || opened.owner == Uid::effective().as_raw() {
            return false;
        }
        let identity = &opened.identity;
        let look = (identity.size, identity.modified, opened.changed);
        let [young, old] = &mut self.unsure;
        let before = young.remove(name).or_else(|| old.remove(name));
        let same = before.filter(|(last, _)| *last == look);
        let since = same.map_or_else(now, |(_, since)| since);
        // Kept also when it has rested: it is asked about again before it is reported.
        young.insert(name.clone(), (look, since));
        let rested = now().duration_since(since) >= REST;
        if !rested {
            self.scan_due = self.scan_due.min(now() + REST);
        }
        !rested
    }

    /// Begins a look at all files in `new/`. Arms the watch first, and repairs the directory where it is
    /// missing. `None`: it cannot be looked at, which is tried again.
    pub fn begin_scan(&mut self, maildir: &Maildir, order: Order) -> Option<Scan> {
        self.scan_due = now() + self.watched.interval();
        let begun = self
            .armed(maildir)
            .and_then(|()| Ok(Scan::begin(&self.new_dir, order)?));
        begun.map_err(|problem| self.cannot_scan(&problem)).ok()
    }

    /// A scan has failed.
    pub fn cannot_scan(&mut self, problem: &anyhow::Error) {
        if !std::mem::replace(&mut self.scan_failed, true) {
            let dir = self.new_dir.display();
            error!("cannot scan {dir}, trying again: {problem:#}");
        }
        self.scan_due = now() + SCAN_WITHOUT_WATCH;
    }

    /// A scan has found these, and took so long: leaves out what a process is still writing.
    pub fn scanned(&mut self, mut found: Found, took: Duration) -> Found {
        self.scan_failed = false;
        let [young, old] = &mut self.unsure;
        *old = std::mem::take(young);
        let begun = now();
        if !found.names.is_empty() {
            let writers = self.writers(found.names.iter().map(|one| &one.name));
            found.names.retain(|one| !writers.has_open(&one.name));
        }
        self.scan_from = now() + (took + (now() - begun)) * COST;
        found
    }

    fn armed(&mut self, maildir: &Maildir) -> anyhow::Result<()> {
        if !self.new_dir.is_dir() {
            maildir.repair()?;
            warn!("{} was missing and is made again", self.new_dir.display());
        }
        self.watched.arm();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_dir() -> (tempfile::TempDir, Maildir, Intake) {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(dir.path(), 10).unwrap();
        let intake = Intake::new(&maildir);
        (dir, maildir, intake)
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_has_rested_stays_known_as_such_however_often_it_is_asked_about() {
        let (dir, maildir, mut intake) = new_dir();
        let name = Name::new("a".as_ref());
        fs::write(dir.path().join("new/a"), "x").unwrap();
        let mut opened = maildir.request(&name).unwrap();
        assert!(!intake.is_unsure(&name, &opened), "it is our own");
        opened.owner = opened.owner.wrapping_add(1);
        assert!(intake.is_unsure(&name, &opened));
        tokio::time::advance(REST).await;
        assert!(!intake.is_unsure(&name, &opened));
        assert!(!intake.is_unsure(&name, &opened), "asked once more");
        opened.changed.0 += 1;
        assert!(intake.is_unsure(&name, &opened), "it is written again");
    }

    #[tokio::test]
    async fn a_second_link_needs_no_rest() {
        let (dir, _maildir, mut intake) = new_dir();
        fs::write(dir.path().join("tmp/a"), "x").unwrap();
        fs::hard_link(dir.path().join("tmp/a"), dir.path().join("new/a")).unwrap();
        let name = Name::new("a".as_ref());
        let ready = intake.told(vec![DirEvent::Created(name.clone())]);
        assert_eq!((ready.settled, ready.others), (vec![name], Vec::new()));
    }
}
