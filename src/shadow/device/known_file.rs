//! The file `.NAME.known` beside an outfile: the configuration as it was meant, where the text of the
//! outfile would be read as another one. Without it a kill between the outfile and its report would
//! change types.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::file;

/// Only the daemon reads it, and it says what the outfile says.
const MODE: u32 = 0o600;
const LARGEST: u64 = 1024 * 1024;

/// What was last written, if the outfile alone does not show it. A file that cannot be read is as
/// good as none.
pub fn read(outfile: &Path) -> Option<Value> {
    let path = file::beside(outfile, "known").ok()?;
    serde_json::from_slice(&file::read_own(&path, LARGEST).ok()?).ok()
}

/// Remembers a configuration durably, or that nothing need be remembered.
pub fn write(outfile: &Path, known: Option<&Value>) -> Result<()> {
    let path = file::beside(outfile, "known")?;
    let written = match known {
        Some(known) => file::replace(&path, known.to_string().as_bytes(), MODE),
        None => removed(&path),
    };
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
