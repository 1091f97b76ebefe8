//! Which names in `new/` are ready to be taken: watch events, scans, and the doubt about files that
//! appeared without anybody telling whether they are complete.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{error, warn};

use super::Name;
use super::being_written::open_for_writing;
use super::maildir::Maildir;
use super::watch::{Event, Watch};
use crate::clock::{now, reached};

/// Some file systems deliver no events: look every few minutes.
const SAFETY_SCAN: Duration = Duration::from_secs(300);
/// Without a watch the scan is all there is.
const SCAN_WITHOUT_WATCH: Duration = Duration::from_secs(5);
/// Hard links and files written in place look alike at first. A writer that closes its file within
/// this time has told by then.
const DOUBT: Duration = Duration::from_millis(200);

/// What to do now.
#[derive(Debug)]
pub enum Notice {
    /// These files are complete.
    Names(Vec<Name>),
    /// Call [`Intake::scan`].
    Scan,
}

/// The way of requests from `new/` into the queue.
pub struct Intake {
    new_dir: PathBuf,
    watch: Option<Watch>,
    doubtful: HashSet<Name>,
    doubt_until: Option<Instant>,
    scan_due: Instant,
}

impl Intake {
    /// Starts watching; the first notice is [`Notice::Scan`], so that nothing is missed between.
    pub fn new(maildir: &Maildir) -> Intake {
        let new_dir = maildir.new_dir();
        let watch = Watch::new(&new_dir)
            .inspect_err(|error| {
                let seconds = SCAN_WITHOUT_WATCH.as_secs();
                warn!(
                    "cannot watch {}, scanning every {seconds} s instead: {error}",
                    new_dir.display()
                );
            })
            .ok();
        Intake {
            new_dir,
            watch,
            doubtful: HashSet::new(),
            doubt_until: None,
            scan_due: now(),
        }
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
    pub async fn next(&mut self) -> Notice {
        tokio::select! {
            events = events(&mut self.watch) => match events {
                Ok(events) => self.told(events),
                Err(error) => {
                    warn!("cannot watch {}: {error}", self.new_dir.display());
                    self.watch = None;
                    Notice::Scan
                }
            },
            () = reached(self.doubt_until) => Notice::Names(self.settle_doubts()),
            () = reached(Some(self.scan_due)) => Notice::Scan,
        }
    }

    fn told(&mut self, events: Vec<Event>) -> Notice {
        let mut names = Vec::new();
        for event in events {
            match event {
                Event::Complete(name) => {
                    self.doubtful.remove(&name);
                    names.push(name);
                }
                Event::Created(name) if self.is_settled(&name) => names.push(name),
                Event::Created(name) => {
                    self.doubt_until.get_or_insert(now() + DOUBT);
                    self.doubtful.insert(name);
                }
                Event::Lost => self.scan_soon(),
            }
        }
        Notice::Names(names)
    }

    /// A second link, or something that is not a regular file, needs no closing.
    fn is_settled(&self, name: &Name) -> bool {
        fs::symlink_metadata(self.new_dir.join(name))
            .is_ok_and(|meta| !meta.is_file() || meta.nlink() > 1)
    }

    fn settle_doubts(&mut self) -> Vec<Name> {
        self.doubt_until = None;
        let names: Vec<Name> = self.doubtful.drain().collect();
        self.without_written(names)
    }

    fn without_written(&self, mut names: Vec<Name>) -> Vec<Name> {
        if !names.is_empty() {
            let writing = open_for_writing(&self.new_dir, &names);
            names.retain(|name| !writing.contains(name));
        }
        names
    }

    /// The complete files in `new/` that are not `known`, in byte order. Arms the watch first, and
    /// repairs the directory where it is missing.
    pub fn scan(&mut self, maildir: &Maildir, known: impl Fn(&Name) -> bool) -> Vec<Name> {
        let interval = if self.watch.is_some() {
            SAFETY_SCAN
        } else {
            SCAN_WITHOUT_WATCH
        };
        self.scan_due = now() + interval;
        match self.armed_scan(maildir) {
            Ok(mut names) => {
                names.retain(|name| !known(name));
                self.without_written(names)
            }
            Err(problem) => {
                error!("cannot scan {}: {problem:#}", self.new_dir.display());
                self.scan_due = now() + SCAN_WITHOUT_WATCH;
                Vec::new()
            }
        }
    }

    fn armed_scan(&mut self, maildir: &Maildir) -> anyhow::Result<Vec<Name>> {
        if !self.new_dir.is_dir() {
            maildir.repair()?;
            warn!("{} was missing and is made again", self.new_dir.display());
        }
        if let Some(watch) = &mut self.watch {
            watch.arm()?;
        }
        Ok(maildir.scan()?)
    }
}

async fn events(watch: &mut Option<Watch>) -> io::Result<Vec<Event>> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
