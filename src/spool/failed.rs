//! `failed/`: the last requests that were given up, each with its reason beside it.

use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Name;

/// The longest file name that Linux takes, in bytes.
const NAME_MAX: usize = 255;

/// Keeps at most so many requests, oldest arrivals pruned first.
#[derive(Debug)]
pub struct FailedDir {
    dir: PathBuf,
    keep: usize,
    arrivals: VecDeque<Name>,
}

impl FailedDir {
    /// Takes stock of `dir`: what is there counts as having arrived when its inode last changed.
    pub fn open(dir: PathBuf, keep: usize) -> io::Result<FailedDir> {
        let mut found = Vec::new();
        let mut reasons = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let name = Name::new(&entry.file_name());
            if let Some(request) = request_of_reason(&name) {
                reasons.push((request, entry.path()));
            } else if !name.is_hidden()
                && let Ok(meta) = entry.metadata()
            {
                found.push((meta.ctime(), meta.ctime_nsec(), name));
            }
        }
        // Reasons of requests that somebody has taken away.
        let there: HashSet<&Name> = found.iter().map(|(_, _, name)| name).collect();
        for (request, path) in reasons {
            if !there.contains(&request) {
                let _ = fs::remove_file(path);
            }
        }
        found.sort();
        let arrivals = found.into_iter().map(|(_, _, name)| name).collect();
        let mut failed = FailedDir {
            dir,
            keep,
            arrivals,
        };
        failed.prune();
        Ok(failed)
    }

    /// Has a file moved here under `name`, by `bring`, with its reason, and prunes. A request of the same
    /// name that failed earlier is replaced.
    ///
    /// # Errors
    /// It could not be brought.
    pub fn take(
        &mut self,
        name: &Name,
        reason: &str,
        bring: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        bring(&self.dir.join(name))?;
        // The reason is a help, and it is in the log too: its failure costs nothing else.
        let _ = self.write_reason(name, reason);
        self.arrivals.retain(|other| other != name);
        self.arrivals.push_back(name.clone());
        self.prune();
        Ok(())
    }

    fn prune(&mut self) {
        while self.arrivals.len() > self.keep {
            let Some(oldest) = self.arrivals.pop_front() else {
                return;
            };
            let _ = fs::remove_file(self.dir.join(&oldest));
            if let Some(reason) = self.reason_file(&oldest) {
                let _ = fs::remove_file(reason);
            }
        }
    }

    fn write_reason(&self, name: &Name, reason: &str) -> io::Result<()> {
        let Some(path) = self.reason_file(name) else {
            return Ok(());
        };
        // Never through a symbolic link that somebody left there.
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        writeln!(file, "{}", reason.replace(|c: char| c.is_control(), " "))
    }

    /// `None` where the name leaves no room for the rest.
    fn reason_file(&self, name: &Name) -> Option<PathBuf> {
        let file = [b".", name.as_os_str().as_bytes(), b".reason"].concat();
        (file.len() <= NAME_MAX).then(|| self.dir.join(OsString::from_vec(file)))
    }
}

/// The request that a file `.NAME.reason` belongs to.
fn request_of_reason(name: &Name) -> Option<Name> {
    let bytes = name.as_os_str().as_bytes();
    let request = bytes.strip_prefix(b".")?.strip_suffix(b".reason")?;
    Some(Name::new(OsStr::from_bytes(request)))
}
