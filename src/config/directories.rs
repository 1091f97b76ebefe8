//! Action directories: every one has a single owner.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::problems::Problems;
use super::values::resolved;

/// Whose directories have been seen so far.
#[derive(Default)]
pub struct Directories {
    seen: HashMap<PathBuf, (String, PathBuf)>,
}

impl Directories {
    /// Takes note of a directory of this option; one that has an owner already is a problem.
    pub fn claim(&mut self, option: &str, dir: &Path, problems: &mut Problems) {
        let shown = dir.display().to_string();
        if shown.is_empty() {
            return problems.add(option, &shown, "is empty, name a directory");
        }
        let owner = (option.to_owned(), dir.to_owned());
        let Some((other, path)) = self.seen.insert(resolved(dir), owner) else {
            return;
        };
        let why = if other != option {
            format!(
                "serves --{other}={} already, use another one",
                path.display()
            )
        } else if path == dir {
            "given twice, every directory once".to_owned()
        } else {
            format!(
                "the same directory as {}, every directory once",
                path.display()
            )
        };
        problems.add(option, &shown, &why);
    }
}
