//! A request that is open for reading, and how its file is distinguished from another one of the
//! same name.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};

use super::Identity;
use crate::clock::wall;
use crate::transient;

/// Requests above this size are refused.
pub const LARGEST_FILE: u64 = 1024 * 1024;

/// A kernel counts time in steps of up to 10 ms.
const TICK: Duration = Duration::from_millis(20);
/// FAT counts in steps of 2 s.
const LONG_TICK: Duration = Duration::from_secs(2);

/// While it is open its identity is unique. All methods wait for the disk.
#[derive(Debug)]
pub struct Opened {
    file: File,
    pub identity: Identity,
    pub modified: SystemTime,
    /// The user whose file it is.
    pub owner: u32,
    /// When anything about it has changed, in seconds and nanoseconds.
    pub changed: (i64, i64),
    /// So many times a writer was seen to close it by then.
    pub closes: u32,
    /// What was read, if the file may be written again without looking different.
    read: Option<u64>,
}

/// What is known of the file of a request that was handed out.
#[derive(Debug)]
pub enum HeldFile {
    Open(Opened),
    /// It could not be opened; what it looked like.
    Closed(Option<Identity>),
}

impl HeldFile {
    pub fn identity(&self) -> Option<Identity> {
        match self {
            HeldFile::Open(opened) => Some(opened.identity),
            HeldFile::Closed(identity) => *identity,
        }
    }

    /// As [`Opened::was_rewritten`].
    pub fn was_rewritten(&self) -> bool {
        match self {
            HeldFile::Open(opened) => opened.was_rewritten(),
            HeldFile::Closed(_) => false,
        }
    }
}

/// Why a name in `new/` cannot be opened as a request.
#[derive(Debug)]
pub enum OpenError {
    Vanished,
    /// Not a request: skipped without a line in the log.
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
    pub fn new(path: &Path) -> Result<Opened, OpenError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| unopened(path, error.into()))?;
        let file = File::from(file);
        let meta = file.metadata().map_err(|error| trouble(error, None))?;
        fit(&meta)?;
        Ok(Opened {
            file,
            identity: identity(&meta),
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            owner: meta.uid(),
            changed: (meta.ctime(), meta.ctime_nsec()),
            closes: 0,
            read: None,
        })
    }

    /// The contents.
    ///
    /// # Errors
    /// The file has grown above the limit, or cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let begun = wall();
        let contents = self.bytes()?;
        self.read = is_racy(self.identity.modified, begun).then(|| digest(&contents));
        Ok(contents)
    }

    /// Whether the file was written again since it was read, and looks as before all the same. One that
    /// cannot be read any more was not.
    pub fn was_rewritten(&self) -> bool {
        self.read
            .is_some_and(|read| self.bytes().is_ok_and(|contents| digest(&contents) != read))
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.identity.size).unwrap_or(usize::MAX);
        // One more than there should be shows growth.
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
    pub fn contents(&mut self) -> Result<Vec<u8>, OpenError> {
        let identity = self.identity;
        self.read().map_err(|error| trouble(error, Some(identity)))
    }
}

const LARGEST: usize = LARGEST_FILE as usize;

/// Whether a file may be written once more without another modification time: it was written within one
/// tick of the clock that the file system uses. Those without fractions of a second have long ticks.
fn is_racy((seconds, nanoseconds): (i64, i64), read: SystemTime) -> bool {
    let tick = if nanoseconds == 0 { LONG_TICK } else { TICK };
    let since_1970 = read.duration_since(SystemTime::UNIX_EPOCH);
    let read = since_1970.map_or(0, |since| since.as_nanos());
    let modified = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    modified + tick.as_nanos() as i128 >= read as i128
}

fn digest(contents: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(contents);
    hasher.finish()
}

pub fn identity(meta: &fs::Metadata) -> Identity {
    Identity {
        device: meta.dev(),
        inode: meta.ino(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        size: meta.len(),
    }
}

/// Why it cannot be opened: it may be something that is no file at all.
fn unopened(path: &Path, error: io::Error) -> OpenError {
    if transient::is_transient(&error) {
        return OpenError::Postponed(error);
    }
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) => return trouble(error, None),
    };
    match fit(&meta) {
        Err(unfit) => unfit,
        Ok(()) => trouble(error, Some(identity(&meta))),
    }
}

fn fit(meta: &fs::Metadata) -> Result<(), OpenError> {
    if meta.is_dir() {
        return Err(OpenError::Directory);
    }
    match unfit(meta) {
        None => Ok(()),
        Some(reason) => Err(OpenError::Refused {
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

fn trouble(error: io::Error, identity: Option<Identity>) -> OpenError {
    match error.kind() {
        ErrorKind::NotFound => OpenError::Vanished,
        _ if transient::is_transient(&error) => OpenError::Postponed(error),
        _ => OpenError::Refused {
            reason: format!("cannot be read: {error}"),
            identity,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_within_a_tick_of_the_reading_may_be_written_again_unseen() {
        let read = SystemTime::UNIX_EPOCH + Duration::from_millis(100_500);
        for (modified, racy) in [
            ((100, 499_000_000), true),
            ((100, 480_000_000), true),
            ((100, 479_000_000), false),
            ((100, 0), true),
            ((98, 0), false),
            ((200, 5), true),
            ((-5, 5), false),
        ] {
            assert_eq!(is_racy(modified, read), racy, "{modified:?}");
        }
    }

    #[test]
    fn a_file_is_read_to_its_end_also_when_its_size_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for (at_first, later) in [(0, 0), (0, 10), (10, 10), (5000, 3), (5000, 0)] {
            fs::write(&path, vec![b'x'; at_first]).unwrap();
            let mut opened = Opened::new(&path).unwrap();
            fs::write(&path, vec![b'y'; later]).unwrap();
            assert_eq!(opened.read().unwrap().len(), later, "{at_first} {later}");
        }
        fs::write(&path, "x").unwrap();
        let mut opened = Opened::new(&path).unwrap();
        let limit = LARGEST_FILE as usize;
        fs::write(&path, vec![b'y'; limit]).unwrap();
        assert_eq!(opened.read().unwrap().len(), limit);
        fs::write(&path, vec![b'y'; limit + 1]).unwrap();
        assert!(opened.read().is_err());
    }
}
