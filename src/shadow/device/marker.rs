//! The file `.NAME.notify` beside an outfile: a notification is owed. It is durable before the
//! outfile changes and goes when the command has ended, so that a kill in between is caught up with
//! at the next start.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::file::{beside, read_own, replace, sync_directory};

/// A command that never ends before the device or the daemon does is not started more often.
pub const MOST_STARTS: u32 = 3;
/// Only the daemon reads it.
const MODE: u32 = 0o600;

fn path(outfile: &Path) -> io::Result<PathBuf> {
    beside(outfile, "notify")
}

/// A notification is owed from now on.
pub fn set(outfile: &Path) -> io::Result<()> {
    // As a whole: a link that somebody has put there is not followed.
    replace(&path(outfile)?, b"0\n", MODE)
}

/// How often the command was started for the notification that is owed; `None` if none is.
pub fn starts(outfile: &Path) -> Option<u32> {
    let contents = read_own(&path(outfile).ok()?, 64).ok()?;
    let text = String::from_utf8_lossy(&contents);
    // Written by hand, or lost in a power cut: it is owed all the same.
    Some(text.trim().parse().unwrap_or(0))
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
        fs::write(dir.path().join(".net.conf.notify"), "").unwrap();
        assert_eq!(starts(&outfile), Some(0));
    }
}
