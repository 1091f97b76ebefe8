//! What the options say about received messages.

use super::problems::Problems;
use super::split::{filter_and_command, filter_and_path};
use crate::cli::Cli;
use crate::subscribe::{HandlerOptions, Handling};

/// Resolves `--subscribe-write` and `--subscribe-exec`. Wrong values become problems.
pub fn resolve(cli: &Cli, problems: &mut Problems) -> Vec<HandlerOptions> {
    let mut all = Vec::new();
    for value in &cli.subscribe_write {
        match filter_and_path(value) {
            Ok((filter, path)) => all.push(HandlerOptions {
                filter,
                handling: Handling::Write(path.into()),
            }),
            Err(why) => problems.add("subscribe-write", value, &why),
        }
    }
    for value in &cli.subscribe_exec {
        match filter_and_command(value) {
            Ok((filter, command)) => all.push(HandlerOptions {
                filter,
                handling: Handling::Exec(command),
            }),
            Err(why) => problems.add("subscribe-exec", value, &why),
        }
    }
    all
}
