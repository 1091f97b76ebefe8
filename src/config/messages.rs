//! The settings of each messages directory: its own value, else the default one, else ours.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::problems::Problems;
use super::split::dir_and_value;
use super::values::{number, seconds, trimmed};
use crate::cli::Cli;
use crate::mqtt::WINDOW_MESSAGES;
use crate::publish::{Letterhead, MessagesOptions};
use crate::spool::order::Order;
use crate::spool::queue;

/// A week: longer than any outage that a device should sit out with a full window.
const LONGEST_JAM: u32 = 604_800;

/// Resolves all `--messages` directories. Wrong values become problems.
pub fn resolve(cli: &Cli, problems: &mut Problems) -> Vec<MessagesOptions> {
    let dirs: Vec<String> = cli
        .messages
        .iter()
        .map(|dir| trimmed(dir).to_owned())
        .collect();
    let mut settings = PerDirectory {
        dirs: &dirs,
        problems,
    };
    let concurrency = settings.read(
        "message-concurrency",
        &cli.message_concurrency,
        cli.default_message_concurrency.as_ref(),
        |text| number(text, 1, 100),
    );
    let retries = settings.read(
        "message-retries",
        &cli.message_retries,
        cli.default_message_retries.as_ref(),
        |text| number(text, 0, u32::MAX),
    );
    let keep_failed = settings.read(
        "message-keep-failed",
        &cli.message_keep_failed,
        cli.default_message_keep_failed.as_ref(),
        |text| number(text, 0, 1_000_000),
    );
    let jam = settings.read(
        "message-jam-timeout",
        &cli.message_jam_timeout,
        cli.default_message_jam_timeout.as_ref(),
        |text| seconds(text, 1, LONGEST_JAM),
    );
    let order = settings.read(
        "message-order",
        &cli.message_order,
        cli.default_message_order.as_ref(),
        str::parse::<Order>,
    );
    let looks = settings.read(
        "message-priorities",
        &cli.message_priorities,
        cli.default_message_priorities.as_ref(),
        looks_at_all,
    );
    let prefix = settings.read(
        "message-topic-prefix",
        &cli.message_topic_prefix,
        cli.default_message_topic_prefix.as_ref(),
        topic_part,
    );
    let suffix = settings.read(
        "message-topic-suffix",
        &cli.message_topic_suffix,
        cli.default_message_topic_suffix.as_ref(),
        topic_part,
    );
    let letterheads = letterheads(cli, &mut settings);
    dirs.iter()
        .enumerate()
        .map(|(index, dir)| MessagesOptions {
            dir: PathBuf::from(dir),
            queue: queue::QueueOptions {
                order: order.of(index).unwrap_or(Order::Lexical),
                // The shared window is smaller than a hundred, and a jam is a full window.
                window: (concurrency.of(index).unwrap_or(10) as usize).min(WINDOW_MESSAGES),
                retries: retries.of(index).unwrap_or(2),
                jam: jam.of(index).unwrap_or(Duration::from_secs(300)),
            },
            look_at_all: looks.of(index).unwrap_or(false),
            keep_failed: keep_failed.of(index).unwrap_or(100) as usize,
            topic_prefix: prefix.of(index).unwrap_or_default(),
            topic_suffix: suffix.of(index).unwrap_or_default(),
            letterhead: letterheads.of(index),
        })
        .collect()
}

fn looks_at_all(text: &str) -> Result<bool, String> {
    match text {
        "auto" => Ok(false),
        "all" => Ok(true),
        other => Err(format!("unknown value '{other}', use auto or all")),
    }
}

/// One setting: by directory, and the default.
struct Setting<T> {
    by_dir: HashMap<usize, T>,
    default: Option<T>,
}

impl<T: Clone> Setting<T> {
    fn of(&self, dir: usize) -> Option<T> {
        self.by_dir.get(&dir).or(self.default.as_ref()).cloned()
    }
}

struct PerDirectory<'a> {
    dirs: &'a [String],
    problems: &'a mut Problems,
}

impl PerDirectory<'_> {
    fn read<T>(
        &mut self,
        option: &str,
        values: &[String],
        default: Option<&String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Setting<T> {
        let mut by_dir = HashMap::new();
        for value in values {
            let read = self
                .split(value)
                .and_then(|(index, text)| Ok((index, read(text)?)));
            match read {
                Err(why) => self.problems.add(option, value, &why),
                // Of several for one directory the last one counts, as of any option.
                Ok((index, setting)) => drop(by_dir.insert(index, setting)),
            }
        }
        let default = self
            .problems
            .optional(&format!("default-{option}"), default, read);
        Setting { by_dir, default }
    }

    fn split<'v>(&self, value: &'v str) -> Result<(usize, &'v str), String> {
        dir_and_value(value, self.dirs).ok_or_else(|| match self.dirs {
            [] => "write DIR:VALUE with a DIR that a --messages option names, there is none"
                .to_owned(),
            dirs => format!(
                "write DIR:VALUE with a DIR that a --messages option names: {}",
                dirs.join(", ")
            ),
        })
    }
}

fn letterheads(cli: &Cli, settings: &mut PerDirectory<'_>) -> Setting<Letterhead> {
    let mut files = settings.read(
        "letterhead-file",
        &cli.letterhead_file,
        cli.default_letterhead_file.as_ref(),
        |text| path(text).map(Letterhead::File),
    );
    let generators = settings.read(
        "letterhead-generator",
        &cli.letterhead_generator,
        cli.default_letterhead_generator.as_ref(),
        |text| path(text).map(Letterhead::Generator),
    );
    const BOTH: &str = "a file and a generator are both given, use one of them";
    for (index, generator) in generators.by_dir {
        if files.by_dir.insert(index, generator).is_some() {
            settings.problems.add(
                "letterhead-generator",
                &format!("{}:…", settings.dirs[index]),
                BOTH,
            );
        }
    }
    if files.default.is_some() && generators.default.is_some() {
        settings
            .problems
            .0
            .push(format!("--default-letterhead-generator: {BOTH}"));
    }
    Setting {
        by_dir: files.by_dir,
        default: files.default.or(generators.default),
    }
}

/// Commands run in `/`, so a relative path is made absolute; a bare command name is left to `PATH`.
fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("the path is empty".into()),
        text if text.contains('/') => std::path::absolute(text).map_err(|error| error.to_string()),
        text => Ok(text.into()),
    }
}

fn topic_part(text: &str) -> Result<String, String> {
    match text.chars().find(|c| matches!(c, '+' | '#' | '\0')) {
        Some(bad) => Err(format!(
            "contains {bad:?}, which a topic to publish to must not"
        )),
        None => Ok(text.to_owned()),
    }
}
