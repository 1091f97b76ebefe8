//! `--events`, `--on-event` and `--notify-fd`: whoever watches over the daemon learns what becomes of
//! its connection.
//!
//! | file | subject |
//! |---|---|
//! | `reporter` | the task that receives every event and waits for nobody |
//! | `event_record` | an event as a line and as variables (pure) |
//! | `event_log`, `append` | the file of events |
//! | `bounded_runner` | one piece of work at a time, for the file and the commands |
//! | `hook` | the command for each event |
//! | `supervisor` | readiness and signs of life, for s6 and systemd |

mod append;
mod bounded_runner;
mod event_log;
mod event_record;
mod hook;
mod reporter;
mod supervisor;

use std::fs;
use std::path::PathBuf;

pub use reporter::{Reporter, Reports};
pub use supervisor::Supervisor;

/// Who is notified, and how.
#[derive(Clone, Debug, Default)]
pub struct SupervisionOptions {
    /// The file of events.
    pub events: Option<PathBuf>,
    /// A line for `sh -c` for each event.
    pub on_event: Option<String>,
    /// The file descriptor that gets a newline when the connection is ready for the first time.
    pub notify_fd: Option<u8>,
}

impl SupervisionOptions {
    /// What would make a start fail. Nothing is made.
    pub fn problems(&self) -> Vec<String> {
        let problem = |path: &PathBuf| {
            let shown = path.display();
            match fs::symlink_metadata(path) {
                Ok(meta) if meta.is_file() => None,
                Ok(meta) if meta.is_symlink() => Some(format!(
                    "cannot write events to {shown}: {}",
                    append::NO_LINK
                )),
                Ok(_) => Some(format!("cannot write events to {shown}: no regular file")),
                Err(_) => match append::directory(path).metadata() {
                    Ok(meta) if meta.is_dir() => None,
                    Ok(_) => Some(format!("cannot write events to {shown}: no directory")),
                    Err(error) => Some(format!("cannot write events to {shown}: {error}")),
                },
            }
        };
        self.events.iter().filter_map(problem).collect()
    }
}
