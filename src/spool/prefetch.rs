//! Requests that were read when they were looked at, and are kept open for their turn: each costs a
//! descriptor, so there are few of them, and they are not kept for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Name;
use super::opened::Opened;
use crate::clock::now;

/// Files that are kept open, of all directories together.
const MOST_FILES: usize = 128;
/// Larger ones are read again.
const MOST_BYTES: usize = 8 * 1024;
/// A file that was removed by somebody longer ago than this is not carried out.
const FRESH: Duration = Duration::from_secs(1);

/// How many may be kept, by all directories together.
#[derive(Clone, Debug)]
pub struct PrefetchBudget(Arc<Semaphore>);

impl Default for PrefetchBudget {
    fn default() -> Self {
        PrefetchBudget(Arc::new(Semaphore::new(MOST_FILES)))
    }
}

/// What one directory may keep: nothing while its requests cannot be carried out.
#[derive(Clone, Debug)]
pub struct Prefetching {
    budget: PrefetchBudget,
    wanted: Arc<AtomicBool>,
}

impl Prefetching {
    pub fn new(budget: PrefetchBudget) -> Prefetching {
        Prefetching {
            budget,
            wanted: Arc::new(AtomicBool::new(false)),
        }
    }

    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Room for one more, if it is wanted.
    pub fn permit(&self) -> Option<PrefetchPermit> {
        let wanted = self.wanted.load(Ordering::Relaxed);
        let permit = wanted.then(|| self.budget.0.clone().try_acquire_owned().ok());
        permit.flatten().map(PrefetchPermit)
    }
}

/// Given back when dropped.
#[derive(Debug)]
pub struct PrefetchPermit(
    #[expect(dead_code, reason = "its end is what counts")] OwnedSemaphorePermit,
);

/// A file that was read.
#[derive(Debug)]
pub struct Prefetched {
    opened: Opened,
    contents: Vec<u8>,
    since: Instant,
    _permit: PrefetchPermit,
}

impl Prefetched {
    /// `None`: it is too large to be kept.
    pub fn new(opened: Opened, contents: Vec<u8>, permit: PrefetchPermit) -> Option<Prefetched> {
        let fits = contents.len() <= MOST_BYTES;
        fits.then(|| Prefetched {
            opened,
            contents,
            since: now(),
            _permit: permit,
        })
    }
}

/// The files of one directory that are kept.
#[derive(Debug, Default)]
pub struct PrefetchedFiles(HashMap<Name, Prefetched>);

impl PrefetchedFiles {
    /// What was found under this name, if it was read: what was found before is out of date.
    pub fn found(&mut self, name: &Name, file: Option<Prefetched>) {
        match file {
            Some(file) => drop(self.0.insert(name.clone(), file)),
            None => self.forget(name),
        }
    }

    /// The file of a request whose turn it is. `None`: it has to be opened.
    pub fn take(&mut self, name: &Name) -> Option<(Opened, Vec<u8>)> {
        let file = self.0.remove(name)?;
        let fresh = now().duration_since(file.since) < FRESH;
        fresh.then_some((file.opened, file.contents))
    }

    pub fn forget(&mut self, name: &Name) {
        self.0.remove(name);
    }

    /// Whether its file is kept, fresh or not.
    #[cfg(test)]
    pub fn holds(&self, name: &Name) -> bool {
        self.0.contains_key(name)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(dir: &std::path::Path, size: usize, permit: PrefetchPermit) -> Option<Prefetched> {
        let path = dir.join("a");
        fs::write(&path, vec![b'x'; size]).unwrap();
        let mut opened = Opened::new(&path).unwrap();
        let contents = opened.contents().unwrap();
        Prefetched::new(opened, contents, permit)
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_kept_while_they_are_fresh_few_and_small() {
        let dir = tempfile::tempdir().unwrap();
        let prefetching = Prefetching::new(PrefetchBudget::default());
        assert!(prefetching.permit().is_none(), "not wanted");
        prefetching.want(true);
        let mut permits: Vec<_> = std::iter::from_fn(|| prefetching.permit()).collect();
        assert_eq!(permits.len(), MOST_FILES);
        let mut permit = || permits.pop().unwrap();
        assert!(file(dir.path(), MOST_BYTES + 1, permit()).is_none());
        assert!(prefetching.permit().is_some(), "its place is given back");
        let name = Name::new("a".as_ref());
        let mut files = PrefetchedFiles::default();
        files.found(&name, file(dir.path(), 5, permit()));
        assert_eq!(files.take(&name).unwrap().1, b"xxxxx");
        assert!(files.take(&name).is_none());
        files.found(&name, file(dir.path(), 5, permit()));
        files.found(&name, None);
        assert!(files.take(&name).is_none(), "another one is there");
        files.found(&name, file(dir.path(), 5, permit()));
        tokio::time::advance(FRESH).await;
        assert!(files.take(&name).is_none(), "it was read too long ago");
    }
}
