//! Which files some process has open for writing, as far as `/proc` shows this user. Only asked for
//! files of which no event has said that their writer closed them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Name;

/// Who has files of one directory open for writing.
pub struct Writers {
    open: HashSet<Name>,
    blind: bool,
}

impl Writers {
    /// Looks at all processes, for `names` in the directory `dir`.
    pub fn of<'a>(dir: &Path, names: impl Iterator<Item = &'a Name>) -> Writers {
        Writers::seen_in(Path::new("/proc"), dir, names)
    }

    fn seen_in<'a>(proc: &Path, dir: &Path, names: impl Iterator<Item = &'a Name>) -> Writers {
        let candidates: HashMap<&OsStr, &Name> =
            names.map(|name| (name.as_os_str(), name)).collect();
        let mut open = HashSet::new();
        // A /proc that hides the processes of others hides the first one, too, which is root's.
        let mut blind = !proc.join("1").exists();
        for process in entries(proc).filter(|path| is_number(path)) {
            blind |= fs::read_dir(process.join("fd"))
                .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
            for descriptor in entries(&process.join("fd")) {
                // The name is compared first: looking at a link cannot block, at a file it might.
                let Ok(target) = fs::read_link(&descriptor) else {
                    continue;
                };
                let Some(name) = file_name(&target).and_then(|name| candidates.get(name)) else {
                    continue;
                };
                if is_behind(&dir.join(name), &descriptor) && is_writable(&process, &descriptor) {
                    open.insert((*name).clone());
                }
            }
        }
        Writers { open, blind }
    }

    /// Some process that we can see is writing it.
    pub fn has_open(&self, name: &Name) -> bool {
        self.open.contains(name)
    }

    /// There are processes that we cannot look at. They may be writing files of other users.
    pub fn is_blind(&self) -> bool {
        self.blind
    }
}

fn is_behind(path: &Path, descriptor: &Path) -> bool {
    let same = |meta: fs::Metadata, other: fs::Metadata| {
        (meta.dev(), meta.ino()) == (other.dev(), other.ino())
    };
    fs::symlink_metadata(path)
        .is_ok_and(|meta| fs::metadata(descriptor).is_ok_and(|other| same(meta, other)))
}

/// A file that was opened under a link that is gone since has a mark at its end.
fn file_name(target: &Path) -> Option<&OsStr> {
    let name = target.file_name()?.as_bytes();
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    Some(OsStr::from_bytes(name))
}

fn entries(dir: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

fn is_number(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
}

/// The `flags:` line of `fdinfo` holds the open flags in octal; the lowest two bits are 0 for
/// read-only (proc(5)).
fn is_writable(process: &Path, descriptor: &Path) -> bool {
    let Some(number) = descriptor.file_name() else {
        return false;
    };
    let Ok(info) = fs::read_to_string(process.join("fdinfo").join(number)) else {
        return false;
    };
    info.lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proc_that_hides_the_processes_of_others_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let proc = tempfile::tempdir().unwrap();
        let is_blind = || Writers::seen_in(proc.path(), dir.path(), [].iter()).is_blind();
        assert!(is_blind(), "as with hidepid=2, or without /proc");
        fs::create_dir_all(proc.path().join("1/fd")).unwrap();
        assert!(!is_blind(), "the first process is seen, so others would be");
    }

    #[test]
    fn only_a_file_that_is_open_for_writing_counts() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["closed", "reading", "writing"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let _reading = fs::File::open(dir.path().join("reading")).unwrap();
        let write = |name: &str| {
            let path = dir.path().join(name);
            fs::OpenOptions::new().append(true).open(path).unwrap()
        };
        let _writing = write("writing");
        // As when it was taken out of the directory for a moment and put back.
        fs::create_dir(dir.path().join("aside")).unwrap();
        fs::write(dir.path().join("aside/moved"), "x").unwrap();
        let _moved = write("aside/moved");
        fs::hard_link(dir.path().join("aside/moved"), dir.path().join("moved")).unwrap();
        fs::remove_file(dir.path().join("aside/moved")).unwrap();
        let names: Vec<Name> = ["closed", "reading", "writing", "moved", "absent"]
            .iter()
            .map(|name| Name::new(name.as_ref()))
            .collect();
        let writers = Writers::of(dir.path(), names.iter());
        let open: Vec<bool> = names.iter().map(|name| writers.has_open(name)).collect();
        assert_eq!(open, [false, false, true, true, false]);
    }
}
