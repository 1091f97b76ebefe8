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
use super::layout::{REMOVING, make_directories, make_removing, place};
use super::lock::{self, Lock};
use super::opened::{HeldFile, OpenError, Opened, identity};
use super::{Identity, Name};

/// One action directory on disk.
#[derive(Debug)]
pub struct Maildir {
    dir: PathBuf,
    failed: FailedDir,
    keep_failed: usize,
    lock: Option<Lock>,
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
        let maildir = Maildir {
            dir: dir.to_owned(),
            failed,
            keep_failed,
            lock,
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

    pub fn dir(&self) -> &Path {
        &self.dir
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

    /// Opens a request.
    pub fn request(&self, name: &Name) -> Result<Opened, OpenError> {
        Opened::new(&self.new_dir().join(name))
    }

    /// Removes the file of a request that was carried out. `closed_again` says whether a writer has
    /// closed it since it was opened; it is asked when nobody can open it any more.
    pub fn remove(
        &self,
        name: &Name,
        opened: &Opened,
        closed_again: impl FnOnce() -> bool,
    ) -> Removal {
        let changed = || closed_again() || opened.was_rewritten();
        let file = match self.take_aside(name, opened.identity, changed) {
            SetAside::Ready(file) => file,
            SetAside::Gone => return Removal::Done,
            SetAside::Replaced => return Removal::Replaced,
            SetAside::Unknown(error) => return Removal::Stuck(error),
        };
        match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Removal::Stuck(error),
            Ok(()) | Err(_) => Removal::Done,
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
        let changed = || closed_again() || held.was_rewritten();
        let file = match self.take_aside(name, read, changed) {
            SetAside::Ready(file) => file,
            SetAside::Gone => return Removal::Done,
            SetAside::Replaced => return Removal::Replaced,
            SetAside::Unknown(error) => return Removal::Stuck(error),
        };
        match self.failed.take(&file, name, reason) {
            Ok(()) => Removal::Done,
            Err(error) => match fs::remove_file(file) {
                Ok(()) => Removal::Deleted(error),
                Err(error) => Removal::Stuck(error),
            },
        }
    }

    /// Takes the file out of `new/` if it is still the one that was read. Where nothing can be taken
    /// aside, the file is ready where it is.
    fn take_aside(&self, name: &Name, read: Identity, changed: impl FnOnce() -> bool) -> SetAside {
        let path = self.new_dir().join(name);
        let aside = self.removing(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) if identity(&meta) != read => return SetAside::Replaced,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return SetAside::Gone,
            Err(error) => return SetAside::Unknown(error),
        }
        let moved = self.has_removing().and_then(|()| fs::rename(&path, &aside));
        if moved.is_err() {
            return match self.holds(name) {
                false => SetAside::Gone,
                true if changed() => SetAside::Replaced,
                true => SetAside::Ready(path),
            };
        }
        match fs::symlink_metadata(&aside) {
            Ok(meta) if identity(&meta) != read || changed() => {
                put_back(&aside, &path);
                SetAside::Replaced
            }
            Ok(_) => SetAside::Ready(aside),
            Err(error) => SetAside::Unknown(error),
        }
    }

    /// A crash between taking aside and removing: nobody knows whether the request was carried out,
    /// so it is one again.
    fn recover(&self) -> io::Result<()> {
        if self.has_removing().is_err() {
            return Ok(());
        }
        for entry in fs::read_dir(self.removing(""))? {
            let entry = entry?;
            put_back(&entry.path(), &self.new_dir().join(entry.file_name()));
        }
        Ok(())
    }

    /// Whether `.removing/` is there, or can be made again, and is nobody else's.
    fn has_removing(&self) -> io::Result<()> {
        make_removing(&self.dir.join(REMOVING)).map_err(io::Error::other)
    }

    fn removing(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(REMOVING).join(name)
    }
}

enum SetAside {
    /// This is the file that was read, to be removed or moved.
    Ready(PathBuf),
    Gone,
    Replaced,
    /// It cannot even be looked at.
    Unknown(io::Error),
}

/// Puts a file back unless a newer one has taken its name: then it is superseded.
fn put_back(aside: &Path, path: &Path) {
    let done = match fs::hard_link(aside, path) {
        Ok(()) => fs::remove_file(aside),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(aside),
        // A file system without hard links.
        Err(_) if fs::symlink_metadata(path).is_err() => fs::rename(aside, path),
        Err(_) => fs::remove_file(aside),
    };
    if let Err(error) = done {
        error!(
            "cannot put {} back, the next start tries again: {error}",
            aside.display()
        );
    }
}

#[cfg(test)]
#[path = "maildir_tests.rs"]
mod tests;
