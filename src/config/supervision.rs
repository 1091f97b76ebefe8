//! What the options say about those who watch over the daemon.

use super::problems::Problems;
use super::values::number;
use crate::cli::Cli;
use crate::supervision::SupervisionOptions;

/// Resolves `--events`, `--on-event` and `--notify-fd`. Wrong values become problems.
pub fn resolve(cli: &Cli, problems: &mut Problems) -> SupervisionOptions {
    let text = |text: &str| match text {
        "" => Err("is empty".to_owned()),
        _ => Ok(text.to_owned()),
    };
    // A shell writes to it, and a POSIX shell knows descriptors of one digit only.
    let fd =
        |text: &str| number(text, 3, 9).and_then(|fd| fd.try_into().map_err(|_| String::new()));
    SupervisionOptions {
        events: problems
            .optional("events", cli.events.as_ref(), text)
            .map(Into::into),
        on_event: problems.optional("on-event", cli.on_event.as_ref(), text),
        notify_fd: problems.optional("notify-fd", cli.notify_fd.as_ref(), fd),
    }
}
