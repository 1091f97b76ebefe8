//! Names that are known only when the program runs: reads the files and runs the commands that the
//! command line names instead.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime;

use crate::cli::Cli;
use crate::config::run_time::{self, NameSource};
use crate::{file, offload, process};

/// For a file or a command.
const LIMIT: Duration = Duration::from_secs(5);
/// A name has 128 bytes at most; what is longer than this is something else.
const LARGEST: u64 = 4096;

/// Replaces what stands for a name by the name. Each file is read once, and each command runs once,
/// even when several options name it. Waits for them, 5 s for each at most.
///
/// # Errors
/// One sentence for each option whose name cannot be had.
pub fn resolve(cli: &mut Cli) -> Result<(), Vec<String>> {
    let mut known = BTreeMap::new();
    run_time::replace(cli, |source| {
        let known = known.entry(source.clone());
        known.or_insert_with(|| found(source)).clone()
    })
}

fn found(source: &NameSource) -> Result<String, String> {
    let contents = match source {
        NameSource::File(path) => read(path),
        NameSource::Command(words) => output(words),
    };
    let contents = contents.map_err(|error| format!("{error:#}"))?;
    run_time::name(&contents).map_err(|why| format!("what it gives {why}"))
}

fn read(path: &str) -> Result<Vec<u8>> {
    let file = path.to_owned();
    let read = offload::wait_within(LIMIT, move || file::read(Path::new(&file), LARGEST));
    let contents = read.context("it was not read within 5 s")?;
    contents.with_context(|| format!("cannot read {path}"))
}

fn output(words: &[String]) -> Result<Vec<u8>> {
    let Some((program, arguments)) = words.split_first() else {
        anyhow::bail!("there is no command");
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime?.block_on(async {
        let command = process::program(Path::new(program), LIMIT);
        command.arguments(arguments).output(LARGEST).await
    })
}
