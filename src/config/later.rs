//! Options whose feature is still to come: read and checked like all others, then refused. Ignoring
//! them would be worse than not starting.

use std::fmt::Debug;

use super::Problems;
use super::split::filter_and_path;
use crate::cli::Cli;

pub fn refuse(cli: &Cli, problems: &mut Problems) {
    each(
        "subscribe-spool",
        &cli.subscribe_spool,
        filter_and_path,
        problems,
    );
}

fn each<'a, T: Debug>(
    option: &str,
    values: impl IntoIterator<Item = &'a String>,
    read: impl Fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) {
    for value in values {
        match read(value) {
            Ok(_) => problems.add(option, value, "not supported yet"),
            Err(why) => problems.add(option, value, &why),
        }
    }
}
