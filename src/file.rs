//! Files that outlive a power cut: read with a bound, replaced as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// The contents of a regular file of at most `most` bytes. Never waits for a FIFO's writer.
///
/// # Errors
/// It is missing ([`ErrorKind::NotFound`]), no regular file, too large or unreadable.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut contents = Vec::new();
    file.take(most + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > most {
        let why = format!("larger than {most} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(contents)
}

/// A text without the byte order mark that some editors put before it. To be asked of every file that
/// a person or another program writes, and never of a payload that is passed on as it is.
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Replaces a file atomically: after a crash or power cut it has the old or the new contents, and
/// when this has returned, the new. Mode and owner stay as they are; a new file gets `mode`.
///
/// # Errors
/// The old file is untouched, and no other is left behind.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let old = match fs::metadata(path) {
        Ok(meta) if meta.is_file() => Some(meta),
        Ok(_) => {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let staged = beside(path, "new")?;
    // Of a run that was killed.
    let _ = fs::remove_file(&staged);
    let written = write(&staged, contents, old.as_ref(), mode)
        .and_then(|()| fs::rename(&staged, path))
        .and_then(|()| sync_directory(path));
    if written.is_err() {
        let _ = fs::remove_file(&staged);
    }
    written
}

fn write(path: &Path, contents: &[u8], like: Option<&Metadata>, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(like.map_or(mode, |_| 0o600))
        .open(path)?;
    file.write_all(contents)?;
    if let Some(like) = like {
        keep_owner(&file, like)?;
        // Last: a write by another user than root takes away the special bits.
        file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    }
    file.sync_all()
}

/// Only root may give a file away. Another user keeps the mode, and owns the file from now on.
fn keep_owner(file: &File, like: &Metadata) -> io::Result<()> {
    match fchown(file, Some(like.uid()), Some(like.gid())) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// Makes an entry of the directory that `path` is in durable: a new file, a new name, a removal.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The hidden file `.NAME.SUFFIX` in the same directory.
///
/// # Errors
/// The path ends in no name.
pub fn beside(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "has no file name"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(suffix);
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        replace(&path, b"one", 0o640).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o4604)).unwrap();
        replace(&path, b"two", 0o640).unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"two");
        let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o4604, "{mode:o}");
        assert_eq!(names(dir.path()), ["conf"]);
    }

    #[test]
    fn what_is_no_regular_file_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"x", 0o644).is_err());
        assert!(replace(Path::new("/dev/null"), b"x", 0o644).is_err());
        assert_eq!(names(dir.path()), ["conf"], "nothing is left behind");
    }

    #[test]
    fn one_byte_order_mark_is_skipped() {
        for (text, expect) in [
            ("\u{feff}a=1", "a=1"),
            ("\u{feff}", ""),
            ("a\u{feff}", "a\u{feff}"),
            ("\u{feff}\u{feff}", "\u{feff}"),
        ] {
            let text = without_byte_order_mark(text.as_bytes());
            assert_eq!(text, expect.as_bytes());
        }
    }

    #[test]
    fn litter_of_a_killed_run_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::write(dir.path().join(".conf.new"), b"half").unwrap();
        replace(&path, b"whole", 0o644).unwrap();
        assert_eq!(names(dir.path()), ["conf"]);
    }

    #[test]
    fn reading_is_bounded_and_only_for_regular_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("conf");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert!(read(dir.path(), 10).is_err());
        assert_eq!(
            read(&dir.path().join("none"), 1).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }
}
