//! Pure: as much of a message's values as the log may show: they may be large, and are not its business.

use crate::json::compact;
use crate::text::shortened;

/// So many characters of a value are shown in the log.
const LONGEST: usize = 60;

/// A JSON value, compact and cut.
pub fn brief(value: &str) -> String {
    let beginning: String = value.chars().take(1000).collect();
    glimpse(&compact(&beginning))
}

/// The beginning of a text.
pub fn glimpse(text: &str) -> String {
    shortened(text, LONGEST)
}
