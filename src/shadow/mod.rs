//! `--services`, `--updates` and `--defaultshadow`: settings of a thing's shadow become files and
//! notified services, and their updates become reported state.
//!
//! | file | subject |
//! |---|---|
//! | `agent` | the task of one shadow |
//! | `cloud` | what is said to the cloud about it, and what the cloud says (pure) |
//! | `device` | definitions, services, outfiles, notify commands and update files |
//! | `effect` | what services leave for the conversation to do |
//! | `document` | settings compared and merged (pure) |

mod agent;
pub mod cloud;
pub mod device;
pub mod document;
pub mod effect;

use std::path::PathBuf;

pub use agent::ShadowAgent;
pub use cloud::topics::ShadowId;
pub use document::Rules;

use crate::spool::layout;

/// One shadow, and everything that concerns it.
#[derive(Clone, Debug)]
pub struct ShadowOptions {
    pub id: ShadowId,
    /// Directories of service definitions.
    pub services: Vec<PathBuf>,
    /// Action directories of updates.
    pub updates: Vec<PathBuf>,
    /// A line for `sh -c` that prints the default shadow.
    pub default_shadow: Option<String>,
    pub rules: Rules,
}

impl ShadowOptions {
    /// What would make a start fail. Runs definitions, so blocks, and changes nothing on disk.
    pub fn problems(&self) -> Vec<String> {
        let directories = self.updates.iter().map(|dir| layout::check(dir));
        let mut problems: Vec<String> = directories
            .filter_map(|result| result.err())
            .map(|problem| format!("{problem:#}"))
            .collect();
        match device::definitions::load_all(&self.services) {
            Ok(loaded) => problems.extend(loaded.problems),
            Err(shortage) => problems.push(format!(
                "cannot run the service definitions of {}: {:#}",
                self.id,
                anyhow::Error::new(shortage)
            )),
        }
        problems
    }

    /// Whether only updates are sent: the document is never fetched.
    pub fn is_updates_only(&self) -> bool {
        self.services.is_empty() && self.default_shadow.is_none()
    }
}
