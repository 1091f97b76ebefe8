//! Pure: the formats of configuration and update files: a JSON value becomes bytes and comes back.
//! What a file is for, and where it lies, is known elsewhere.

mod json;
mod plaintext;
mod rendered;
mod shell;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::file::without_byte_order_mark;
use rendered::MOST_LEVELS;

pub use rendered::Rendered;

/// How a configuration is written and an update is read (manual, FORMATS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Plaintext,
    Shell,
}

impl Format {
    /// Writes `value`, the configuration without nulls; `Value::Null` is no configuration at all and
    /// gives `{}` in JSON and nothing in the others. The same value always gives the same bytes.
    ///
    /// # Errors
    /// Why this format cannot hold the value: its type, two members that become the same variable
    /// (both named), a NUL in a variable, `null` in an array.
    pub fn render(self, value: &Value) -> Result<Rendered, String> {
        if deeper_than(value, MOST_LEVELS) {
            return Err(format!("nested more than {MOST_LEVELS} levels deep"));
        }
        match self {
            Format::Json => json::render(value),
            Format::Plaintext => plaintext::render(value),
            Format::Shell => shell::render(value),
        }
    }

    /// Reads a file. `known` is what this file was last known to say (written or reported),
    /// `Value::Null` if nothing. Contents, and in SHELL every line, whose text is what `known` renders
    /// to are that document's value, with its type and its place. What was left out of a rendering
    /// does not come back. A byte order mark before the contents is skipped.
    ///
    /// # Errors
    /// What is wrong with the contents, with the line where there are lines.
    pub fn parse(self, contents: &[u8], known: &Value) -> Result<Value, String> {
        let known = if deeper_than(known, MOST_LEVELS) {
            &Value::Null
        } else {
            known
        };
        let bare = without_byte_order_mark(contents);
        // A text of the cloud may begin with one itself.
        let meant = || self.render(known).is_ok_and(|it| it.bytes == contents);
        let contents = if bare != contents && meant() {
            contents
        } else {
            bare
        };
        match self {
            Format::Json => json::parse(contents, known),
            Format::Plaintext => plaintext::parse(contents, known),
            Format::Shell => shell::parse(contents, known),
        }
    }
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    let deeper = |inner: &Value| deeper_than(inner, levels - 1);
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(deeper),
        Value::Object(members) => levels == 0 || members.values().any(deeper),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "JSON" => Ok(Format::Json),
            "PLAINTEXT" => Ok(Format::Plaintext),
            "SHELL" => Ok(Format::Shell),
            _ => Err(format!(
                "unknown format '{text}', use JSON, SHELL or PLAINTEXT"
            )),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Json => "JSON",
            Format::Plaintext => "PLAINTEXT",
            Format::Shell => "SHELL",
        })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
