//! `--messages`: files become published messages.

mod attempt;
pub mod glimpse;
mod letterhead;
pub mod message;
mod properties;
mod publisher;
pub mod topic;

use std::path::PathBuf;

pub use letterhead::Letterhead;
pub use publisher::{Publisher, PublisherEnd};

use crate::spool::{layout, queue};

/// One messages directory, with defaults and its own settings resolved.
#[derive(Clone, Debug)]
pub struct MessagesOptions {
    pub dir: PathBuf,
    pub queue: queue::QueueOptions,
    /// All that wait are looked at for their priority before the first is taken.
    pub look_at_all: bool,
    /// How many requests `failed/` holds.
    pub keep_failed: usize,
    pub topic_prefix: String,
    pub topic_suffix: String,
    pub letterhead: Option<Letterhead>,
}

impl MessagesOptions {
    /// What would make a start fail. Changes nothing on disk.
    pub fn problems(&self) -> Vec<String> {
        let letterhead = self.letterhead.as_ref().map_or(Ok(()), Letterhead::check);
        [layout::check(&self.dir), letterhead]
            .into_iter()
            .filter_map(|result| result.err())
            .map(|problem| format!("{problem:#}"))
            .collect()
    }
}
