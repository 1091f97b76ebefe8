//! Pure: a document whose measured parts are between marks, so that each can be replaced by a new
//! measurement while everything around it stays as it was written.

/// Puts `text` between the marks of `name`. Without such marks both are added at the end.
pub fn replaced(document: &str, name: &str, text: &str) -> String {
    let (begin, end) = marks(name);
    let block = format!("{begin}\n\n{}\n\n{end}", text.trim());
    let inner = document
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match inner {
        Some((before, after)) => format!("{before}{block}{after}"),
        None if document.trim().is_empty() => format!("{block}\n"),
        None => format!("{}\n\n{block}\n", document.trim_end()),
    }
}

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- measured: {name} -->"),
        format!("<!-- end: {name} -->"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "# Figures\n\n<!-- measured: a -->\n\nold\n\n<!-- end: a -->\n\nWhy.\n";

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let expected = "# Figures\n\n<!-- measured: a -->\n\nnew\n\n<!-- end: a -->\n\nWhy.\n";
        assert_eq!(replaced(WRITTEN, "a", "new\n"), expected);
    }

    #[test]
    fn the_same_measurement_changes_nothing() {
        assert_eq!(replaced(WRITTEN, "a", "old"), WRITTEN);
    }

    #[test]
    fn what_has_no_place_yet_comes_at_the_end() {
        let both = replaced(WRITTEN, "b", "more");
        assert!(both.starts_with(WRITTEN));
        assert!(both.ends_with("\n\n<!-- measured: b -->\n\nmore\n\n<!-- end: b -->\n"));
    }

    #[test]
    fn a_new_document_begins_with_the_first_measurement() {
        let new = replaced("", "a", "x");
        assert_eq!(new, "<!-- measured: a -->\n\nx\n\n<!-- end: a -->\n");
    }
}
