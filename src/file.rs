//! Files that outlive a power cut: read with a bound, replaced as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::Uid;
use tempfile::{Builder, NamedTempFile};

/// Why a link is left alone.
pub const NOT_FOLLOWED: &str =
    "it is a symbolic link that another user may have put there, which is not followed";

/// How many links lead to a file at most; the kernel follows as many.
const MOST_LINKS: usize = 40;

/// The contents of a regular file of at most `most` bytes. Never waits for a FIFO's writer. Follows
/// links: for what a person has put there.
///
/// # Errors
/// It is missing ([`ErrorKind::NotFound`]), no regular file, too large or unreadable.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_with(path, most, OFlag::O_NONBLOCK)
}

/// The same for a path that is no symbolic link: one of our own, or [`resolved`]. A link that somebody
/// has put in its place is an error.
///
/// # Errors
/// As [`read`].
pub fn read_own(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    read_with(path, most, flags).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => io::Error::new(error.kind(), NOT_FOLLOWED),
        _ => error,
    })
}

/// The same for a file with a secret, which nobody but its owner may have access to.
///
/// # Errors
/// As [`read`], and its mode, with the command that sets it right.
pub fn read_secret(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path, OFlag::O_NONBLOCK)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = format!(
            "others than its owner have access to it (mode {mode:03o}), and it holds a secret: chmod 600 {}",
            path.display()
        );
        return Err(io::Error::new(ErrorKind::PermissionDenied, why));
    }
    contents(file, most)
}

fn read_with(path: &Path, most: u64, flags: OFlag) -> io::Result<Vec<u8>> {
    contents(open(path, flags)?, most)
}

fn open(path: &Path, flags: OFlag) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    Ok(file)
}

fn contents(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.take(most + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > most {
        let why = format!("larger than {most} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(contents)
}

/// Where a path leads through all its links, also when nothing is there yet: what is to be replaced
/// so that the links stay. Ends at a link that another user may have put there, which is not followed.
pub fn resolved(path: &Path) -> PathBuf {
    let mut end = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&end) {
            Ok(target) if is_trusted(&end) => end = directory(&end).join(target),
            Ok(_) | Err(_) => break,
        }
    }
    match fs::canonicalize(&end) {
        Ok(there) if !end.is_symlink() => return there,
        Ok(_) | Err(_) => {}
    }
    match (fs::canonicalize(directory(&end)), end.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => end,
    }
}

/// A link of root or of our own, or one in a directory where nobody else can make one.
fn is_trusted(link: &Path) -> bool {
    let (Ok(link), Ok(within)) = (fs::symlink_metadata(link), fs::metadata(directory(link))) else {
        return false;
    };
    let ours = |uid: u32| uid == 0 || uid == Uid::effective().as_raw();
    ours(link.uid()) || (ours(within.uid()) && within.mode() & 0o022 == 0)
}

/// A text without the byte order mark that some editors put before it. To be asked of every file that
/// a person or another program writes, and never of a payload that is passed on as it is.
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Replaces a file atomically: after a crash or power cut it has the old or the new contents, and
/// when this has returned, the new. Mode and owner stay as they are; a new file gets `mode`, whatever
/// the umask. A symbolic link is not followed but replaced: see [`resolved`].
///
/// # Errors
/// The old file is untouched, and no other is left behind.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    stage(path, contents, mode)?.put()
}

/// What is to take the place of a file: durable, as the hidden file `.NAME.new` beside it, which goes
/// when this is dropped.
#[derive(Debug)]
pub struct StagedFile<'a> {
    file: NamedTempFile<File>,
    path: &'a Path,
}

impl StagedFile<'_> {
    /// The second half of [`replace`].
    ///
    /// # Errors
    /// As [`replace`].
    pub fn put(self) -> io::Result<()> {
        renamed(self.file, self.path)
    }
}

/// The first half of [`replace`]: what takes the longest, and changes nothing yet.
///
/// # Errors
/// As [`replace`].
pub fn stage<'a>(path: &'a Path, contents: &[u8], mode: u32) -> io::Result<StagedFile<'a>> {
    let old = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Some(meta),
        Ok(meta) if meta.is_symlink() => None,
        Ok(_) => {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut file = staged(path, |staged| {
        // Fails where anything is, a link too.
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(staged)
    })?;
    write(file.as_file_mut(), contents, old.as_ref(), mode)?;
    Ok(StagedFile { file, path })
}

/// Makes a symbolic link, or lets it point elsewhere, just as [`replace`] replaces a file.
///
/// # Errors
/// As [`replace`].
pub fn replace_link(link: &Path, target: &Path) -> io::Result<()> {
    renamed(staged(link, |staged| symlink(target, staged))?, link)
}

