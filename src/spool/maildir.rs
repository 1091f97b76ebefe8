//! The disk side of an action directory: open, remove, move to `failed/`.
//!
//! What is removed is the very file that was read. As another process may rename a newer file over
//! it at any moment, a file is first renamed out of `new/` into `.removing/`, looked at there, and
//! put back if it is another one.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use log::error;

use super::failed::FailedDir;
use super::layout::{REMOVING, make_directories, place};
use super::lock::{self, Lock};
use super::opened::{HeldFile, OpenError, Opened, identity};
use super::removing::Removing;
use super::{Identity, Name};

/// One action directory on disk.
#[derive(Debug)]
pub struct Maildir {
    dir: PathBuf,
    failed: FailedDir,
    keep_failed: usize,
    lock: Option<Lock>,
    /// `None`: there can be none, and files are removed where they are.
    removing: Option<Removing>,
    /// Which directory `new/` was.
    place: Option<(u64, u64)>,
}

/// What became of a file that was to leave `new/`.
#[derive(Debug)]
pub enum Removal {
    Done,
    /// It could not be moved to `failed/` and was deleted instead.
    Deleted(io::Error),
    /// A newer file of the same name is there: it stays, as a new request.
    Replaced,
    /// It could not be removed at all.
    Stuck(io::Error),
}

impl Maildir {
    /// Makes what is missing, with the mode and owner of `dir`, takes the directory for this process
    /// alone, and puts back what a crash left half removed. `failed/` keeps at most `keep_failed`
    /// requests.
    pub fn open(dir: &Path, keep_failed: usize) -> Result<Maildir> {
        let lock = match make_directories(dir)? {
            true => lock::take(&dir.join(REMOVING), dir)?,
            false => None,
        };
        let failed = dir.join("failed");
        let failed = FailedDir::open(failed.clone(), keep_failed)
            .with_context(|| format!("cannot read {}", failed.display()))?;
        let removing = Removing::open(&dir.join(REMOVING)).ok();
        let maildir = Maildir {
            dir: dir.to_owned(),
            failed,
            keep_failed,
            lock,
            removing,
            place: place(&dir.join("new")),
        };
        maildir
            .recover()
            .with_context(|| format!("cannot recover {}", maildir.removing("").display()))?;
        Ok(maildir)
    }

    /// Whether another directory stands where `new/` was, or none.
    pub fn is_elsewhere(&self) -> bool {
        place(&self.new_dir()) != self.place
    }

    /// Opens what stands there now. That is not tried again when it fails.
    pub fn follow(&mut self) -> Result<()> {
        self.place = place(&self.new_dir());
        // It may be on a directory that is still the same.
        self.lock = None;
        *self = Maildir::open(&self.dir, self.keep_failed)?;
        Ok(())
    }

    pub fn new_dir(&self) -> PathBuf {
        self.dir.join("new")
    }

    /// Makes missing sub-directories again.
    pub fn repair(&self) -> Result<()> {
        make_directories(&self.dir).map(drop)
    }

    /// Whether anything stands in `new/` under this name, as far as can be seen.
    pub fn holds(&self, name: &Name) -> bool {
        let gone = |error: io::Error| error.kind() == ErrorKind::NotFound;
        !fs::symlink_metadata(self.new_dir().join(name)).is_err_and(gone)
    }

