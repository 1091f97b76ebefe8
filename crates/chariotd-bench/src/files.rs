//! Message files in a directory, and the bare disk.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::Range;
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
    add(dir, 0..count)
}

/// The files with these numbers.
pub fn add(dir: &Path, numbers: Range<usize>) -> Result<()> {
    let new = dir.join("new");
    fs::create_dir_all(&new)?;
    let contents = message("bench");
    for number in numbers {
        fs::write(new.join(name(number)), &contents)?;
    }
    Ok(())
}

pub fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir.join("new")).is_ok_and(|mut entries| entries.next().is_none())
}

/// Writes it in `DIR/tmp` and moves it to `DIR/new`, as a program does. The moment of the move.
pub fn send(dir: &Path, number: usize, contents: &str) -> Result<Instant> {
    let path = dir.join("tmp").join(name(number));
    fs::write(&path, contents)?;
    let start = Instant::now();
    fs::rename(&path, dir.join("new").join(name(number)))?;
    Ok(start)
}

/// Replaces a file as it must be done to outlive a power cut, or leaves out some of the syncs.
pub fn replace(path: &Path, contents: &str, sync_file: bool, sync_dir: bool) -> Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(contents.as_bytes())?;
    if sync_file {
        file.sync_all()?;
    }
    fs::rename(&new, path)?;
    if let (true, Some(dir)) = (sync_dir, path.parent()) {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
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
