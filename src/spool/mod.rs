//! Action directories: `tmp/`, `new/` and `failed/`. A file in `new/` is a request; it leaves only
//! when it was carried out or given up. `docs/INTERNALS.md` has the life of a file. An inbox is the
//! same turned round: `deposit` writes, and somebody else takes.

pub mod action_dir;
mod arrivals;

mod being_written;
pub mod deposit;
pub mod disks;
mod failed;
mod intake;
mod jam;
pub mod layout;
mod lock;
mod maildir;
pub mod opened;
pub mod opening;
pub mod order;
pub mod outcome;
mod postponements;
mod prefetch;
pub mod queue;
mod ready_queue;
mod record;
mod removing;
mod scan;
mod slots;
pub mod stamps;
pub mod starts;
mod waiting;
pub mod watch;
pub mod watched_dir;
pub mod worker;

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A file name: bytes without a slash, not necessarily UTF-8. Sorts by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<OsStr>);

impl Name {
    pub fn new(name: &OsStr) -> Self {
        Name(name.into())
    }

    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// Names that begin with a dot are never requests.
    pub fn is_hidden(&self) -> bool {
        self.0.as_encoded_bytes().first() == Some(&b'.')
    }
}

/// Names are looked up without being made.
impl Borrow<OsStr> for Name {
    fn borrow(&self) -> &OsStr {
        &self.0
    }
}

impl AsRef<Path> for Name {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

/// For the log: control characters are escaped, so that a name cannot forge a line.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?
            } else {
                write!(f, "{c}")?
            }
        }
        Ok(())
    }
}

/// Distinguishes one file from another of the same name. Valid as a comparison only while the first
/// is known to exist, for instance because it is open: inode numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    /// Seconds and nanoseconds, as fine as the file system keeps them.
    pub modified: (i64, i64),
    pub size: u64,
}
