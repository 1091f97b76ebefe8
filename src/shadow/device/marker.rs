//! The file `.NAME.notify` beside an outfile: a notification is owed. It is durable before the
//! outfile changes and goes when the command has ended, so that a kill in between is caught up with
//! at the next start. An empty one counts the start that follows the change at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::file::{beside, read_own, replace, sync_directory};

/// A command that never ends before the device or the daemon does is not started more often.
pub const MOST_STARTS: u32 = 3;
/// Only the daemon reads it.
const MODE: u32 = 0o600;

fn path(outfile: &Path) -> io::Result<PathBuf> {
    beside(outfile, "notify")
}

/// A notification is owed from now on, and its command is started when that is durable: the start is
/// counted already. To be made durable by the caller, with its directory, before anything changes.
/// `None`: there is a marker; see [`set`].
pub fn begin(outfile: &Path) -> io::Result<Option<File>> {
    // Fails where anything is, a link too.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(MODE);
    match options.open(path(outfile)?) {
        Ok(marker) => Ok(Some(marker)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// A notification is owed from now on, and its command has not been started yet.
pub fn set(outfile: &Path) -> io::Result<()> {
    // As a whole: a link that somebody has put there is not followed.
    replace(&path(outfile)?, b"0\n", MODE)
}

/// How often the command was started for the notification that is owed; `None` if none is.
pub fn starts(outfile: &Path) -> Option<u32> {
    let contents = read_own(&path(outfile).ok()?, 64).ok()?;
    match String::from_utf8_lossy(&contents).trim() {
        "" => Some(1),
        // Written by hand: it is owed all the same.
        text => Some(text.parse().unwrap_or(0)),
    }
}

/// The command is started once more. By another name first: a change of the outfile may set the marker
/// at the same moment.
pub fn count(outfile: &Path) -> io::Result<()> {
    let Some(starts) = starts(outfile) else {
        return Ok(());
    };
    let (counted, marker) = (beside(outfile, "started")?, path(outfile)?);
    let starts = starts.saturating_add(1);
    replace(&counted, format!("{starts}\n").as_bytes(), MODE)?;
    fs::rename(counted, &marker)?;
    sync_directory(&marker)
}

/// Nothing is owed any more.
pub fn clear(outfile: &Path) -> io::Result<()> {
    match fs::remove_file(path(outfile)?) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_counts_the_starts_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let outfile = dir.path().join("net.conf");
        assert_eq!(starts(&outfile), None);
        count(&outfile).unwrap();
        assert_eq!(starts(&outfile), None, "nothing is owed");
        set(&outfile).unwrap();
        count(&outfile).unwrap();
        count(&outfile).unwrap();
        assert_eq!(starts(&outfile), Some(2));
        clear(&outfile).unwrap();
        clear(&outfile).unwrap();
        assert_eq!(starts(&outfile), None);
    }

    #[test]
    fn a_start_is_counted_while_a_change_sets_the_marker() {
        let dir = tempfile::tempdir().unwrap();
        let outfile = dir.path().join("net.conf");
        set(&outfile).unwrap();
        let changes = outfile.clone();
        let changes = std::thread::spawn(move || (0..200).try_for_each(|_| set(&changes)));
        for _ in 0..200 {
            count(&outfile).unwrap();
        }
        changes.join().unwrap().unwrap();
        assert!(starts(&outfile).is_some());
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 1, "the marker");
    }

    #[test]
    fn a_marker_with_any_contents_is_a_marker() {
        let dir = tempfile::tempdir().unwrap();
        let outfile = dir.path().join("net.conf");
        for (contents, expect) in [("", 1), ("0", 0), ("2\n", 2), ("please", 0), ("-1", 0)] {
            fs::write(dir.path().join(".net.conf.notify"), contents).unwrap();
            assert_eq!(starts(&outfile), Some(expect), "'{contents}'");
        }
    }

    #[test]
    fn a_marker_that_is_begun_counts_its_first_start_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outfile = dir.path().join("net.conf");
        assert!(begin(&outfile).unwrap().is_some());
        assert_eq!(starts(&outfile), Some(1));
        assert!(begin(&outfile).unwrap().is_none(), "there is one");
        count(&outfile).unwrap();
        assert_eq!(starts(&outfile), Some(2));
        clear(&outfile).unwrap();
        let victim = dir.path().join("victim");
        std::os::unix::fs::symlink(&victim, path(&outfile).unwrap()).unwrap();
        assert!(begin(&outfile).unwrap().is_none());
        assert!(!victim.exists());
    }
}
