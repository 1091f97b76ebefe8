//! Message files in a directory, and the bare disk.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

/// Bytes of each payload.
pub const PAYLOAD: usize = 200;

pub fn payload() -> String {
    "x".repeat(PAYLOAD)
}

/// The contents of a message file.
pub fn message(topic: &str) -> String {
    format!(r#"{{"topic":"{topic}","payload":"{}"}}"#, payload())
}

pub fn name(number: usize) -> String {
    format!("{number:08}")
}

/// Writes so many message files into `DIR/new`, as if they had been moved there before.
pub fn fill(dir: &Path, count: usize) -> Result<()> {
    let new = dir.join("new");
    fs::create_dir_all(&new)?;
    let contents = message("bench");
    for number in 0..count {
        fs::write(new.join(name(number)), &contents)?;
    }
    Ok(())
}

pub fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir.join("new")).is_ok_and(|mut entries| entries.next().is_none())
}

pub fn last(dir: &Path, count: usize) -> PathBuf {
    dir.join("new").join(name(count.saturating_sub(1)))
}

/// Lists, opens, reads and removes them all, with nothing else: what the disk alone takes.
pub fn bare_disk(dir: &Path) -> Result<Duration> {
    let start = Instant::now();
    let mut names: Vec<_> = fs::read_dir(dir.join("new"))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    names.sort();
    let mut contents = Vec::new();
    for path in &names {
        contents.clear();
        File::open(path)?.read_to_end(&mut contents)?;
        fs::remove_file(path)?;
    }
    Ok(start.elapsed())
}
