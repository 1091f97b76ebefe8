//! The directory of an inbox as its task sees it: what may be put there, and what has left. Waits for
//! the disk.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use log::{debug, info, warn};

use super::quota::Quota;
use crate::clock::{now, reached};
use crate::spool::Name;
use crate::spool::deposit::{Deposit, Item};
use crate::spool::stamps::Stamps;
use crate::spool::watch::DirEvent;
use crate::spool::watched_dir::{SCAN_WITHOUT_WATCH, WatchedDir};

/// No event shows that another directory stands in the place of this one.
const LOOK: Duration = Duration::from_secs(10);

pub struct InboxDir {
    deposit: Deposit,
    stamps: Stamps,
    room: Quota,
    watched: WatchedDir,
    scan_due: Instant,
    look_due: Instant,
    /// The message that left last. If it was the newest, its header goes when there is a newer one.
    last_left: Option<Name>,
    /// There was no room, which was logged.
    full: bool,
}

/// Something has left, or it is time to look.
pub enum InboxNotice {
    Events(Vec<DirEvent>),
    Look,
}

impl InboxDir {
    /// Prepares the directory. Must be called within the runtime.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(dir: &Path, room: Quota) -> Result<InboxDir> {
        let deposit = Deposit::open(dir)?;
        let new = deposit.new_dir();
        let mut inbox_dir = InboxDir {
            watched: WatchedDir::departures(&new),
            deposit,
            stamps: Stamps::default(),
            room,
            scan_due: now(),
            look_due: now() + LOOK,
            last_left: None,
            full: false,
        };
        let scanned = inbox_dir.scan();
        scanned.with_context(|| format!("cannot read {}", new.display()))?;
        Ok(inbox_dir)
    }

    pub fn dir(&self) -> &Path {
        self.deposit.dir()
    }

    /// Whether there is room for `files` more messages, of so many bytes together. That there is
    /// none is logged once.
    pub fn fits(&mut self, files: usize, bytes: u64) -> bool {
        let fits = self.room.fits(files, bytes);
        let dir = self.deposit.dir().display();
        if self.full && self.room.is_relieved() {
            self.full = false;
            info!("{dir} has room again");
        } else if !fits && files == 1 && !self.full {
            self.full = true;
            let (files, bytes) = (self.room.files(), self.room.bytes());
            warn!("{dir} is full with {files} messages of {bytes} bytes: more wait in the broker");
        }
        fits
    }

    /// A name for a message at this time since 1970.
    pub fn name(&mut self, now: Duration) -> String {
        self.stamps.next(now.as_secs())
    }

    /// Puts messages there, durably: how many of them, from the first one on, and why not all.
    pub fn put(&mut self, items: &[Item]) -> (usize, io::Result<()>) {
        let (count, problem) = self.deposit.put(items);
        for item in items.iter().take(count) {
            self.stamps.used(&item.name);
            self.room.put(Name::new(item.name.as_ref()), item.size());
        }
        if count > 0
            && let Some(name) = self.last_left.take()
        {
            self.deposit.left(&name, &self.stamps);
        }
        (count, problem)
    }

    /// Makes missing sub-directories again, as far as that is possible.
    pub fn repair(&self) {
        if let Err(problem) = self.deposit.repair() {
            debug!("{problem:#}");
        }
    }

    /// Waits for something that [`InboxDir::noticed`] is to be given. May be dropped while it
    /// waits.
    pub async fn notice(&mut self) -> InboxNotice {
        tokio::select! {
            events = self.watched.next() => InboxNotice::Events(events),
            () = reached(Some(self.scan_due.min(self.look_due))) => InboxNotice::Look,
        }
    }

    /// Takes note of what has left.
    pub fn noticed(&mut self, notice: InboxNotice) {
        match notice {
            InboxNotice::Events(events) => events.iter().for_each(|event| self.told(event)),
            InboxNotice::Look => {
                self.look_due = now() + LOOK;
                let elsewhere = self.deposit.is_elsewhere();
                if !elsewhere && now() < self.scan_due {
                    return;
                }
                if let Err(error) = self.scan() {
                    debug!("cannot read {}: {error}", self.deposit.new_dir().display());
                }
            }
        }
    }

    fn told(&mut self, event: &DirEvent) {
        match event {
            DirEvent::Gone(name) => {
                self.room.left(name);
                self.deposit.left(name, &self.stamps);
                self.last_left = Some(name.clone());
            }
            DirEvent::Lost => self.scan_due = now(),
            // Not asked for.
            DirEvent::Complete(_) | DirEvent::Created(_) => {}
        }
    }

    /// Counts what is there. Makes the directory again where it is missing, and arms the watch first,
    /// so that nothing is missed between.
    fn scan(&mut self) -> io::Result<()> {
        self.scan_due = now() + SCAN_WITHOUT_WATCH;
        let new = self.deposit.new_dir();
        if !new.is_dir() {
            self.deposit.repair().map_err(io::Error::other)?;
            warn!("{} was missing and is made again", new.display());
        }
        self.watched.arm();
        self.scan_due = now() + self.watched.interval();
        if self.deposit.is_elsewhere() {
            warn!(
                "{} is another directory now, which is served from now on",
                new.display()
            );
            self.deposit.follow().map_err(io::Error::other)?;
        }
        let inventory = self.deposit.inventory(&mut self.stamps)?;
        self.room.counted(inventory.messages);
        self.last_left = inventory.left;
        Ok(())
    }
}
