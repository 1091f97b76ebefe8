//! `--subscribe-write` and `--subscribe-exec`: received messages become writes and runs of commands.
//!
//! | file | subject |
//! |---|---|
//! | `listener` | the task of one option |
//! | `backlog` | the messages that wait (pure) |
//! | `losses` | what is logged of messages that were not handled |
//! | `write` | a message into a FIFO, a device or a file |

mod backlog;
mod listener;
mod losses;
mod write;

use std::path::PathBuf;

pub use listener::Listener;

/// One option: what is done with the messages that a topic filter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerOptions {
    pub filter: String,
    pub handling: Handling,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handling {
    /// The payload goes into this FIFO, device or file.
    Write(PathBuf),
    /// A line for `sh -c`, with the payload on its standard input.
    Exec(String),
}

impl HandlerOptions {
    /// What would make a start fail. A path that is missing may be made later, and is no problem.
    pub fn problems(&self) -> Vec<String> {
        match &self.handling {
            Handling::Write(path) if path.is_dir() => {
                vec![format!(
                    "cannot write to {}: is a directory",
                    path.display()
                )]
            }
            Handling::Write(_) | Handling::Exec(_) => Vec::new(),
        }
    }
}
