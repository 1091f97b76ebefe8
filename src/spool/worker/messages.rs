//! What the thread of an action directory is asked to do, and what it reports.

use tokio::sync::oneshot;

use super::super::Name;
use super::super::maildir::Removal;
use super::super::opened::{HeldFile, OpenError, Opened};
use super::super::order::Facts;
use super::super::prefetch::Prefetched;

/// Where an opened file goes, with its contents.
pub type OpenReply = oneshot::Sender<Result<(Opened, Vec<u8>), OpenError>>;

/// An opened file with its contents, or why there is none, and where it goes.
pub type Answered = (OpenReply, Result<(Opened, Vec<u8>), OpenError>);

/// What is to be done.
#[derive(Debug)]
pub enum WorkerRequest {
    /// Look what the watch has missed.
    Scan,
    /// Report so many more of those that wait: the first in the order, and the last.
    Feed { first: usize, last: usize },
    /// Look at this name again: the queue has forgotten it.
    Look(Name),
    /// All of them, before the first answer is given.
    Open(Vec<(Name, OpenReply)>),
    /// Whether somebody has it open for writing. The text is handed back.
    Check(Name, Opened, String),
    /// They were carried out.
    Remove(Vec<(Name, Opened)>),
    /// It was given up, for this reason.
    Fail(Name, HeldFile, String),
}

/// A request that was looked at.
#[derive(Debug)]
pub struct Sighting {
    pub name: Name,
    pub facts: Facts,
    /// Its file, if it is likely to be wanted at once.
    pub prefetched: Option<Prefetched>,
}

/// What has happened.
#[derive(Debug)]
pub enum WorkerEvent {
    Found(Vec<Sighting>),
    /// Somebody has taken these away since they were reported. Others may stand there by now.
    TakenAway(Vec<Name>),
    /// Files that were to be opened, for those who asked.
    Opened(Vec<Answered>),
    /// A scan has ended, and what it has found was reported as far as it was asked for.
    Scanned,
    /// Others wait that were not reported: ask for them with [`WorkerRequest::Feed`].
    Waiting,
    /// What was asked for with that was reported, or all there is. Whether others wait.
    Fed {
        waiting: bool,
    },
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
