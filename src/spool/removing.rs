//! `.removing/`, where a file is looked at before it is removed. Held open, so that nobody can put
//! another directory or a link in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::layout::make_removing;
use super::opened::identity;
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
        Ok(renameat(AT_FDCWD, path, &self.0, name.as_os_str())?)
    }

    /// Which file stands there. Looked at as every other one is: the call that needs no descriptor has
    /// too small numbers for inodes and times on 32 bits.
    pub fn identity(&self, name: &Name) -> io::Result<Identity> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.0, name.as_os_str(), flags, Mode::empty())?;
        Ok(identity(&File::from(file).metadata()?))
    }

    /// Moves a file to another place.
    pub fn give(&self, name: &Name, to: &Path) -> io::Result<()> {
        Ok(renameat(&self.0, name.as_os_str(), AT_FDCWD, to)?)
    }

    pub fn remove(&self, name: &Name) -> io::Result<()> {
        Ok(unlinkat(
            &self.0,
            name.as_os_str(),
            UnlinkatFlags::NoRemoveDir,
        )?)
    }

    /// Puts a file back unless a newer one has taken its name: then it is superseded.
    pub fn put_back(&self, name: &Name, path: &Path) -> io::Result<()> {
        let linked = linkat(&self.0, name.as_os_str(), AT_FDCWD, path, AtFlags::empty());
        match linked.map_err(io::Error::from) {
            Ok(()) => self.remove(name),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.remove(name),
            // A file system without hard links, or a directory.
            Err(_) if path.symlink_metadata().is_err() => self.give(name, path),
            Err(_) => self.remove(name),
        }
    }
}
