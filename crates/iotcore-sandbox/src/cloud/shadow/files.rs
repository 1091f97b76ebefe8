//! The files of shadows: their names, reading them whole, and replacing them so that nobody reads half of one.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::name::ShadowName;

/// The file of `desired` or `reported`.
pub(super) fn path(dir: &Path, name: &ShadowName, section: &str) -> PathBuf {
    dir.join(format!("{name}.{section}.json"))
}

/// The shadows that have a file of this section, or of any section if it is empty. Other files in the directory, such as
/// the copies that editors make, are ignored.
pub(super) fn names(dir: &Path, section: &str) -> io::Result<BTreeSet<ShadowName>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let file = entry?.file_name();
        let found = file.to_str().and_then(|file| name(file, section));
        names.extend(found);
    }
    Ok(names)
}

fn name(file: &str, section: &str) -> Option<ShadowName> {
    let (stem, found) = file.strip_suffix(".json")?.rsplit_once('.')?;
    let fits = matches!(found, "desired" | "reported") && (section.is_empty() || section == found);
    let name = match stem.split_once('~') {
        None => ShadowName::new(stem, None),
        Some((thing, shadow)) => ShadowName::new(thing, Some(shadow)),
    };
    name.filter(|_| fits)
}

/// The whole text of a regular file; `None` if there is none.
pub(super) fn read(file: &Path) -> Option<Vec<u8>> {
    // Reading a pipe would wait for its writer.
    let regular = std::fs::metadata(file).is_ok_and(|known| known.is_file());
    regular.then(|| std::fs::read(file).ok()).flatten()
}

/// Replaces a file atomically. Returns its new text.
pub(super) fn replace(file: &Path, section: &Map<String, Value>) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(section)?;
    text.push(b'\n');
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}.new"));
    std::fs::write(&new, &text)?;
    std::fs::rename(&new, file)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_says_which_shadow_it_is_of() {
        let check = |file: &str, expected: Option<&str>| {
            let found = name(file, "desired").map(|name| name.to_string());
            assert_eq!(found.as_deref(), expected, "{file}");
        };
        check("t.desired.json", Some("t"));
        check("t~s.desired.json", Some("t~s"));
        check("t:1_-.desired.json", Some("t:1_-"));
        check("t.reported.json", None);
        check(".t.desired.json.new", None);
        check(".t.desired.json.swp", None);
        check("t.desired.json~", None);
        check("#t.desired.json#", None);
        check("t~s~u.desired.json", None);
        check("a.b.desired.json", None);
        check("t.json", None);
        assert_eq!(
            name("t.reported.json", "").map(|name| name.thing),
            Some("t".to_owned())
        );
    }

    #[test]
    fn a_file_is_replaced_by_readable_json() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.desired.json");
        std::fs::write(&file, "old").unwrap();
        let section = serde_json::json!({ "a": { "b": 1 } });
        let text = replace(&file, section.as_object().unwrap()).unwrap();
        assert_eq!(read(&file), Some(text.clone()));
        assert_eq!(text, b"{\n  \"a\": {\n    \"b\": 1\n  }\n}\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(read(dir.path()), None, "a directory is no file");
    }
}
