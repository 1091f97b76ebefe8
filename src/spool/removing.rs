//! `.removing/`, where a file is looked at before it is removed. Held open, so that nobody can put
//! another directory or a link in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use rustix::fs::{
    AtFlags, CWD, RenameFlags, Stat, linkat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::layout::make_removing;
use super::{Identity, Name};

/// The directory as it was when it was opened.
#[derive(Debug)]
pub struct Removing(File);

impl Removing {
    /// Makes it, if it is missing, and opens it.
    ///
    /// # Errors
    /// It cannot be made, or is somebody else's.
    pub fn open(path: &Path) -> Result<Removing> {
        make_removing(path)?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Removing(file))
    }

    /// Takes a file in, under this name. What stood there is replaced.
    pub fn take(&self, path: &Path, name: &Name) -> io::Result<()> {
        Ok(renameat(CWD, path, &self.0, name.as_os_str())?)
    }

    /// Which file stands there.
    pub fn identity(&self, name: &Name) -> io::Result<Identity> {
        let stat = statat(&self.0, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(identity(&stat))
    }

    /// Moves a file to another place.
    pub fn give(&self, name: &Name, to: &Path) -> io::Result<()> {
        Ok(renameat(&self.0, name.as_os_str(), CWD, to)?)
    }

    pub fn remove(&self, name: &Name) -> io::Result<()> {
        Ok(unlinkat(&self.0, name.as_os_str(), AtFlags::empty())?)
    }

    /// Puts a file back unless a newer one has taken its name: then it is superseded. It is moved, so
    /// that whoever still writes it is seen to close it where it is.
    pub fn put_back(&self, name: &Name, path: &Path) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        match renameat_with(&self.0, name.as_os_str(), CWD, path, flags) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => self.remove(name),
            // An old kernel, or a file system that does not know how.
            Err(_) => self.link_back(name, path),
        }
    }

    fn link_back(&self, name: &Name, path: &Path) -> io::Result<()> {
        let linked = linkat(&self.0, name.as_os_str(), CWD, path, AtFlags::empty());
        match linked.map_err(io::Error::from) {
            Ok(()) => self.remove(name),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.remove(name),
            // A file system without hard links, or a directory.
            Err(_) if path.symlink_metadata().is_err() => self.give(name, path),
            Err(_) => self.remove(name),
        }
    }
}

/// As an open file shows it.
fn identity(stat: &Stat) -> Identity {
    Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
        modified: (
            stat.st_mtime,
            i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ),
        size: u64::try_from(stat.st_size).unwrap_or(0),
    }
}
