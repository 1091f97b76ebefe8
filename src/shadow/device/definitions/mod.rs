//! The service definitions of a directory: `*.js` and `*.json` files become services. What is wrong
//! with one of them never stops the others.

pub mod check;
mod files;
mod object;

#[cfg(feature = "javascript")]
pub use self::check::KEYS;
pub use self::object::Exported;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use self::check::Checked;
use self::files::Files;
use super::javascript;
use super::script::Script;
use super::service::Service;
use crate::file;
use crate::offload::{self, Lost};

/// What a directory defines.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In the order of their file names; no two have the same key.
    pub services: Vec<Service>,
    /// One sentence for each file that is skipped, or is used although something in it is ignored.
    pub problems: Vec<String>,
    /// Those that are skipped, and whose key nobody else answers for.
    pub unusable: Vec<Unusable>,
}

/// A definition that is not used until a person has repaired it and the daemon is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub path: PathBuf,
    /// `None`: it may be any.
    key: Option<String>,
}

impl Unusable {
    /// Whether this may be the definition of `key`.
    pub fn may_define(&self, key: &str) -> bool {
        self.key.as_ref().is_none_or(|own| own == key)
    }
}

/// Reads all definitions of `dir`, in the byte order of their file names.
///
/// Names that begin with a dot are ignored; those that begin with an underscore are there to be
/// required by others. Runs JavaScript: blocks, for a few seconds for each definition that does not
/// end by itself.
///
/// # Errors
/// No thread can be made to run it on: a shortage.
pub fn load(dir: &Path) -> Result<Loaded, Lost> {
    let mut loaded = Loaded::default();
    let files = match Files::read(dir) {
        Ok(files) => files,
        Err(problem) => {
            loaded.problems.push(problem);
            loaded.skip(dir.to_owned(), None);
            return Ok(loaded);
        }
    };
    for (path, why) in files.unusable {
        loaded.tell(&path, &why);
        let library = path.file_name().is_some_and(|name| {
            let name = name.as_encoded_bytes();
            name.starts_with(b"_")
        });
        if !library {
            loaded.skip(path, None);
        }
    }
    let sources = Arc::new(files.sources);
    for file in sources.keys().filter(|file| !file.starts_with('_')) {
        let script = Script {
            file: file.clone(),
            sources: Arc::clone(&sources),
        };
        loaded.add(dir.join(file), &script)?;
    }
    Ok(loaded)
}

/// Reads the definitions of several directories of one shadow, in their order. Blocks as [`load`].
///
/// # Errors
/// As [`load`].
pub fn load_all(dirs: &[PathBuf]) -> Result<Loaded, Lost> {
    let mut all = Loaded::default();
    for dir in dirs {
        let loaded = load(dir)?;
        all.problems.extend(loaded.problems);
        all.unusable.extend(loaded.unusable);
        for service in loaded.services {
            let path = dir.join(&service.file);
            all.take(service, path);
        }
    }
    Ok(all)
}

impl Loaded {
    fn add(&mut self, path: PathBuf, script: &Script) -> Result<(), Lost> {
        let exported = match exported(script)? {
            Ok(exported) => exported,
            Err(why) => {
                self.skip_because(path, None, &why);
                return Ok(());
            }
        };
        let key = exported.values.get("key").and_then(Value::as_str);
        let key = key.map(str::to_owned);
        match check::service(exported, script) {
            Err(why) => self.skip_because(path, key, &why),
            Ok(Checked { service, ignored }) => {
                if !ignored.is_empty() {
                    let problem = format!("{}: {}", path.display(), ignored.join("; "));
                    self.problems.push(problem);
                }
                self.take(service, path);
            }
        }
        Ok(())
    }

    fn skip_because(&mut self, path: PathBuf, key: Option<String>, why: &str) {
        self.tell(&path, why);
        self.skip(path, key);
    }

    fn tell(&mut self, path: &Path, why: &str) {
        self.problems
            .push(format!("{} is skipped: {why}", path.display()));
    }

    fn skip(&mut self, path: PathBuf, key: Option<String>) {
        self.unusable.push(Unusable { path, key });
    }

    /// Keeps a service, unless an earlier one has its key or its outfile.
    fn take(&mut self, service: Service, path: PathBuf) {
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
            Some((first, what)) => {
                let why = format!(
                    "{what} belongs to {} already, use another one or remove one of them",
                    first.file
                );
                self.skip_because(path, Some(service.key), &why);
            }
        }
    }
}

/// The object of a definition, or why there is none.
fn exported(script: &Script) -> Result<Result<Exported, String>, Lost> {
    if !script.file.ends_with(".js") {
        return Ok(Exported::from_json(script.text()));
    }
    let script = script.clone();
    match offload::wait_within(javascript::PATIENCE, move || javascript::exported(&script)) {
        Ok(exported) => Ok(exported),
        Err(lost @ Lost::NoThread(_)) => Err(lost),
        Err(lost) => Ok(Err(lost.to_string())),
    }
}

/// Where the outfile really is, if one is written.
fn written_by(service: &Service) -> Option<PathBuf> {
    let real = file::resolved(service.outfile()?);
    (real != Path::new("/dev/null")).then_some(real)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(all(test, feature = "javascript"))]
#[path = "examples_tests.rs"]
mod examples;
