//! What every section needs to know.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::files;

pub struct Setup {
    pub program: PathBuf,
    /// The build without JavaScript and RSA, where there is one.
    pub smaller: PathBuf,
    /// On the disk that is measured.
    pub place: PathBuf,
    /// Whether the share of each crate is asked for.
    pub crates: bool,
    pub quick: bool,
    /// Shared by what needs many files, because a million of them take a minute to be made.
    pub backlog: RefCell<Option<Backlog>>,
}

/// A directory of messages that only grows.
pub struct Backlog {
    dir: TempDir,
    count: usize,
}

impl Setup {
    /// The size, or the small one.
    pub fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// A directory on the disk that is measured. It goes with the value.
    pub fn directory(&self) -> Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        Ok(builder.prefix("bench-").tempdir_in(&self.place)?)
    }

    /// A directory of messages with at least so many files waiting, those that [`Setup::backlog`] has had before.
    pub fn backlog(&self, count: usize) -> Result<PathBuf> {
        let mut backlog = self.backlog.borrow_mut();
        let backlog = match &mut *backlog {
            Some(backlog) => backlog,
            none => none.insert(Backlog {
                dir: self.directory()?,
                count: 0,
            }),
        };
        files::add(backlog.path(), backlog.count..count.max(backlog.count))?;
        backlog.count = count.max(backlog.count);
        Ok(backlog.path().to_owned())
    }
}

impl Backlog {
    fn path(&self) -> &Path {
        self.dir.path()
    }
}
