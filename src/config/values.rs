//! Values of options: numbers within bounds, and paths.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let wanted = if most == u32::MAX {
        format!("use a number from {least}")
    } else {
        format!("use a number from {least} to {most}")
    };
    let number: u32 = text
        .parse()
        .map_err(|_| format!("'{text}' is not a valid number, {wanted}"))?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("out of range, {wanted}"))
    }
}

pub fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let bound = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    number(text, bound(least), bound(most)).map(|count| count as usize)
}

pub fn seconds(text: &str, least: u32, most: u32) -> Result<Duration, String> {
    number(text, least, most)
        .map(|seconds| Duration::from_secs(seconds.into()))
        .map_err(|why| format!("{why}, in seconds"))
}

/// A path without the slashes at its end, so that `/var/mqtt/` and `/var/mqtt` are one directory.
pub fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() && !path.is_empty() {
        "/"
    } else {
        trimmed
    }
}

/// The same directory, whatever it is called, as far as it exists.
pub fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
