//! What the targets share: how one input becomes several texts, and values that they hold.

use serde_json::Value;

/// Between two texts of an input: no byte of UTF-8.
const SEPARATOR: u8 = 0xff;

/// The first two texts of an input.
pub fn two(data: &[u8]) -> (&[u8], &[u8]) {
    let mut texts = data.splitn(2, |byte| *byte == SEPARATOR);
    let mut next = || texts.next().unwrap_or_default();
    (next(), next())
}

/// A value of JSON. `None` also for one with names that the parser keeps for itself: it takes their objects
/// for numbers.
pub fn value(text: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(text).ok()?;
    (!value.to_string().contains("$serde_json")).then_some(value)
}

/// Whether it can be a part of a line of the log: one line, and nothing that changes a terminal.
pub fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
