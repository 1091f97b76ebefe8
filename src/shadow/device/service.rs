//! Pure: what a service definition says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::script::Script;
use crate::format::Format;

/// One service: the owner of one top-level key of a shadow.
#[derive(Clone, Debug)]
pub struct Service {
    /// The definition's file name, for messages.
    pub file: String,
    pub key: String,
    pub output: Output,
    /// The format of update files.
    pub informat: Format,
    /// Run through `sh -c` in `/`.
    pub notify: String,
    /// Only a change in these members notifies.
    pub notify_keys: Option<Vec<String>>,
    /// Notify once when the shadow is first fetched.
    pub initial_notify: bool,
    /// How long a notify command may take.
    pub timeout: Duration,
    pub validation: Validation,
}

/// What becomes of the configuration.
#[derive(Clone, Debug)]
pub enum Output {
    /// Never written nor reported: validated and handed to the notify command only.
    Ephemeral,
    File {
        path: PathBuf,
        format: Format,
        /// Only these members are written and compared.
        keys: Option<Vec<String>>,
    },
}

/// Who decides about a new configuration.
#[derive(Clone, Debug)]
pub enum Validation {
    None,
    /// Through `sh -c`: the configuration comes as JSON on its standard input.
    Command(String),
    /// The definition's own `validate` function.
    Script(Arc<Script>),
}

impl Service {
    /// Where the configuration is written, if anywhere.
    pub fn outfile(&self) -> Option<&Path> {
        match &self.output {
            Output::Ephemeral => None,
            Output::File { path, .. } => Some(path),
        }
    }
}
