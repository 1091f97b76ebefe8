//! The letterhead: a JSON object onto which messages are merged, from a file or from a command.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};

use super::message::MessageFile;
use crate::file::{self, without_byte_order_mark};
use crate::json::Members;
use crate::process;
use crate::spool::Name;

/// A command has this long.
const LIMIT: Duration = Duration::from_secs(5);
/// Neither a file nor a command's output may be larger.
const LARGEST: u64 = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letterhead {
    File(PathBuf),
    /// Run without a shell and without arguments.
    Generator(PathBuf),
}

/// What a command learns of the message.
pub struct About<'a> {
    pub name: &'a Name,
    pub modified: SystemTime,
    pub message: &'a MessageFile,
    /// The topic that the message names, with prefix and suffix, if it names one.
    pub topic: Option<String>,
    pub prioritised: bool,
}

impl Letterhead {
    /// The letterhead for one message.
    ///
    /// # Errors
    /// It is missing, malformed, too large, or its command fails or hangs.
    pub async fn fetch(&self, about: &About<'_>) -> Result<Members> {
        match self {
            Letterhead::File(path) => read_object(path),
            Letterhead::Generator(command) => {
                let task = environment(about)?
                    .into_iter()
                    .fold(process::program(command, LIMIT), |task, (name, value)| {
                        task.variable(name, value)
                    });
                let printed = task.output(LARGEST).await?;
                object(&printed).map_err(|why| malformed(command, &why))
            }
        }
    }

    /// Whether it could serve now. A command is looked at, not run.
    pub fn check(&self) -> Result<()> {
        match self {
            Letterhead::File(path) => read_object(path).map(drop),
            Letterhead::Generator(command) if command.is_absolute() => {
                let context = || format!("cannot use letterhead generator {}", command.display());
                let meta = fs::metadata(command).with_context(context)?;
                if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
                    bail!(
                        "letterhead generator {} is not executable",
                        command.display()
                    );
                }
                Ok(())
            }
            // A bare name is looked up in PATH when it is run.
            Letterhead::Generator(_) => Ok(()),
        }
    }
}

/// Reads a letterhead file.
fn read_object(path: &Path) -> Result<Members> {
    let contents = file::read(path, LARGEST)
        .with_context(|| format!("cannot read letterhead {}", path.display()))?;
    object(&contents).map_err(|why| malformed(path, &why))
}

fn object(contents: &[u8]) -> Result<Members, String> {
    Members::parse(without_byte_order_mark(contents))
}

fn malformed(source: &Path, why: &str) -> anyhow::Error {
    anyhow!("letterhead of {} {why}", source.display())
}

fn environment(about: &About<'_>) -> Result<Vec<(&'static str, OsString)>> {
    let age = about
        .modified
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let mut environment: Vec<(&str, OsString)> = vec![
        ("MESSAGE_FILENAME", about.name.as_os_str().to_owned()),
        ("MESSAGE_TIMESTAMP", milliseconds(age).into()),
        ("MESSAGE_TIMESTAMP_S", age.as_secs().to_string().into()),
        (
            "MESSAGE_WAS_PRIORITISED",
            if about.prioritised { "1" } else { "" }.into(),
        ),
    ];
    if let Some(topic) = &about.topic {
        environment.push(("MESSAGE_TOPIC", topic.into()));
    }
    if let Some(priority) = &about.message.priority_text {
        environment.push(("MESSAGE_PRIORITY", priority.into()));
    }
    if let Some(slot) = &about.message.slot {
        environment.push(("MESSAGE_PRIORITY_SLOT", slot.into()));
    }
    match environment
        .iter()
        .find(|(_, value)| value.as_encoded_bytes().contains(&0))
    {
        Some((name, _)) => bail!("contains a NUL character, which {name} cannot hold"),
        None => Ok(environment),
    }
}

/// Milliseconds since the epoch with their fraction.
fn milliseconds(age: Duration) -> String {
    format!("{}.{:06}", age.as_millis(), age.subsec_nanos() % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_keeps_its_fraction_of_a_millisecond() {
        assert_eq!(
            milliseconds(Duration::new(1_700_000_000, 123_456_789)),
            "1700000000123.456789"
        );
        assert_eq!(milliseconds(Duration::new(5, 1)), "5000.000001");
    }
}
