//! Pure: what the interpreter's answers mean.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::shadow::device::definitions::Exported;
use crate::shadow::device::script::Verdict;
use crate::text::shortened;

/// A configuration is never larger: the shadow has 8 KB, and an outfile may add to it.
const LARGEST: usize = 64 * 1024;
/// A reason in a log line.
const LONGEST_REASON: usize = 500;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The time was over.
    Late(Duration),
    /// So many bytes were not enough.
    Memory(usize),
    Stack,
    Internal(String),
}

/// The object of a definition.
///
/// # Errors
/// Why there is none.
pub fn exported(answer: Result<Vec<String>, Failure>) -> Result<Exported, String> {
    let answer = answer.map_err(|failure| told(&failure))?;
    match &texts(&answer)[..] {
        ["exported", values, others] => Ok(Exported {
            values: object(values)?,
            others: object(others)?
                .into_iter()
                .map(|(name, kind)| (name, kind.as_str().unwrap_or_default().to_owned()))
                .collect(),
        }),
        ["failed", why] => Err(shortened(why, LONGEST_REASON)),
        other => Err(unexpected(other)),
    }
}

/// The verdict on `configuration`.
pub fn verdict(answer: Result<Vec<String>, Failure>, configuration: &Value) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return Verdict::Failed(format!("validate {}", told(&failure))),
    };
    match &texts(&answer)[..] {
        ["unchanged"] => Verdict::Accepted(configuration.clone()),
        ["removed"] | ["accepted", "null", _] => Verdict::Remove,
        ["accepted", text, before] => accepted(text, before, configuration),
        ["rejected", why] => Verdict::Rejected(shortened(why, LONGEST_REASON)),
        ["failed", why] => Verdict::Failed(shortened(why, LONGEST_REASON)),
        other => Verdict::Failed(format!("validate {}", unexpected(other))),
    }
}

fn texts(answer: &[String]) -> Vec<&str> {
    answer.iter().map(String::as_str).collect()
}

fn accepted(text: &str, before: &str, configuration: &Value) -> Verdict {
    if text.len() > LARGEST {
        return Verdict::Failed(format!(
            "validate returned {} bytes of JSON, more than the {LARGEST} allowed",
            text.len()
        ));
    }
    match (serde_json::from_str(text), serde_json::from_str(before)) {
        (Ok(result), Ok(before)) => {
            Verdict::Accepted(restored(result, &before, configuration.clone()))
        }
        (Err(error), _) | (_, Err(error)) => {
            Verdict::Failed(format!("validate returned what is not JSON here: {error}"))
        }
    }
}

/// The interpreter writes 1.0 as 1 and rounds what has more than 53 bits. What it returned just as
/// it would have written the `original`, which is `before`, is the original.
fn restored(result: Value, before: &Value, original: Value) -> Value {
    if result == *before {
        return original;
    }
    match (result, before, original) {
        (Value::Object(result), Value::Object(before), Value::Object(mut original)) => {
            let restored = result.into_iter().map(|(name, value)| {
                let value = match (before.get(&name), original.remove(&name)) {
                    (Some(before), Some(original)) => restored(value, before, original),
                    _ => value,
                };
                (name, value)
            });
            Value::Object(restored.collect())
        }
        (Value::Array(result), Value::Array(before), Value::Array(original))
            if result.len() == before.len() =>
        {
            let pairs = result.into_iter().zip(before).zip(original);
            let restored =
                pairs.map(|((value, before), original)| restored(value, before, original));
            Value::Array(restored.collect())
        }
        (result, _, _) => result,
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("exports what is not JSON here: {error}"))
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Late(limit) => format!("did not end within {} s", limit.as_secs_f64()),
        Failure::Memory(limit) => format!("needs more than {} KiB of memory", limit / 1024),
        Failure::Stack => "recurses too deeply".into(),
        Failure::Internal(what) => format!("stopped the interpreter: {what}"),
    }
}

fn unexpected(answer: &[&str]) -> String {
    let word = answer.first().unwrap_or(&"nothing");
    format!(
        "made the interpreter return '{}'",
        shortened(word, LONGEST_REASON)
    )
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
