//! Pure: what the keys of a definition mean, and what is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::object::{DefinitionReader, Exported};
use crate::format::Format;
use crate::shadow::device::script::Script;
use crate::shadow::device::service::{Output, Service, Validation};
use crate::suggest::nearest;

/// Every key of a definition.
pub const KEYS: [&str; 12] = [
    "key",
    "outfile",
    "outformat",
    "informat",
    "notifycmd",
    "outkeys",
    "notifykeys",
    "initialnotify",
    "validate",
    "validatecmd",
    "ephemeraldata",
    "timeout",
];

const LONGEST_KEY: usize = 255;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A good definition.
#[derive(Debug)]
pub struct Checked {
    pub service: Service,
    /// What in it has no effect.
    pub ignored: Vec<String>,
}

/// Makes a service of a definition's object.
///
/// # Errors
/// Everything that is wrong with it, in one sentence.
pub fn service(exported: Exported, script: &Script) -> Result<Checked, String> {
    let mut reader = DefinitionReader::new(exported);
    let key = key(&mut reader);
    let ephemeral = reader.flag("ephemeraldata");
    let mut ignored = Vec::new();
    let output = if ephemeral {
        ignored = unwritten(&mut reader);
        Some(Output::Ephemeral)
    } else {
        file(&mut reader)
    };
    let informat = reader.text("informat");
    let informat = reader.format("informat", informat);
    let notify = reader.mandatory(
        "notifycmd",
        "write a shell command, for example 'sv restart foo'",
    );
    let notify_keys = reader.texts("notifykeys");
    let initial_notify = reader.flag("initialnotify");
    let timeout = reader.seconds("timeout").unwrap_or(TIMEOUT);
    let validation = validation(&mut reader, script);
    ignored.extend(unknown(&mut reader));
    if let (Some(key), Some(output), Some(notify), []) = (key, output, notify, &reader.faults[..]) {
        let service = Service {
            file: script.file.clone(),
            key,
            output,
            informat: informat.unwrap_or(Format::Json),
            notify,
            notify_keys,
            initial_notify,
            timeout,
            validation,
        };
        return Ok(Checked { service, ignored });
    }
    reader.faults.extend(ignored);
    Err(reader.faults.join("; "))
}

fn key(reader: &mut DefinitionReader) -> Option<String> {
    let key = reader.mandatory(
        "key",
        "write the shadow's key (a file that others only require has a name that begins with '_')",
    )?;
    if key.len() > LONGEST_KEY {
        reader.fault("key", &format!("has more than {LONGEST_KEY} bytes"));
    } else if key.contains(char::is_control) {
        reader.fault("key", "contains a control character");
    }
    Some(key)
}

fn file(reader: &mut DefinitionReader) -> Option<Output> {
    let path = reader.mandatory(
        "outfile",
        "write the path of the file, or 'ephemeraldata: true' if there is to be none",
    );
    let format = reader.mandatory("outformat", "use JSON, SHELL or PLAINTEXT");
    let format = reader.format("outformat", format);
    let keys = reader.texts("outkeys");
    let path = path?;
    if !Path::new(&path).is_absolute() {
        reader.fault("outfile", &format!("is '{path}', not an absolute path"));
    } else if path.ends_with('/') || Path::new(&path).file_name().is_none() {
        reader.fault("outfile", &format!("is '{path}', not the path of a file"));
    }
    Some(Output::File {
        path: PathBuf::from(path),
        format: format?,
        keys,
    })
}

/// Without an outfile these have no effect.
fn unwritten(reader: &mut DefinitionReader) -> Vec<String> {
    ["outfile", "outformat", "outkeys"]
        .into_iter()
        .filter(|key| {
            let other = reader.exported.others.remove(*key).is_some();
            reader.exported.values.shift_remove(*key).is_some() || other
        })
        .map(|key| format!("key '{key}' is ignored, because of ephemeraldata nothing is written"))
        .collect()
}

fn validation(reader: &mut DefinitionReader, script: &Script) -> Validation {
    let function = reader
        .exported
        .others
        .get("validate")
        .is_some_and(|kind| kind == "a function");
    if function {
        reader.exported.others.remove("validate");
    } else {
        no_function(reader, script);
    }
    match reader.text("validatecmd") {
        Some(_) if function => {
            reader.fault(
                "validatecmd",
                "stands beside 'validate', remove one of them",
            );
            Validation::None
        }
        Some(command) => Validation::Command(command),
        None if function => Validation::Script(Arc::new(script.clone())),
        None => Validation::None,
    }
}

fn no_function(reader: &mut DefinitionReader, script: &Script) {
    let other = reader.exported.others.remove("validate").is_some();
    if reader.exported.values.shift_remove("validate").is_none() && !other {
        return;
    }
    if script.file.ends_with(".json") {
        reader.fault(
            "validate",
            "is a function and needs a .js file, use 'validatecmd' here",
        );
    } else {
        reader.fault("validate", "is not a function");
    }
}

/// What is left is nobody's. A key that begins with an underscore is a comment.
fn unknown(reader: &mut DefinitionReader) -> Vec<String> {
    let others = std::mem::take(&mut reader.exported.others);
    for (key, kind) in others.iter().filter(|(key, _)| !key.starts_with('_')) {
        let advice = "only 'validate' may be a function; keep others outside the exported object";
        reader.fault(key, &format!("is {kind}, {advice}"));
    }
    reader
        .exported
        .values
        .keys()
        .filter(|key| !key.starts_with('_'))
        .map(|key| match nearest(key, &KEYS) {
            Some(meant) => format!("unknown key '{key}' is ignored, did you mean '{meant}'?"),
            None => format!("unknown key '{key}' is ignored"),
        })
        .collect()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
