//! Which names in `new/` are ready to be taken: watch events, scans, and the doubt about files that
//! appeared without anybody telling whether they are complete.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{error, warn};

use super::Name;
use super::being_written::Writers;
use super::maildir::Maildir;
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
    /// Call [`Intake::scan`].
    Scan,
}

/// Names of files that are complete.
#[derive(Debug, Default)]
pub struct Ready {
    /// Renamed into the directory, or closed by a writer, just now.
    pub closed: Vec<Name>,
    pub others: Vec<Name>,
}

/// The way of requests from `new/` into the queue.
pub struct Intake {
    new_dir: PathBuf,
    watched: WatchedDir,
    doubtful: HashSet<Name>,
    doubt_until: Option<Instant>,
    /// Files of which `/proc` cannot say whether they are being written, as they looked last time.
    unsure: HashMap<Name, (FileStamp, Instant)>,
    scan_due: Instant,
    /// No scan begins before: the last one took long.
    scan_from: Instant,
    /// The last scan failed, which was logged.
    scan_failed: bool,
}

/// What changes when a file is written: its size and its times.
type FileStamp = (u64, i64, i64, i64);

impl Intake {
    /// Starts watching; the first notice is [`Notice::Scan`], so that nothing is missed between.
    pub fn new(maildir: &Maildir) -> Intake {
        let new_dir = maildir.new_dir();
        Intake {
            watched: WatchedDir::arrivals(&new_dir),
            new_dir,
            doubtful: HashSet::new(),
            doubt_until: None,
            unsure: HashMap::new(),
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

    /// Waits until something is to be done. May be dropped while it waits.
    pub async fn next(&mut self) -> IntakeNotice {
        tokio::select! {
            events = self.watched.next() => IntakeNotice::Ready(self.told(events)),
            () = reached(self.doubt_until) => IntakeNotice::Ready(self.without_doubt()),
            () = reached(Some(self.scan_due.max(self.scan_from))) => IntakeNotice::Scan,
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
                    self.unsure.remove(&name);
                    ready.closed.push(name);
                }
                DirEvent::Created(name) if self.is_settled(&name) => ready.others.push(name),
                DirEvent::Created(name) => self.doubt(name),
                // Not asked for.
                DirEvent::Gone(_) => {}
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
        let names: Vec<Name> = self.doubtful.drain().collect();
        Ready {
            closed: Vec::new(),
            others: self.without_written(names),
        }
    }

    /// Leaves out what a process is still writing.
    fn without_written(&mut self, names: Vec<Name>) -> Vec<Name> {
        if names.is_empty() {
            return names;
        }
        let writers = Writers::of(&self.new_dir, &names);
        names
            .into_iter()
            .filter(|name| {
                !writers.has_open(name) && (writers.knows_all_of(name) || self.rests(name))
            })
            .collect()
    }

    /// Whether the file looks as it did some time ago. If not, the next scan asks again, soon.
    fn rests(&mut self, name: &Name) -> bool {
        let Ok(meta) = fs::symlink_metadata(self.new_dir.join(name)) else {
            return true;
        };
        let look = (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime());
        let (last, since) = *self.unsure.entry(name.clone()).or_insert((look, now()));
        if last == look && now().duration_since(since) >= REST {
            self.unsure.remove(name);
            return true;
        }
        if last != look {
            self.unsure.insert(name.clone(), (look, now()));
        }
        self.scan_due = self.scan_due.min(now() + REST);
        false
    }

    /// The complete files in `new/`, as `look` finds them. Arms the watch first, and repairs the
    /// directory where it is missing.
    pub fn scan(
        &mut self,
        maildir: &Maildir,
        look: impl FnOnce() -> io::Result<Vec<Name>>,
    ) -> Vec<Name> {
        let begun = now();
        let found = self.armed(maildir).and_then(|()| Ok(look()?));
        let names = match found {
            Ok(names) => {
                self.scan_failed = false;
                self.scan_due = now() + self.watched.interval();
                let there: HashSet<&Name> = names.iter().collect();
                self.unsure.retain(|name, _| there.contains(name));
                self.without_written(names)
            }
            Err(problem) => {
                if !std::mem::replace(&mut self.scan_failed, true) {
                    let dir = self.new_dir.display();
                    error!("cannot scan {dir}, trying again: {problem:#}");
                }
                self.scan_due = now() + SCAN_WITHOUT_WATCH;
                Vec::new()
            }
        };
        self.scan_from = now() + (now() - begun) * COST;
        names
    }

    /// Instead of a scan, where there is no room for what it would find.
    pub fn not_now(&mut self) {
        self.scan_due = now() + self.watched.interval();
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
