//! Everything that the options say about one inbox, put together.

use std::path::PathBuf;

use super::problems::Problems;
use super::split::filter_and_path;
use super::values::{count, number, resolved, trimmed};
use crate::cli::Cli;
use crate::inbox::InboxOptions;
use crate::mqtt::{FILTERS_PER_CONNECTION, share_out};

/// What an inbox holds unless the options say otherwise: a quarter of a flash of 16 MB.
const MOST_FILES: usize = 1000;
const MOST_BYTES: u32 = 4 * 1024 * 1024;

/// Resolves `--subscribe-spool`: topics of the same directory go to one inbox. Wrong values become
/// problems.
pub fn resolve(cli: &Cli, connections: usize, problems: &mut Problems) -> Vec<InboxOptions> {
    let most_files = problems
        .optional("inbox-max-files", cli.inbox_max_files.as_ref(), |text| {
            count(text, 1, 100_000)
        })
        .unwrap_or(MOST_FILES);
    let most_bytes = problems
        .optional("inbox-max-bytes", cli.inbox_max_bytes.as_ref(), |text| {
            number(text, 1, u32::MAX)
        })
        .unwrap_or(MOST_BYTES);
    let mut inboxes: Vec<InboxOptions> = Vec::new();
    for value in &cli.subscribe_spool {
        let (filter, dir) = match filter_and_path(value) {
            Ok((filter, dir)) => (filter, PathBuf::from(trimmed(&dir))),
            Err(why) => {
                problems.add("subscribe-spool", value, &why);
                continue;
            }
        };
        let same = |it: &&mut InboxOptions| resolved(&it.dir) == resolved(&dir);
        match inboxes.iter_mut().find(same) {
            Some(inbox) if inbox.filters.contains(&filter) => {
                problems.add("subscribe-spool", value, "given twice");
            }
            Some(inbox) => inbox.filters.push(filter),
            None => inboxes.push(InboxOptions {
                dir,
                filters: vec![filter],
                connection: 0,
                most_files,
                most_bytes: most_bytes.into(),
            }),
        }
    }
    connect(&mut inboxes, connections, problems);
    inboxes
}

/// Gives each inbox its connection.
fn connect(inboxes: &mut [InboxOptions], connections: usize, problems: &mut Problems) {
    let filters: Vec<usize> = inboxes.iter().map(|inbox| inbox.filters.len()).collect();
    let Some(shared_out) = share_out(&filters, connections) else {
        let topics: usize = filters.iter().sum();
        problems.0.push(format!(
            "--subscribe-spool: {topics} topics do not fit: each directory has at most {FILTERS_PER_CONNECTION}, and each connection but the first takes as many; allow more than {connections} with --max-connections, or use wildcards"
        ));
        return;
    };
    for (inbox, connection) in inboxes.iter_mut().zip(shared_out) {
        inbox.connection = connection;
    }
}
