//! One call of a definition: with its limits, the environment, and its words to the log.

use log::{debug, error, info, warn};
use serde_json::{Map, Value};

use super::answer;
use super::engine::{self, Level, Limits, ScriptCall, ScriptLine};
use crate::shadow::device::definitions::Exported;
use crate::shadow::device::script::{Script, Verdict};

const LIMITS: Limits = Limits {
    time: super::LIMIT,
    memory: 8 * 1024 * 1024,
    // A quarter of what a thread has.
    stack: 512 * 1024,
};

/// Runs a definition and looks at what it exports. Blocks, for 5 s unless the interpreter
/// cannot be interrupted.
///
/// # Errors
/// It does not load, with file, line and column where they are known.
pub fn exported(script: &Script) -> Result<Exported, String> {
    let ran = engine::run(script, &environment(), &ScriptCall::Load, &LIMITS);
    log_all(&script.file, &ran.said);
    answer::exported(ran.answer)
}

/// Asks the definition's `validate` about a configuration. Blocks as [`exported`].
///
/// Where the result is the configuration that was given, so are its numbers: the interpreter's
/// shorter ones replace only what the function changed.
pub fn validate(script: &Script, configuration: &Value) -> Verdict {
    validate_within(script, configuration, &LIMITS)
}

fn validate_within(script: &Script, configuration: &Value, limits: &Limits) -> Verdict {
    let task = ScriptCall::Validate(configuration.to_string());
    let ran = engine::run(script, &environment(), &task, limits);
    log_all(&script.file, &ran.said);
    answer::verdict(ran.answer, configuration)
}

/// The daemon's environment as a JSON object.
fn environment() -> String {
    let variables: Map<String, Value> = std::env::vars_os()
        .map(|(name, value)| {
            let value = value.to_string_lossy().into_owned();
            (name.to_string_lossy().into_owned(), Value::String(value))
        })
        .collect();
    Value::Object(variables).to_string()
}

fn log_all(file: &str, said: &[ScriptLine]) {
    for ScriptLine { level, text } in said {
        match level {
            Level::Error => error!("{file}: {text}"),
            Level::Warn => warn!("{file}: {text}"),
            Level::Info => info!("{file}: {text}"),
            Level::Debug => debug!("{file}: {text}"),
        }
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
