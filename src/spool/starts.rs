//! How often the work on a request was begun and not seen to end: the hidden file `.NAME.starts` beside
//! it. It outlives a daemon and a machine that the work itself takes down. Blocks: for a thread of its
//! own.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Identity, Name};
use crate::file;

const SUFFIX: &str = "starts";
/// Only the daemon reads it.
const MODE: u32 = 0o600;

/// The starts of one request. Another file under the same name begins afresh.
#[derive(Clone, Debug)]
pub struct Starts {
    request: PathBuf,
    /// Which file it was. Not by its device, whose number may be another one after a boot.
    of: String,
}

impl Starts {
    /// Of a request in the action directory `dir`.
    pub fn new(dir: &Path, name: &Name, identity: Identity) -> Starts {
        let Identity {
            inode,
            modified: (seconds, nanoseconds),
            size,
            ..
        } = identity;
        Starts {
            request: dir.join("new").join(name),
            of: format!("{inode} {seconds} {nanoseconds} {size}"),
        }
    }

    /// How often it was begun so far.
    pub fn so_far(&self) -> u32 {
        self.read().unwrap_or(0)
    }

    fn read(&self) -> Option<u32> {
        let contents = file::read_own(&self.path().ok()?, 256).ok()?;
        let text = String::from_utf8(contents).ok()?;
        let (starts, of) = text.trim_end().split_once(' ')?;
        (of == self.of).then(|| starts.parse().ok())?
    }

    /// It is begun once more: durable when this returns.
    pub fn begin(&self) -> io::Result<()> {
        self.write(self.so_far().saturating_add(1))
    }

    /// It could not be begun after all.
    pub fn take_back(&self) -> io::Result<()> {
        match self.so_far() {
            0 | 1 => self.forget(),
            starts => self.write(starts - 1),
        }
    }

    /// It was seen to end.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.path()?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&self, starts: u32) -> io::Result<()> {
        let text = format!("{starts} {}\n", self.of);
        file::replace(&self.path()?, text.as_bytes(), MODE)
    }

    fn path(&self) -> io::Result<PathBuf> {
        file::beside(&self.request, SUFFIX)
    }
}

/// Removes what was left in the action directory `dir` of requests that are gone.
pub fn sweep(dir: &Path) {
    let new = dir.join("new");
    for entry in fs::read_dir(&new).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let request = name
            .as_bytes()
            .strip_prefix(b".")
            .and_then(|rest| rest.strip_suffix(b".starts"))
            .map(std::ffi::OsStr::from_bytes);
        let gone = |request| fs::symlink_metadata(new.join(request)).is_err();
        if request.is_some_and(gone) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Identity = Identity {
        device: 1,
        inode: 2,
        modified: (3, 4),
        size: 5,
    };

    fn starts(dir: &Path, identity: Identity) -> Starts {
        Starts::new(dir, &Name::new("net.1".as_ref()), identity)
    }

    #[test]
    fn starts_are_counted_until_an_end_is_seen_or_the_file_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("new")).unwrap();
        let one = starts(dir.path(), ONE);
        assert_eq!(one.so_far(), 0);
        one.begin().unwrap();
        one.begin().unwrap();
        assert_eq!(starts(dir.path(), ONE).so_far(), 2);
        let moved = Identity { device: 7, ..ONE };
        assert_eq!(starts(dir.path(), moved).so_far(), 2, "the next boot");
        one.take_back().unwrap();
        assert_eq!(one.so_far(), 1);
        let other = starts(dir.path(), Identity { inode: 9, ..ONE });
        assert_eq!(other.so_far(), 0);
        one.forget().unwrap();
        one.forget().unwrap();
        assert_eq!(one.so_far(), 0);
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_left_of_requests_that_are_gone_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("new");
        fs::create_dir(&new).unwrap();
        for name in ["here", ".here.starts", ".gone.starts", ".other"] {
            fs::write(new.join(name), "").unwrap();
        }
        sweep(dir.path());
        sweep(&dir.path().join("none"));
        let mut left: Vec<_> = fs::read_dir(&new)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".here.starts", ".other", "here"]);
    }
}
