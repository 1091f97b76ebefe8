//! Lines at the end of a file that never grows beyond a bound. For a thread of its own: a disk may
//! take its time.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// A file that would become larger than this becomes `FILE.1` first, and an older `FILE.1` goes.
pub const LARGEST: u64 = 64 * 1024;
/// Of a new file: it is for people.
const MODE: u32 = 0o644;

pub const NO_LINK: &str = "it is a symbolic link, which is not followed; name the file itself";

/// Appends whole lines. Not synced: the file is for people, and flash wears out.
///
/// # Errors
/// Some of them or none were written; what was written of a broken line is ended before the next.
pub fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 && length + lines.len() as u64 > LARGEST {
        fs::rename(path, older(path))?;
        file = open(path)?;
        length = 0;
    }
    if length > 0 && !ends_a_line(&mut file)? {
        file.write_all(b"\n")?;
    }
    file.write_all(lines.as_bytes())
}

/// Never through a symbolic link: others may write in the directory.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW;
    let mut options = OpenOptions::new();
    options.read(true).append(true).custom_flags(flags.bits());
    let opened = options.open(path).or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            let made = options.create_new(true).mode(MODE).open(path)?;
            // Whatever the umask.
            made.set_permissions(Permissions::from_mode(MODE))?;
            Ok(made)
        }
        _ => Err(error),
    });
    let file = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => io::Error::new(error.kind(), NO_LINK),
        _ => error,
    })?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let why = "no regular file";
    Err(io::Error::new(ErrorKind::InvalidInput, why))
}

/// A crash or a full disk may have left half a line.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn older(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

/// The directory that a file is in.
pub fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        append(&path, "one\n").unwrap();
        append(&path, "two\nthree\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_half_line_is_ended_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        fs::write(&path, "{\"time\":17").unwrap();
        append(&path, "next\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"time\":17\nnext\n");
    }

    #[test]
    fn neither_file_grows_beyond_the_bound_and_the_newest_lines_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let line = |n: usize| format!("{n:06}{}\n", "x".repeat(93));
        for n in 0..2000 {
            append(&path, &line(n)).unwrap();
        }
        let (new, old) = (
            fs::read_to_string(&path).unwrap(),
            fs::read_to_string(older(&path)).unwrap(),
        );
        assert!(new.len() as u64 <= LARGEST && old.len() as u64 <= LARGEST);
        let kept = old + &new;
        let first: usize = kept[..6].parse().unwrap();
        let expect: String = (first..2000).map(line).collect();
        assert!(kept == expect, "no gap up to the newest");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("events"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let why = append(&path, "x\n").unwrap_err().to_string();
        assert!(why.contains("symbolic link"), "{why}");
        std::os::unix::fs::symlink(dir.path().join("none"), dir.path().join("other")).unwrap();
        assert!(append(&dir.path().join("other"), "x\n").is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(!dir.path().join("none").exists());
    }

    #[test]
    fn what_is_no_regular_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [fifo.as_path(), Path::new("/dev/null"), dir.path()] {
            assert!(append(path, "x\n").is_err(), "{}", path.display());
        }
        assert!(append(&dir.path().join("no/such"), "x\n").is_err());
    }
}
