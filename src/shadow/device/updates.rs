//! Update files: from their directories to the cloud, in the order of their names.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use crate::clock::now;
use crate::format::Format;
use crate::shadow::effect::FileId;
use crate::spool::Name;
use crate::spool::action_dir::{self, ActionDir, Looks};
use crate::spool::disks::Disks;
use crate::spool::opened::{HeldFile, Opened};
use crate::spool::opening::Dispatched;
use crate::spool::order::Order;
use crate::spool::outcome::{Outcome, Readiness};
use crate::spool::queue;
use crate::spool::starts::Starts;
use crate::waits::or_pending;

/// Files whose contents are on their way to the cloud at one time.
pub const MOST_WAITING: usize = 32;
/// Files that are handed out before somebody else has a turn.
const AT_A_TIME: usize = 8;
/// A larger patch fits into no message.
const LARGEST_PATCH: usize = 120 * 1024;
/// Requests that were given up and are kept.
const KEEP_FAILED: usize = 10;
/// A text that no file holds.
const NOBODY_S: &str = "\0 nothing is known";
/// The files of a key rest so long after an error of its service.
const REST: Duration = Duration::from_secs(2);
/// A postponed file that has not come back after this is gone.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// Updates wait for the cloud as long as it takes.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The update directories of one shadow.
pub struct Updates {
    action_dirs: Vec<ActionDir>,
    /// Files that are being opened, for each directory in their order.
    opening: Vec<VecDeque<Dispatched>>,
    /// Files that are open, for each directory in their order.
    ready: Vec<VecDeque<(Name, OpenedUpdate)>>,
    /// Files that were handed out.
    opened: HashMap<FileId, Opened>,
    /// What is in the way of a key's files.
    troubled: HashMap<String, Postponement>,
}

/// A file with its contents, or how its request ends.
type OpenedUpdate = Result<(Opened, Vec<u8>), (Outcome, HeldFile)>;

/// What [`Updates::notice`] has waited for.
pub enum UpdatesNotice {
    Dir(usize, action_dir::Notice),
    Opened(usize, OpenedUpdate),
}

/// An error of the service of a key.
#[derive(Default)]
struct Postponement {
    rest: Option<Instant>,
    /// The first files that were postponed, each until it counts as gone.
    waiting: BTreeMap<FileId, Instant>,
}

/// A file that was handed out.
pub struct UpdateFile {
    pub id: FileId,
    pub key: String,
    contents: Vec<u8>,
}

impl Updates {
    /// Prepares the directories.
    pub async fn open(dirs: &[PathBuf], disks: &Disks) -> Result<Updates> {
        let options = queue::QueueOptions {
            order: Order::Lexical,
            window: MOST_WAITING,
            retries: u32::MAX,
            jam: NEVER,
        };
        let mut action_dirs = Vec::new();
        for dir in dirs {
            action_dirs
                .push(ActionDir::open(dir, KEEP_FAILED, options, Looks::default(), disks).await?);
        }
        Ok(Updates {
            opening: action_dirs.iter().map(|_| VecDeque::new()).collect(),
            ready: action_dirs.iter().map(|_| VecDeque::new()).collect(),
            action_dirs,
            opened: HashMap::new(),
            troubled: HashMap::new(),
        })
    }

    /// Waits for something that [`Updates::noticed`] is to be given. May be dropped while it waits.
    pub async fn notice(&mut self) -> UpdatesNotice {
        let mut waits: Vec<_> = self
            .action_dirs
            .iter_mut()
            .zip(&mut self.opening)
            .enumerate()
            .map(|(index, (action_dir, opening))| {
                Box::pin(news(index, action_dir, opening.front_mut()))
            })
            .collect();
        let first = poll_fn(|context| {
            for wait in &mut waits {
                if let Poll::Ready(notice) = pin!(wait).poll(context) {
                    return Poll::Ready(notice);
                }
            }
            Poll::Pending
        });
        first.await
    }

    pub fn noticed(&mut self, notice: UpdatesNotice) {
        match notice {
            UpdatesNotice::Dir(index, notice) => {
                if let Some(action_dir) = self.action_dirs.get_mut(index) {
                    action_dir.noticed(notice);
                }
            }
            UpdatesNotice::Opened(index, file) => {
                if let Some(taken) = self.opening[index].pop_front() {
                    self.ready[index].push_back((taken.name, file));
                }
            }
        }
    }

    /// The link is up: looks for what the watch has missed.
    pub fn link_up(&mut self) {
        self.action_dirs.iter_mut().for_each(ActionDir::link_up);
    }

    /// When to call [`Updates::take`] again, if nothing else happens.
    pub fn deadline(&mut self) -> Option<Instant> {
        let room = self.has_room();
        let ready = |action_dir: &mut ActionDir| action_dir.readiness() != Readiness::Nothing;
        if self.is_ready().is_some() || room && self.action_dirs.iter_mut().any(ready) {
            return Some(now());
        }
        let action_dirs = self.action_dirs.iter().filter_map(ActionDir::deadline);
        action_dirs.min()
    }

    fn has_room(&self) -> bool {
        let opening: usize = self.opening.iter().map(VecDeque::len).sum();
        let ready: usize = self.ready.iter().map(VecDeque::len).sum();
        self.opened.len() + ready + opening < MOST_WAITING
    }

