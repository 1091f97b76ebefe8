//! Which files some process has open for writing, as far as `/proc` tells this user. Only asked for
//! files of which no event has said that their writer closed them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Name;

/// The names among `names`, all in the directory `dir`, that a process has open for writing.
pub fn open_for_writing(dir: &Path, names: &[Name]) -> Vec<Name> {
    let mut candidates: HashMap<OsString, (&Name, (u64, u64))> = HashMap::new();
    for name in names {
        if let Ok(meta) = fs::symlink_metadata(dir.join(name)) {
            candidates.insert(
                name.as_os_str().to_owned(),
                (name, (meta.dev(), meta.ino())),
            );
        }
    }
    let mut writing = Vec::new();
    for process in entries(Path::new("/proc")).filter(|path| is_number(path)) {
        for descriptor in entries(&process.join("fd")) {
            // The name is compared first: looking at a link cannot block, at a file it might.
            let Ok(target) = fs::read_link(&descriptor) else {
                continue;
            };
            let Some((name, file)) = target.file_name().and_then(|name| candidates.get(name))
            else {
                continue;
            };
            let same =
                fs::metadata(&descriptor).is_ok_and(|meta| (meta.dev(), meta.ino()) == *file);
            if same && is_writable(&process, &descriptor) {
                writing.push((*name).clone());
            }
        }
    }
    writing
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
    fn only_a_file_that_is_open_for_writing_counts() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["closed", "reading", "writing"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let _reading = fs::File::open(dir.path().join("reading")).unwrap();
        let _writing = fs::OpenOptions::new()
            .append(true)
            .open(dir.path().join("writing"))
            .unwrap();
        let names: Vec<Name> = ["closed", "reading", "writing", "absent"]
            .iter()
            .map(|name| Name::new(name.as_ref()))
            .collect();
        assert_eq!(
            open_for_writing(dir.path(), &names),
            [Name::new("writing".as_ref())]
        );
    }
}
