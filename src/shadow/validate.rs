//! Asks a service's validation about a configuration.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::javascript;
use super::script::Verdict;
use super::service::{Service, Validation};
use crate::file::without_byte_order_mark;
use crate::process;
use crate::shortage;

/// A command has this long.
const LIMIT: Duration = Duration::from_secs(5);
/// A configuration is not larger than this.
const LARGEST: u64 = 64 * 1024;

/// What the validation says about a whole configuration. The removal of all of it needs no consent.
///
/// # Errors
/// The machine is short of something: nothing is known, ask again later.
pub async fn verdict(service: &Service, config: Value) -> Result<Verdict> {
    match &service.validation {
        _ if config.is_null() => Ok(Verdict::Remove),
        Validation::None => Ok(Verdict::Accepted(config)),
        Validation::Command(line) => command(service, line, config).await,
        Validation::Script(script) => {
            let script = script.clone();
            spawn_blocking(move || javascript::validate(&script, &config))
                .await
                .context("a thread failed")
        }
    }
}

/// The configuration is on the command's standard input. What it prints is used instead; if it
/// prints nothing, the configuration stays as it is.
async fn command(service: &Service, line: &str, config: Value) -> Result<Verdict> {
    let label = format!("validatecmd of {}", service.file);
    let task = process::shell(&label, line, LIMIT).stdin(config.to_string().into_bytes());
    let printed = match task.output(LARGEST).await {
        Ok(printed) => printed,
        Err(error) if shortage::is_in(&error) => return Err(error),
        Err(error) => return Ok(Verdict::Rejected(format!("{error:#}"))),
    };
    let printed = without_byte_order_mark(&printed);
    if printed.trim_ascii().is_empty() {
        return Ok(Verdict::Accepted(config));
    }
    Ok(match serde_json::from_slice(printed) {
        Ok(Value::Null) => Verdict::Remove,
        Ok(fixed) => Verdict::Accepted(fixed),
        Err(error) => Verdict::Failed(format!("{label} printed what is not JSON: {error}")),
    })
}