/// What is to take the place of `path`, as the hidden file `.NAME.new` beside it, which goes when this
/// is dropped. Always by the same name, so that what a killed run left is found.
fn staged<T>(
    path: &Path,
    make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<NamedTempFile<T>> {
    let hidden = beside(path, "new")?;
    match fs::remove_file(&hidden) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let name = hidden.file_name().unwrap_or_default();
    let mut builder = Builder::new();
    builder.prefix(name).rand_bytes(0);
    // Not its own way to make a file: its errors hide the number of the system's.
    builder.make_in(directory(path), make)
}

fn write(file: &mut File, contents: &[u8], like: Option<&Metadata>, mode: u32) -> io::Result<()> {
    file.write_all(contents)?;
    if let Some(like) = like {
        keep_owner(file, like)?;
    }
    // Last: a write by another user than root takes away the special bits.
    let mode = like.map_or(mode, |like| like.mode() & 0o7777);
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn renamed<T>(staged: NamedTempFile<T>, path: &Path) -> io::Result<()> {
    // Closed before, so that nobody who watches the directory sees it twice.
    let renamed = staged.into_temp_path().persist(path);
    renamed.map_err(|failed| match failed.error.kind() {
        // As containers like to have it.
        ErrorKind::ResourceBusy => io::Error::new(
            failed.error.kind(),
            "it is mounted by itself and cannot be replaced as a whole; mount the directory that it is in instead",
        ),
        _ => failed.error,
    })?;
    sync_directory(path)
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
    fn a_file_with_a_secret_is_read_only_when_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "s3cr3t").unwrap();
        for mode in [0o644, 0o640, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let why = read_secret(&path, 10).unwrap_err().to_string();
            let remedy = format!("(mode {mode:o}), and it holds a secret: chmod 600 ");
            assert!(why.contains(&remedy), "{why}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_secret(&path, 10).unwrap(), b"s3cr3t");
        }
        let too_large = read_secret(&path, 5).unwrap_err();
        assert_eq!(too_large.kind(), ErrorKind::FileTooLarge);
        let missing = read_secret(&dir.path().join("none"), 5).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
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
    fn a_new_file_gets_its_mode_and_a_link_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("conf"));
        fs::write(&victim, b"precious").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o666)).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(".conf.new")).unwrap();
        assert!(read_own(&path, 100).is_err(), "nor read through it");
        replace(&path, b"mine", 0o622).unwrap();
        assert_eq!(read_own(&path, 100).unwrap(), b"mine");
        let mode = fs::symlink_metadata(&path).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o622, "more than a usual umask leaves: {mode:o}");
        assert_eq!(read(&victim, 100).unwrap(), b"precious");
    }

    #[test]
    fn what_a_killed_run_left_is_replaced_or_named_as_the_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let (path, left) = (dir.path().join("conf"), dir.path().join(".conf.new"));
        fs::write(&left, b"half").unwrap();
        replace(&path, b"one", 0o640).unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"one");
        assert_eq!(names(dir.path()), ["conf"]);
        fs::create_dir(&left).unwrap();
        let problem = replace(&path, b"two", 0o640).unwrap_err();
        assert_eq!(problem.kind(), ErrorKind::IsADirectory, "{problem}");
        assert_eq!(read(&path, 100).unwrap(), b"one", "the old one stays");
    }

    #[test]
    fn links_lead_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        };
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/there"), b"").unwrap();
        link("real", "dir");
        link("second", "first");
        link("dir/none", "second");
        link("dir/there", "good");
        link("loop", "loop");
        link("no/such/directory", "lost");
        for (path, expect) in [
            ("first", "real/none"),
            ("good", "real/there"),
            ("dir/new", "real/new"),
            ("real/there", "real/there"),
            ("loop", "loop"),
            ("lost", "no/such/directory"),
        ] {
            assert_eq!(resolved(&root.join(path)), root.join(expect), "{path}");
        }
        assert_eq!(resolved(Path::new("/dev/null")), Path::new("/dev/null"));
    }

    #[test]
    fn a_link_of_another_user_is_followed_only_where_nobody_else_can_make_one() {
        if !Uid::effective().is_root() {
            eprintln!("skipped: only root can give a link away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let (victim, link) = (root.join("victim"), root.join("link"));
        fs::write(&victim, b"precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        for (mode, owner, expect) in [
            (0o755, 65534, &victim),
            (0o777, 65534, &link),
            (0o775, 65534, &link),
            (0o777, 0, &victim),
        ] {
            fs::set_permissions(&root, Permissions::from_mode(mode)).unwrap();
            std::os::unix::fs::lchown(&link, Some(owner), None).unwrap();
            assert_eq!(&resolved(&link), expect, "{mode:o} {owner}");
        }
        fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(&root, Some(65534), None).unwrap();
        std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
        assert_eq!(resolved(&link), link, "in a directory of its own");
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