    /// Whether this very file stands in `new/` under this name, as far as can be seen.
    pub fn still_holds(&self, name: &Name, file: Identity) -> bool {
        match fs::symlink_metadata(self.new_dir().join(name)) {
            Ok(meta) => identity(&meta) == file,
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    /// Opens a request.
    pub fn request(&self, name: &Name) -> Result<Opened, OpenError> {
        Opened::new(&self.new_dir().join(name))
    }

    /// The first half of a removal: takes the file of a request out of `new/`. Nobody can open it by its
    /// name any more. `read`: the file that was read.
    pub fn take_aside(&mut self, name: &Name, read: Identity) -> SetAside {
        let path = self.new_dir().join(name);
        let mut taken = self.take(&path, name);
        if taken.is_err() && self.holds(name) {
            // It may have been removed by somebody.
            self.removing = Removing::open(&self.dir.join(REMOVING)).ok();
            taken = self.take(&path, name);
        }
        let place = match (taken, &self.removing) {
            (Ok(()), Some(removing)) => removing.identity(name).map(|now| (now, true)),
            _ => fs::symlink_metadata(&path).map(|meta| (identity(&meta), false)),
        };
        match place {
            Ok((now, aside)) if now == read => SetAside::Ready { aside },
            Ok((_, aside)) => SetAside::Other { aside },
            Err(error) if error.kind() == ErrorKind::NotFound => SetAside::Gone,
            Err(error) => SetAside::Unknown(error),
        }
    }

    fn take(&self, path: &Path, name: &Name) -> io::Result<()> {
        let none = || io::Error::from(ErrorKind::NotFound);
        self.removing.as_ref().ok_or_else(none)?.take(path, name)
    }

    /// It is another file than the one that was read, or was written again.
    fn put_back(&self, name: &Name) {
        let path = self.new_dir().join(name);
        let back = self.removing.as_ref().map(|it| it.put_back(name, &path));
        if let Some(Err(error)) = back {
            error!("cannot put '{name}' back, the next start tries again: {error}");
        }
    }

    /// The second half for a request that was carried out. `closed_again`: a writer has closed its file
    /// since it was opened.
    pub fn remove(
        &self,
        name: &Name,
        opened: &Opened,
        taken: SetAside,
        closed_again: bool,
    ) -> Removal {
        let changed = closed_again || opened.was_rewritten();
        let aside = match self.unchanged(name, taken, changed) {
            Ok(aside) => aside,
            Err(removal) => return removal,
        };
        match self.delete(name, aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => Removal::Stuck(error),
            Ok(()) | Err(_) => Removal::Done,
        }
    }

    fn delete(&self, name: &Name, aside: bool) -> io::Result<()> {
        match (&self.removing, aside) {
            (Some(removing), true) => removing.remove(name),
            _ => fs::remove_file(self.new_dir().join(name)),
        }
    }

    /// Whether the file that is to go stands aside, or else in `new/`.
    ///
    /// # Errors
    /// There is nothing to be done.
    fn unchanged(&self, name: &Name, taken: SetAside, changed: bool) -> Result<bool, Removal> {
        match taken {
            SetAside::Ready { aside } if !changed => Ok(aside),
            SetAside::Ready { aside } | SetAside::Other { aside } => {
                if aside {
                    self.put_back(name);
                }
                Err(Removal::Replaced)
            }
            SetAside::Gone => Err(Removal::Done),
            SetAside::Unknown(error) => Err(Removal::Stuck(error)),
        }
    }

    /// Moves the file of a request that is given up to `failed/`; deletes it where that fails.
    pub fn fail(
        &mut self,
        name: &Name,
        held: &HeldFile,
        reason: &str,
        closed_again: impl FnOnce() -> bool,
    ) -> Removal {
        let path = self.new_dir().join(name);
        let look = || fs::symlink_metadata(&path).map(|meta| identity(&meta));
        let read = match held.identity().map_or_else(look, Ok) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Removal::Done,
            Err(error) => return Removal::Stuck(error),
        };
        let taken = self.take_aside(name, read);
        let changed = closed_again() || held.was_rewritten();
        let aside = match self.unchanged(name, taken, changed) {
            Ok(aside) => aside,
            Err(removal) => return removal,
        };
        let bring = |to: &Path| match (&self.removing, aside) {
            (Some(removing), true) => removing.give(name, to),
            _ => fs::rename(&path, to),
        };
        let kept = (self.keep_failed > 0).then(|| self.failed.take(name, reason, bring));
        let problem = match kept {
            Some(Ok(())) => return Removal::Done,
            Some(Err(error)) => Some(error),
            None => None,
        };
        match (self.delete(name, aside), problem) {
            (Ok(()), Some(problem)) => Removal::Deleted(problem),
            (Ok(()), None) => Removal::Done,
            (Err(error), _) => Removal::Stuck(error),
        }
    }

    /// A crash between taking aside and removing: nobody knows whether the request was carried out,
    /// so it is one again.
    fn recover(&self) -> io::Result<()> {
        if self.removing.is_none() {
            return Ok(());
        }
        for entry in fs::read_dir(self.removing(""))? {
            self.put_back(&Name::new(&entry?.file_name()));
        }
        Ok(())
    }

    fn removing(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(REMOVING).join(name)
    }
}

/// What became of a file that was to be taken out of `new/`.
#[derive(Debug)]
pub enum SetAside {
    /// This is the file that was read. `aside`: it is in `.removing/`; it could not be moved there otherwise.
    Ready {
        aside: bool,
    },
    /// It is another one, or was written again.
    Other {
        aside: bool,
    },
    Gone,
    /// It cannot even be looked at.
    Unknown(io::Error),
}

#[cfg(test)]
#[path = "maildir_tests.rs"]
mod tests;
