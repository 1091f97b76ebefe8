//! `--messages`: files become published messages.

pub mod letterhead;
mod message;
mod publisher;
pub mod topic;

use std::path::PathBuf;

pub use letterhead::Letterhead;
pub use publisher::{Jammed, Publisher};

use crate::spool::queue;

/// One messages directory, with defaults and its own settings resolved.
#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub queue: queue::Options,
    /// How many requests `failed/` holds.
    pub keep_failed: usize,
    pub topic_prefix: String,
    pub topic_suffix: String,
    pub letterhead: Option<Letterhead>,
}

/// Reads a letterhead file, for `--check`.
pub fn check_letterhead(path: &std::path::Path) -> anyhow::Result<()> {
    letterhead::read_object(path).map(drop)
}
