//! Options whose feature is still to come: read and checked like all others, then refused. Ignoring
//! them would be worse than not starting.

use std::fmt::Debug;

use super::Problems;
use super::split::{filter_and_path, tunnel_mapping};
use crate::cli::Cli;

pub fn refuse(cli: &Cli, problems: &mut Problems) {
    let any = |text: &str| {
        if text.is_empty() {
            Err("is empty".to_owned())
        } else {
            Ok(text.to_owned())
        }
    };
    each(
        "subscribe-spool",
        &cli.subscribe_spool,
        filter_and_path,
        problems,
    );
    each(
        "tunnelmappings",
        &cli.tunnelmappings,
        tunnel_mapping,
        problems,
    );
    each("tunnelproxy", &cli.tunnelproxy, any, problems);
    each("tunnelcadir", &cli.tunnelcadir, any, problems);
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
