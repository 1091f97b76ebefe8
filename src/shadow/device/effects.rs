//! Pure: what services are given to do, and what they have done.

use serde_json::Value;

use crate::shadow::effect::{Effect, FileId};
use crate::spool::starts::Starts;

/// An update file, read.
#[derive(Debug)]
pub struct ReadUpdate {
    pub id: FileId,
    pub patch: Value,
    /// Counts how often its command is started, if it is one of an ephemeral service.
    pub starts: Option<Starts>,
}

/// What services have done.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the cloud, in this order.
    pub cloud: Vec<Effect>,
    /// What became of update files, as far as the cloud need not be asked.
    pub files: Vec<(FileId, FileEnd)>,
    /// Something is in the way of a service: look again later.
    pub look_again: bool,
}

/// What became of an update file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileEnd {
    /// Validation left nothing to be done.
    Nothing,
    /// The command that it asked for has ended.
    CarriedOut,
    Rejected(String),
    /// Something is in the way of this key's service for now.
    Postponed {
        key: String,
        reason: String,
    },
}
