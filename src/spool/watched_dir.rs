//! A directory that is watched, or scanned more often where it cannot be watched.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;

use super::watch::{DirEvent, Watch};
use crate::waits::or_pending;

/// Some file systems deliver no events: look every few minutes.
const SAFETY_SCAN: Duration = Duration::from_secs(300);
/// Without a watch the scan is all there is.
pub const SCAN_WITHOUT_WATCH: Duration = Duration::from_secs(5);

/// The watch on one directory. It may fail at any time, which is logged once and makes the scans more
/// frequent.
pub struct WatchedDir {
    dir: PathBuf,
    watch: Option<Watch>,
}

impl WatchedDir {
    /// Prepares a watch for files that arrive in `dir`. [`WatchedDir::arm`] starts it.
    pub fn arrivals(dir: &Path) -> WatchedDir {
        WatchedDir::new(dir, Watch::arrivals(dir))
    }

    /// The same for files that leave.
    pub fn departures(dir: &Path) -> WatchedDir {
        WatchedDir::new(dir, Watch::departures(dir))
    }

    fn new(dir: &Path, watch: io::Result<Watch>) -> WatchedDir {
        let dir = dir.to_owned();
        let mut watched = WatchedDir { dir, watch: None };
        watched.watch = watched.or_unwatched(watch);
        watched
    }

    /// Starts watching, and again after the directory was replaced: before a scan, so that nothing is
    /// missed between. Repetition is harmless.
    pub fn arm(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            let armed = watch.arm().map(|()| watch);
            self.watch = self.or_unwatched(armed);
        }
    }

    /// How long after a scan the next one is due.
    pub fn interval(&self) -> Duration {
        match self.watch {
            Some(_) => SAFETY_SCAN,
            None => SCAN_WITHOUT_WATCH,
        }
    }

    /// Waits for events; for ever, where there is no watch. May be dropped while it waits: nothing is
    /// lost by it.
    pub async fn next(&mut self) -> Vec<DirEvent> {
        let events = or_pending(self.watch.as_mut().map(Watch::next)).await;
        self.or_lost(events)
    }

    /// The events that have come until now, without waiting.
    pub fn pending(&mut self) -> Vec<DirEvent> {
        match &self.watch {
            None => Vec::new(),
            Some(watch) => {
                let events = watch.pending();
                self.or_lost(events)
            }
        }
    }

    /// A watch that fails is given up, and what it would have reported is lost.
    fn or_lost(&mut self, events: io::Result<Vec<DirEvent>>) -> Vec<DirEvent> {
        self.or_unwatched(events).unwrap_or_else(|| {
            self.watch = None;
            vec![DirEvent::Lost]
        })
    }

    fn or_unwatched<T>(&self, result: io::Result<T>) -> Option<T> {
        result
            .inspect_err(|error| {
                let (dir, seconds) = (self.dir.display(), SCAN_WITHOUT_WATCH.as_secs());
                warn!("cannot watch {dir}, it is scanned every {seconds} s instead: {error}");
            })
            .ok()
    }
}
