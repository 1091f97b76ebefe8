//! Update files: from their directories to the cloud, in the order of their names.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::outbox::FileId;
use crate::clock::now;
use crate::format::Format;
use crate::shortage;
use crate::spool::desk::{Desk, Taken, without_priority};
use crate::spool::intake::Notice;
use crate::spool::maildir::Opened;
use crate::spool::order::Order;
use crate::spool::outcome::{Outcome, Readiness};
use crate::spool::queue;

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
/// The files of a key rest so long after trouble with its service.
const REST: Duration = Duration::from_secs(2);
/// A postponed file that has not come back after this is gone.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// Updates wait for the cloud as long as it takes.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The update directories of one shadow.
pub struct Updates {
    desks: Vec<Desk>,
    /// Files that were handed out.
    opened: HashMap<FileId, Opened>,
    /// What is in the way of a key's files.
    troubled: HashMap<String, Trouble>,
}

/// Trouble with the service of a key.
#[derive(Default)]
struct Trouble {
    rest: Option<Instant>,
    /// The first files that were postponed, each until it counts as gone.
    waiting: BTreeMap<FileId, Instant>,
}

/// A file that was handed out.
pub struct Update {
    pub id: FileId,
    pub key: String,
    contents: Vec<u8>,
}

impl Updates {
    /// Prepares the directories. Must be called within the runtime.
    pub fn open(dirs: &[PathBuf]) -> Result<Updates> {
        let options = queue::Options {
            order: Order::Lexical,
            window: MOST_WAITING,
            retries: u32::MAX,
            jam: NEVER,
        };
        let desks: Result<Vec<Desk>> = dirs
            .iter()
            .map(|dir| Desk::open(dir, KEEP_FAILED, options, without_priority))
            .collect();
        Ok(Updates {
            desks: desks?,
            opened: HashMap::new(),
            troubled: HashMap::new(),
        })
    }

    /// Waits for something that [`Updates::noticed`] is to be told. May be dropped while it waits.
    pub async fn notice(&mut self) -> (usize, Notice) {
        let mut waits: Vec<_> = self
            .desks
            .iter_mut()
            .map(|desk| Box::pin(desk.notice()))
            .collect();
        let first = poll_fn(|context| {
            for (index, wait) in waits.iter_mut().enumerate() {
                if let Poll::Ready(notice) = pin!(wait).poll(context) {
                    return Poll::Ready((index, notice));
                }
            }
            Poll::Pending
        });
        first.await
    }

    pub async fn noticed(&mut self, (index, notice): (usize, Notice)) {
        if let Some(desk) = self.desks.get_mut(index) {
            desk.noticed(notice).await;
        }
    }

    /// The link is up: looks for what the watch has missed.
    pub fn link_up(&mut self) {
        self.desks.iter_mut().for_each(Desk::link_up);
    }

    /// When to call [`Updates::take`] again, if nothing else happens.
    pub fn deadline(&mut self) -> Option<Instant> {
        let ready = |desk: &mut Desk| desk.readiness() != Readiness::Nothing;
        if self.opened.len() < MOST_WAITING && self.desks.iter_mut().any(ready) {
            return Some(now());
        }
        let desks = self.desks.iter().filter_map(Desk::deadline);
        desks.min()
    }

    /// Hands out some files, if there is room: the time that their validation takes is limited.
    /// Those that name no key are given up.
    pub fn take(&mut self) -> Vec<Update> {
        let mut updates = Vec::new();
        for index in 0..self.desks.len() {
            while updates.len() < AT_A_TIME
                && self.opened.len() < MOST_WAITING
                && self.desks[index].readiness() != Readiness::Nothing
            {
                if let Some(taken) = self.desks[index].take() {
                    updates.extend(self.read(index, taken));
                }
            }
        }
        updates
    }

    fn read(&mut self, dir: usize, taken: Taken) -> Option<Update> {
        let Taken { name, opened, .. } = taken;
        let contents = opened.read();
        let id = FileId {
            dir,
            name: name.clone(),
        };
        self.opened.insert(id.clone(), opened);
        let text = name.as_os_str().to_str();
        let key = text.and_then(|text| text.split('.').next());
        match (key, contents) {
            (Some(key), Ok(_)) if self.must_wait(&id, key) => {
                let why = "an earlier one of its service waits";
                self.settle(&id, Outcome::Postponed(why.to_owned()));
                None
            }
            (Some(key), Ok(contents)) => Some(Update {
                key: key.to_owned(),
                id,
                contents,
            }),
            (None, _) => {
                self.settle(&id, Outcome::Unusable("its name is not UTF-8".to_owned()));
                None
            }
            (_, Err(error)) => {
                let reason = format!("cannot be read: {error}");
                let passes = shortage::passes(&error);
                let outcome = if passes {
                    Outcome::Postponed
                } else {
                    Outcome::Unusable
                };
                self.settle(&id, outcome(reason));
                None
            }
        }
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

    /// What became of a file.
    pub fn settle(&mut self, id: &FileId, outcome: Outcome) {
        let done = format!("the cloud has the update '{}'", id.name);
        self.settle_as(id, outcome, &done);
    }

    /// The same, with the words for the log in case it was carried out.
    pub fn settle_as(&mut self, id: &FileId, outcome: Outcome, done: &str) {
        let (Some(opened), Some(desk)) = (self.opened.remove(id), self.desks.get_mut(id.dir))
        else {
            return;
        };
        desk.settle(&id.name, opened, outcome, done);
    }
}

impl Update {
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
