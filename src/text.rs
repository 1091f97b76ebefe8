//! Pure: text from outside, cut for a line of the log.

/// At most `most` characters of it, with "…" for what was cut off.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The same of text that somebody else has made: control characters are escaped, so that it cannot
/// forge a line or change a terminal.
pub fn printable(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in shortened(text, most).chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_seen() {
        assert_eq!(shortened("grün", 4), "grün");
        assert_eq!(shortened("grüner", 3), "grü…");
        assert_eq!(shortened("", 0), "");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            printable("a\r\nb\u{1b}[1mgrün\u{85}", 99),
            "a\\r\\nb\\u{1b}[1mgrün\\u{85}"
        );
        assert_eq!(printable("\n\n\n", 2), "\\n\\n…");
    }
}