    /// A directory with files to hand out: those that wait together travel together.
    fn is_ready(&self) -> Option<usize> {
        let mut all = self.ready.iter().zip(&self.opening);
        all.position(|(ready, opening)| {
            ready.len() >= AT_A_TIME || !ready.is_empty() && opening.is_empty()
        })
    }

    /// Hands out some of the files that are open, and has more of them opened, if there is room: the
    /// time that their validation takes is limited. Those that name no key are given up.
    pub fn take(&mut self) -> Vec<UpdateFile> {
        let mut updates = Vec::new();
        while updates.len() < AT_A_TIME
            && let Some(dir) = self.is_ready()
        {
            let count = self.ready[dir].len().min(AT_A_TIME - updates.len());
            let files: Vec<_> = self.ready[dir].drain(..count).collect();
            for (name, file) in files {
                updates.extend(self.read(FileId { dir, name }, file));
            }
        }
        for index in 0..self.action_dirs.len() {
            while self.has_room() && self.action_dirs[index].readiness() != Readiness::Nothing {
                let taken = self.action_dirs[index].take();
                self.opening[index].extend(taken);
            }
        }
        updates
    }

    fn read(&mut self, id: FileId, file: OpenedUpdate) -> Option<UpdateFile> {
        let (opened, contents) = match file {
            Ok(file) => file,
            Err((outcome, held)) => {
                let action_dir = self.action_dirs.get_mut(id.dir)?;
                action_dir.settle(&id.name, held, outcome, "");
                return None;
            }
        };
        self.opened.insert(id.clone(), opened);
        let Some(key) = id.name.as_os_str().to_str().and_then(key_of) else {
            self.settle(&id, Outcome::Unusable("its name is not UTF-8".to_owned()));
            return None;
        };
        let key = key.to_owned();
        if self.must_wait(&id, &key) {
            let why = "an earlier one of its service waits";
            self.settle(&id, Outcome::Postponed(why.to_owned()));
            return None;
        }
        Some(UpdateFile { id, key, contents })
    }

    /// Something is in the way of a file, and so of all later ones for its key.
    pub fn postpone(&mut self, id: &FileId, key: &str, reason: String) {
        let trouble = self.troubled.entry(key.to_owned()).or_default();
        trouble.rest = Some(now() + REST);
        if trouble.waiting.len() < MOST_WAITING {
            trouble.waiting.insert(id.clone(), now() + FORGOTTEN);
        }
        self.settle(id, Outcome::Postponed(reason));
    }

    /// The files of a key keep their order, also when some were postponed.
    fn must_wait(&mut self, id: &FileId, key: &str) -> bool {
        let Some(trouble) = self.troubled.get_mut(key) else {
            return false;
        };
        let present = now();
        trouble.waiting.retain(|_, until| present < *until);
        let rests = trouble.rest.is_some_and(|until| present < until);
        let first = trouble.waiting.keys().next();
        if rests || first.is_some_and(|first| first.dir == id.dir && first < id) {
            return true;
        }
        trouble.waiting.remove(id);
        if trouble.waiting.is_empty() {
            self.troubled.remove(key);
        }
        false
    }

    /// Counts the starts of the command that a file asks for.
    pub fn starts(&self, id: &FileId) -> Option<Starts> {
        let action_dir = self.action_dirs.get(id.dir)?;
        let opened = self.opened.get(id)?;
        Some(Starts::new(action_dir.dir(), &id.name, opened.identity))
    }

    /// What became of a file.
    pub fn settle(&mut self, id: &FileId, outcome: Outcome) {
        let done = format!("the cloud has the update '{}'", id.name);
        self.settle_as(id, outcome, &done);
    }

    /// The same, with the words for the log in case it was carried out.
    pub fn settle_as(&mut self, id: &FileId, outcome: Outcome, done: &str) {
        let (Some(opened), Some(action_dir)) =
            (self.opened.remove(id), self.action_dirs.get_mut(id.dir))
        else {
            return;
        };
        action_dir.settle(&id.name, HeldFile::Open(opened), outcome, done);
    }
}

/// What happens first: a notice of the directory, or the first file that is being opened is open.
async fn news(
    index: usize,
    action_dir: &mut ActionDir,
    first: Option<&mut Dispatched>,
) -> UpdatesNotice {
    let opened = or_pending(first.map(|taken| taken.opening.opened()));
    tokio::select! {
        notice = action_dir.notice() => UpdatesNotice::Dir(index, notice),
        file = opened => UpdatesNotice::Opened(index, file),
    }
}

fn key_of(name: &str) -> Option<&str> {
    name.split('.').next()
}

impl UpdateFile {
    /// # Errors
    /// Why it is no update.
    pub fn patch(&self, format: Format) -> Result<Value, String> {
        if self.contents.len() > LARGEST_PATCH {
            return Err(format!(
                "is larger than {} KiB, which no update can hold",
                LARGEST_PATCH / 1024
            ));
        }
        // Nothing is known that an empty file could mean: it changes nothing.
        let patch = format.parse(&self.contents, &Value::from(NOBODY_S));
        patch.map_err(|why| format!("is not {format}: {why}"))
    }
}

#[cfg(test)]
#[path = "updates_tests.rs"]
mod tests;
