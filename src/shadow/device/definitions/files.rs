//! The files of a directory of definitions, read once. Definitions are the device's own files, so
//! symbolic links are followed; nothing that is opened here can hold up the daemon.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::file::without_byte_order_mark;

/// No definition is larger.
const LARGEST: u64 = 256 * 1024;

/// The `*.js` and `*.json` files of a directory, libraries included.
#[derive(Debug, Default)]
pub struct Files {
    /// File name to text.
    pub sources: BTreeMap<String, String>,
    /// Each file that cannot be used, and why.
    pub unusable: Vec<(PathBuf, String)>,
}

impl Files {
    /// Reads them all. Hidden files, other names and sub-directories are left alone.
    ///
    /// # Errors
    /// The directory cannot be read; names it and what to do.
    pub fn read(dir: &Path) -> Result<Files, String> {
        let names = names(dir).map_err(|error| {
            format!(
                "cannot read service definitions from {}: {error}; make the directory, or correct --services",
                dir.display()
            )
        })?;
        let mut files = Files::default();
        for name in names {
            let path = dir.join(&name);
            match text(&path, name) {
                Ok(None) => {}
                Ok(Some((name, text))) => drop(files.sources.insert(name, text)),
                Err(why) => files.unusable.push((path, why)),
            }
        }
        Ok(files)
    }
}

fn names(dir: &Path) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        let wanted = bytes.ends_with(b".js") || bytes.ends_with(b".json");
        if wanted && !bytes.starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Name and text of a file, `None` for a directory.
fn text(path: &Path, name: OsString) -> Result<Option<(String, String)>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let meta = fs::metadata(path).map_err(unreadable)?;
    if meta.is_dir() {
        return Ok(None);
    }
    if !meta.is_file() {
        return Err("not a regular file".into());
    }
    let name = name
        .into_string()
        .map_err(|_| "its name is not UTF-8, rename it")?;
    let file = OpenOptions::new()
        .read(true)
        // What has become a FIFO meanwhile must not hold up everything.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(unreadable)?;
    let mut contents = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut contents)
        .map_err(unreadable)?;
    if contents.len() as u64 > LARGEST {
        return Err(format!("larger than {} KiB", LARGEST / 1024));
    }
    let text =
        String::from_utf8(without_byte_order_mark(&contents).to_owned()).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            format!("line {line} is not UTF-8")
        })?;
    if let Some(at) = text.find('\0') {
        let line = 1 + text[..at].matches('\n').count();
        return Err(format!("line {line} contains a NUL"));
    }
    Ok(Some((name, text)))
}
