//! Pure: text from outside, cut for a line of the log.

/// At most `most` characters of it, with "…" for what was cut off.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
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
}
