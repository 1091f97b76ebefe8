//! What the thread of an action directory knows.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::arrivals::Arrivals;
use super::super::intake::Intake;
use super::super::maildir::Maildir;
use super::super::opened::{OpenError, Opened};
use super::super::order::{Order as ByWhat, Priority};
use super::super::prefetch::Prefetching;
use super::super::scan::Scan;
use super::super::waiting::{Pending, WaitingNames};
use super::super::{Identity, Name};
use crate::clock::now;

/// Files that are looked at before the next orders are carried out: what was acknowledged is to leave soon.
pub const AT_A_TIME: usize = 16;
/// Names that arrive while the directory is read; for more it is read once more.
const MOST_ARRIVALS: usize = 4096;

/// No event shows that something was mounted over the directory, or that it was moved together with
/// its parent. A look is cheap, and still rare enough for a device that sleeps.
pub const LOOK: Duration = Duration::from_secs(10);

/// What the contents of a request say about its turn: its priority and its slot.
pub type ReadPriority = fn(&[u8]) -> (Option<Priority>, Option<String>);

/// In which order requests are reported.
#[derive(Clone, Copy, Debug)]
pub struct Reporting {
    pub order: ByWhat,
    /// `None`: their contents say nothing about their turn.
    pub priority: Option<ReadPriority>,
    /// All that wait are looked at for their priority before the first is reported, however many they
    /// are. Otherwise only the first of them, unless it is seen that priorities are used.
    pub look_at_all: bool,
}

/// Owns one action directory on disk.
pub struct Worker {
    pub maildir: Maildir,
    pub arrivals: Arrivals,
    /// Those that were not reported yet.
    pub names: WaitingNames,
    pub reporting: Reporting,
    pub prefetching: Prefetching,
    pub scanning: Scanning,
    /// What was asked for and is still to be reported.
    pub wanted: Option<Wanted>,
    /// A request with a priority was seen.
    pub priorities: bool,
    /// It was reported that others wait.
    pub waiting: bool,
    /// Could be neither removed nor moved: not reported again while these very files are there.
    pub stuck: HashMap<Name, Identity>,
    /// When to look whether the directory is another one.
    pub look_due: Instant,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// So many of the first in the order, and of the last.
    pub first: usize,
    pub last: usize,
}

/// Whether the directory is being read.
#[derive(Default)]
pub struct Scanning {
    pub scan: Option<Scan>,
    /// One has come to its end, or has failed.
    pub ended: bool,
    /// So many of those that it has found were looked at for their priority.
    pub looks: usize,
    /// The time that its pieces took.
    pub took: Duration,
    /// What has arrived meanwhile and has to wait: it may have been missed.
    pub arrivals: Vec<Pending>,
    /// Files have left since it began.
    pub progress: bool,
    /// Files have left while it was under way: some systems skip names then.
    pub disturbed: bool,
    /// Its end is still to be reported.
    pub untold: bool,
}

impl Scanning {
    pub fn is_under_way(&self) -> bool {
        self.scan.is_some()
    }

    /// Whether one has come to its end since the start, so that it is known what waits.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The same, and no other one is under way.
    pub fn is_over(&self) -> bool {
        self.ended && self.scan.is_none()
    }

    /// A file has left.
    pub fn left(&mut self) {
        self.progress = true;
        self.disturbed |= self.scan.is_some();
    }

    /// One has arrived, and waits. Whether it will not be forgotten when the scan ends.
    pub fn arrived(&mut self, arrival: &Pending) -> bool {
        let room = self.arrivals.len() < MOST_ARRIVALS;
        if room && !self.is_over() {
            self.arrivals.push(arrival.clone());
        }
        room || self.is_over()
    }
}

impl Worker {
    /// Prepares the directory. Must be called within the runtime that it is to run in.
    pub fn open(
        dir: &Path,
        keep_failed: usize,
        reporting: Reporting,
        prefetching: Prefetching,
    ) -> Result<Worker> {
        let maildir = Maildir::open(dir, keep_failed)?;
        let arrivals = Arrivals::new(Intake::new(&maildir));
        Ok(Worker {
            maildir,
            arrivals,
            names: WaitingNames::new(reporting.order),
            reporting,
            prefetching,
            scanning: Scanning::default(),
            wanted: None,
            priorities: false,
            waiting: false,
            stuck: HashMap::new(),
            look_due: now() + LOOK,
        })
    }

    /// Opens a request.
    pub fn open_one(&mut self, name: &Name) -> Result<Opened, OpenError> {
        let mut opened = self.maildir.request(name)?;
        opened.closes = self.arrivals.closes(name);
        Ok(opened)
    }
}
