//! Pure: which name a person may have meant.

/// So many letters may differ.
const NEAR: usize = 2;

/// The one of `names` that `mistyped` looks like, if any.
pub fn nearest<'a>(mistyped: &str, names: &[&'a str]) -> Option<&'a str> {
    let mistyped = mistyped.to_lowercase();
    let begun = || {
        let begins = |name: &&&str| mistyped.len() >= 3 && name.starts_with(&mistyped);
        names.iter().find(begins).copied()
    };
    names
        .iter()
        .map(|name| (distance(&mistyped, name), *name))
        .filter(|(distance, _)| *distance <= NEAR)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
        .or_else(begun)
}

/// How many letters must be added, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(x != *y);
            row.push(replaced.min(above[j + 1] + 1).min(row[j] + 1));
        }
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_right_one() {
        let names = ["key", "outfile", "outkeys", "notifycmd", "timeout"];
        for (mistyped, expected) in [
            ("Key", Some("key")),
            ("outkey", Some("outkeys")),
            ("outFile", Some("outfile")),
            ("outfiel", Some("outfile")),
            ("notify", Some("notifycmd")),
            ("time", Some("timeout")),
            ("k", Some("key")),
            ("description", None),
            ("", None),
            ("\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}", None),
        ] {
            assert_eq!(nearest(mistyped, &names), expected, "{mistyped}");
        }
    }
}
