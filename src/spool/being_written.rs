//! Which files some process has open for writing, as far as `/proc` shows this user. Only asked for
//! files of which no event has said that their writer closed them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use super::Name;

/// Who has files of one directory open for writing.
pub struct Writers {
    open: HashSet<Name>,
    /// Files of other users, while there are processes that we may not look at.
    unseen: HashSet<Name>,
}

impl Writers {
    /// Looks at all processes, for `names` in the directory `dir`.
    pub fn of(dir: &Path, names: &[Name]) -> Writers {
        Writers::seen_in(Path::new("/proc"), Uid::effective(), dir, names)
    }

    fn seen_in(proc: &Path, user: Uid, dir: &Path, names: &[Name]) -> Writers {
        let candidates: HashMap<&OsStr, OpenFile> = names
            .iter()
            .filter_map(|name| Some((name.as_os_str(), OpenFile::new(dir, name)?)))
            .collect();
        let mut open = HashSet::new();
        // A /proc that hides the processes of others hides the first one, too, which is root's.
        let mut incomplete = !proc.join("1").exists();
        for process in entries(proc).filter(|path| is_number(path)) {
            incomplete |= fs::read_dir(process.join("fd"))
                .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
            for descriptor in entries(&process.join("fd")) {
                // The name is compared first: looking at a link cannot block, at a file it might.
                let Ok(target) = fs::read_link(&descriptor) else {
                    continue;
                };
                let Some(candidate) = file_name(&target).and_then(|name| candidates.get(name))
                else {
                    continue;
                };
                if candidate.is_behind(&descriptor) && is_writable(&process, &descriptor) {
                    open.insert(candidate.name.clone());
                }
            }
        }
        let own = user.as_raw();
        let foreign = candidates
            .into_values()
            .filter(|one| incomplete && one.owner != own);
        Writers {
            open,
            unseen: foreign.map(|one| one.name.clone()).collect(),
        }
    }

    /// Some process that we can see is writing it.
    pub fn has_open(&self, name: &Name) -> bool {
        self.open.contains(name)
    }

    /// No process that we cannot see is likely to be writing it.
    pub fn knows_all_of(&self, name: &Name) -> bool {
        !self.unseen.contains(name)
    }
}

struct OpenFile<'a> {
    name: &'a Name,
    file: (u64, u64),
    owner: u32,
}

impl<'a> OpenFile<'a> {
    fn new(dir: &Path, name: &'a Name) -> Option<OpenFile<'a>> {
        let meta = fs::symlink_metadata(dir.join(name)).ok()?;
        Some(OpenFile {
            name,
            file: (meta.dev(), meta.ino()),
            owner: meta.uid(),
        })
    }

    fn is_behind(&self, descriptor: &Path) -> bool {
        fs::metadata(descriptor).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file)
    }
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
    fn files_of_others_are_not_known_where_proc_hides_the_processes_of_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        let name = Name::new("a".as_ref());
        let user = Uid::from_raw(Uid::effective().as_raw() + 1);
        let knows = |proc: &Path, user| {
            let names = std::slice::from_ref(&name);
            Writers::seen_in(proc, user, dir.path(), names).knows_all_of(&name)
        };
        let proc = tempfile::tempdir().unwrap();
        assert!(
            !knows(proc.path(), user),
            "as with hidepid=2, or without /proc"
        );
        fs::create_dir_all(proc.path().join("1/fd")).unwrap();
        assert!(
            knows(proc.path(), user),
            "the first process is seen, so others would be"
        );
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
        let writers = Writers::of(dir.path(), &names);
        let open: Vec<bool> = names.iter().map(|name| writers.has_open(name)).collect();
        assert_eq!(open, [false, false, true, true, false]);
        assert!(
            names.iter().all(|name| writers.knows_all_of(name)),
            "they are our own"
        );
    }
}
