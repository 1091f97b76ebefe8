//! Asks a service's validation about a configuration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use log::error;
use serde_json::Value;

use super::javascript;
use super::script::{Script, Verdict};
use super::service::{Service, Validation};
use crate::file::without_byte_order_mark;
use crate::offload::{self, Lost};
use crate::process;
use crate::transient;

/// A command has this long.
const LIMIT: Duration = Duration::from_secs(5);
/// Calls of one service that may hang at one time.
const MOST_ABANDONED: u32 = 2;
/// A configuration is not larger than this.
const LARGEST: u64 = 64 * 1024;

/// The validation of one service.
#[derive(Debug)]
pub struct Validator {
    /// How long its script is waited for.
    patience: Duration,
    /// Calls of the script that have not come to an end and never may: each holds a thread.
    abandoned: u32,
}

impl Validator {
    pub fn new(patience: Duration) -> Validator {
        Validator {
            patience,
            abandoned: 0,
        }
    }

    /// Too many calls have not come to an end: none is made any more.
    pub fn is_disabled(&self) -> bool {
        self.abandoned >= MOST_ABANDONED
    }

    /// A person asks to try it again.
    pub fn enable(&mut self) {
        self.abandoned = 0;
    }

    /// What the validation says about a whole configuration. The removal of all of it needs no
    /// consent.
    ///
    /// # Errors
    /// The machine is short of something, or the validation is disabled: nothing is known, ask again
    /// later.
    pub async fn verdict(&mut self, service: &Service, config: Value) -> Result<Verdict> {
        match &service.validation {
            _ if config.is_null() => Ok(Verdict::Remove),
            Validation::None => Ok(Verdict::Accepted(config)),
            Validation::Command(line) => command(service, line, config).await,
            Validation::Script(script) => self.script(service, script, config).await,
        }
    }

    async fn script(
        &mut self,
        service: &Service,
        script: &Arc<Script>,
        config: Value,
    ) -> Result<Verdict> {
        if self.is_disabled() {
            bail!(
                "validate of {} was abandoned {MOST_ABANDONED} times without an end and is not called again until SIGHUP",
                service.file
            );
        }
        let script = Arc::clone(script);
        let asked = move || javascript::validate(&script, &config);
        match offload::within(self.patience, asked).await {
            Ok(verdict) => Ok(verdict),
            Err(Lost::Overdue(limit)) => {
                self.abandon(service);
                let limit = limit.as_secs_f64();
                Ok(Verdict::Failed(format!(
                    "validate did not end within {limit} s and cannot be interrupted"
                )))
            }
            Err(lost) => Err(lost).context("cannot call validate"),
        }
    }

    fn abandon(&mut self, service: &Service) {
        self.abandoned += 1;
        if self.is_disabled() {
            error!(
                "{}: validate of {} was abandoned {MOST_ABANDONED} times without an end: desired values and update files wait until SIGHUP, which tries it again",
                service.key, service.file
            );
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
        Err(error) if transient::chain_is_transient(&error) => return Err(error),
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

#[cfg(all(test, feature = "javascript"))]
#[path = "validate_tests.rs"]
mod tests;
