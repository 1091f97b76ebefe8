//! A request that is open for reading, and how its file is told from another one of the same name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::fcntl::OFlag;

use super::Identity;
use crate::shortage;

/// Requests above this size are refused.
pub const LARGEST_FILE: u64 = 1024 * 1024;

/// While it is open its identity is unique. All methods wait for the disk.
#[derive(Debug)]
pub struct Opened {
    file: File,
    pub identity: Identity,
    pub modified: SystemTime,
}

/// Why a name in `new/` cannot be opened as a request.
#[derive(Debug)]
pub enum Trouble {
    Vanished,
    /// Not a request: skipped without a word.
    Directory,
    /// Belongs into `failed/`. The identity is that of the file that was looked at.
    Refused {
        reason: String,
        identity: Option<Identity>,
    },
    /// The machine is short of something; try again later.
    Postponed(io::Error),
}

impl Opened {
    /// Opens a request. Never follows a link, never waits for a FIFO's writer.
    pub fn new(path: &Path) -> Result<Opened, Trouble> {
        let meta = fs::symlink_metadata(path).map_err(|error| trouble(error, None))?;
        if meta.is_dir() {
            return Err(Trouble::Directory);
        }
        fit(&meta)?;
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(|error| trouble(error, Some(identity(&meta))))?;
        let meta = file.metadata().map_err(|error| trouble(error, None))?;
        fit(&meta)?;
        Ok(Opened {
            file,
            identity: identity(&meta),
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        })
    }

    /// The contents.
    ///
    /// # Errors
    /// The file has grown above the limit, or cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.identity.size).unwrap_or(usize::MAX);
        // One more than there should be tells of growth.
        let mut contents = vec![0; size.min(LARGEST) + 1];
        let mut filled = 0;
        loop {
            if filled > LARGEST {
                return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than 1 MiB"));
            }
            if filled == contents.len() {
                contents.resize((filled * 2).min(LARGEST + 1), 0);
            }
            match self.file.read_at(&mut contents[filled..], filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if filled == size {
                break;
            }
        }
        contents.truncate(filled);
        Ok(contents)
    }

    /// The contents, or why there are none.
    pub fn contents(&mut self) -> Result<Vec<u8>, Trouble> {
        let identity = self.identity;
        self.read().map_err(|error| trouble(error, Some(identity)))
    }
}

const LARGEST: usize = LARGEST_FILE as usize;

pub fn identity(meta: &fs::Metadata) -> Identity {
    Identity {
        device: meta.dev(),
        inode: meta.ino(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        size: meta.len(),
    }
}

fn fit(meta: &fs::Metadata) -> Result<(), Trouble> {
    match unfit(meta) {
        None => Ok(()),
        Some(reason) => Err(Trouble::Refused {
            reason,
            identity: Some(identity(meta)),
        }),
    }
}

fn unfit(meta: &fs::Metadata) -> Option<String> {
    let kind = meta.file_type();
    if kind.is_symlink() {
        return Some("is a symbolic link, which is not followed; move the file itself".into());
    }
    if kind.is_fifo() {
        return Some("is a FIFO, not a regular file".into());
    }
    if !kind.is_file() {
        return Some("is not a regular file".into());
    }
    (meta.len() > LARGEST_FILE).then(|| format!("has {} bytes, more than 1 MiB", meta.len()))
}

fn trouble(error: io::Error, identity: Option<Identity>) -> Trouble {
    match error.kind() {
        ErrorKind::NotFound => Trouble::Vanished,
        _ if shortage::passes(&error) => Trouble::Postponed(error),
        _ => Trouble::Refused {
            reason: format!("cannot be read: {error}"),
            identity,
        },
    }
}
