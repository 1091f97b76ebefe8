//! Pure: what all formats share: their result, their bound, and how they quote a text in a message.

/// Deeper values are refused. The cloud allows far less, JSON readers somewhat more, and nothing that
/// walks a value may run out of stack.
pub const MOST_LEVELS: usize = 100;

/// A configuration as its file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub bytes: Vec<u8>,
    /// What was left out and why, one sentence each, for the log. Never more than 21.
    pub warnings: Vec<String>,
}

impl Rendered {
    pub fn whole(bytes: Vec<u8>) -> Rendered {
        Rendered {
            bytes,
            warnings: Vec::new(),
        }
    }
}

/// Text from outside, escaped and cut for a message.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= LONGEST {
            return shown + "...";
        }
        shown.extend(c.escape_debug());
    }
    shown
}
