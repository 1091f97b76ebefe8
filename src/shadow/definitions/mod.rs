//! The service definitions of a directory: `*.js` and `*.json` files become services. What is wrong
//! with one of them never stops the others.

mod check;
mod files;
mod object;

pub use self::check::KEYS;
pub use self::object::Exported;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::check::Checked;
use self::files::Files;
use super::javascript;
use super::script::Script;
use super::service::Service;
use crate::file;

/// What a directory defines.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In the order of their file names; no two have the same key.
    pub services: Vec<Service>,
    /// One sentence for each file that is skipped, or is used although something in it is ignored.
    pub problems: Vec<String>,
}

/// Reads all definitions of `dir`, in the byte order of their file names.
///
/// Names that begin with a dot are ignored; those that begin with an underscore are there to be
/// required by others. Runs JavaScript: blocks, for a few seconds for each definition that does not
/// end by itself.
pub fn load(dir: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    let files = match Files::read(dir) {
        Ok(files) => files,
        Err(problem) => {
            loaded.problems.push(problem);
            return loaded;
        }
    };
    loaded.problems.extend(files.problems);
    let sources = Arc::new(files.sources);
    for file in sources.keys().filter(|file| !file.starts_with('_')) {
        let script = Script {
            file: file.clone(),
            sources: Arc::clone(&sources),
        };
        loaded.add(&dir.join(file), &script);
    }
    loaded
}

/// Reads the definitions of several directories of one shadow, in their order.
pub fn load_all(dirs: &[PathBuf]) -> Loaded {
    let mut all = Loaded::default();
    for dir in dirs {
        let loaded = load(dir);
        all.problems.extend(loaded.problems);
        for service in loaded.services {
            let path = dir.join(&service.file).display().to_string();
            all.take(service, &path);
        }
    }
    all
}

impl Loaded {
    fn add(&mut self, path: &Path, script: &Script) {
        let path = path.display();
        match definition(script) {
            Err(why) => self.problems.push(format!("{path} is skipped: {why}")),
            Ok(Checked { service, ignored }) => {
                if !ignored.is_empty() {
                    self.problems
                        .push(format!("{path}: {}", ignored.join("; ")));
                }
                self.take(service, &path.to_string());
            }
        }
    }

    /// Keeps a service, unless an earlier one has its key or its outfile.
    fn take(&mut self, service: Service, path: &str) {
        let earlier = self.services.iter().find_map(|other| {
            if other.key == service.key {
                Some((other, format!("key '{}'", service.key)))
            } else {
                let outfile = written_by(&service)?;
                (written_by(other).as_ref() == Some(&outfile))
                    .then(|| (other, format!("outfile {}", outfile.display())))
            }
        });
        match earlier {
            None => self.services.push(service),
            Some((first, what)) => self.problems.push(format!(
                "{path} is skipped: {what} belongs to {} already, use another one or remove one of them",
                first.file
            )),
        }
    }
}

/// Where the outfile really is, if one is written.
fn written_by(service: &Service) -> Option<PathBuf> {
    let real = file::resolved(service.outfile()?);
    (real != Path::new("/dev/null")).then_some(real)
}

fn definition(script: &Script) -> Result<Checked, String> {
    let exported = if script.file.ends_with(".js") {
        javascript::exported(script)?
    } else {
        Exported::from_json(script.text())?
    };
    check::service(exported, script)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(all(test, feature = "javascript"))]
#[path = "examples_tests.rs"]
mod examples;
