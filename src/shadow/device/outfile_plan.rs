//! Pure: what a service makes of its present file and of what it is asked for.

use serde_json::{Map, Value};

use super::service::{Output, Service};
use crate::format::{Format, Rendered};
use crate::shadow::document::{kept, merge, only, same, without_nulls};

/// What the outfile says.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    /// `None`: there is no file.
    pub bytes: Option<Vec<u8>>,
    /// `null`: nothing, or nothing that can be read.
    pub value: Value,
    /// What new settings are merged into.
    pub base: Value,
}

/// What to do with the outfile.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Nothing,
    /// The text stays as it is, and means something else: `'7'` was a string and is a number now.
    Meaning(Vec<u8>),
    These {
        bytes: Vec<u8>,
        notify: bool,
    },
}

/// The base with a desired value or an update merged in, as validation sees it.
pub fn asked_for(base: &Value, patch: &Value) -> Value {
    let mut config = base.clone();
    merge(&mut config, patch);
    without_nulls(config)
}

/// The part of a configuration that is written and compared.
pub fn written(service: &Service, config: &Value) -> Value {
    match &service.output {
        Output::Ephemeral => Value::Null,
        Output::File { keys: None, .. } => config.clone(),
        Output::File {
            keys: Some(keys), ..
        } => only(config, keys),
    }
}

/// The file's text for a configuration.
///
/// # Errors
/// The format cannot say it.
pub fn rendered(service: &Service, config: &Value) -> Result<Option<Rendered>, String> {
    match &service.output {
        Output::Ephemeral => Ok(None),
        Output::File { format, .. } => {
            let rendered = format.render(&written(service, config));
            rendered.map(Some)
        }
    }
}

/// The configuration without what the format has left out of the file: what is reported is what is
/// there.
pub fn as_rendered(service: &Service, config: Value, rendered: &Rendered) -> Value {
    let Output::File { format, keys, .. } = &service.output else {
        return config;
    };
    if rendered.warnings.is_empty() {
        return config;
    }
    match (format.parse(&rendered.bytes, &config), keys, config) {
        (Ok(Value::Object(mut read)), Some(keys), Value::Object(members)) => {
            read.extend(members.into_iter().filter(|(key, _)| !keys.contains(key)));
            read.into()
        }
        (Ok(read), _, _) => read,
        (Err(_), _, config) => config,
    }
}

/// Whether the file's text alone would be read as another configuration: `"7"` as a number,
/// `my_key` as a member of `my`.
pub fn worth_knowing(service: &Service, bytes: &[u8], written: &Value) -> bool {
    match &service.output {
        Output::Ephemeral => false,
        Output::File { format, .. } => {
            let read = format.parse(bytes, &Value::Null);
            !read.is_ok_and(|read| kept(&read) == kept(written))
        }
    }
}

/// Compares the configuration with the file.
pub fn compare(service: &Service, present: &Present, config: &Value, bytes: Vec<u8>) -> Write {
    let (old, new) = (written(service, &present.value), written(service, config));
    let nothing = |document: &Value| kept(document).is_none();
    let legible = present.bytes.is_none() || !present.value.is_null() || bytes.is_empty();
    let unchanged = legible && (same(&old, &new) || (nothing(&old) && nothing(&new)));
    if unchanged {
        return Write::Nothing;
    }
    if present.bytes.as_ref() == Some(&bytes) {
        return Write::Meaning(bytes);
    }
    let notify = match &service.notify_keys {
        None => true,
        Some(keys) => !same(&chosen(&old, keys), &chosen(&new, keys)),
    };
    Write::These { bytes, notify }
}

fn chosen(config: &Value, keys: &[String]) -> Value {
    match config {
        Value::Null => Value::Object(Map::new()),
        config => only(config, keys),
    }
}

/// What an update file asks for beyond the members that its service writes: it is reported as the
/// validated configuration has it. `null` removes them all.
pub fn beyond(service: &Service, patch: &Value, config: &Value) -> Option<Value> {
    let Output::File {
        keys: Some(keys), ..
    } = &service.output
    else {
        return None;
    };
    if patch.is_null() && config.is_null() {
        return Some(Value::Null);
    }
    let changes = patch.as_object()?;
    let rest: Map<String, Value> = changes
        .keys()
        .filter(|key| !keys.contains(key))
        .map(|key| {
            let removed = changes.get(key).is_none_or(Value::is_null);
            let value = config.get(key).filter(|_| !removed);
            (key.clone(), value.cloned().unwrap_or_default())
        })
        .collect();
    (!rest.is_empty()).then(|| rest.into())
}

/// Reads the file.
///
/// # Errors
/// It is malformed, or says what could not be written again: then nothing could ever be merged into
/// it.
pub fn parsed(format: Format, bytes: &[u8], known: &Value) -> Result<Value, String> {
    let parsed = format.parse(bytes, known).map(without_nulls);
    let value = parsed.map_err(|why| format!("is not {format}: {why}"))?;
    match format.render(&value) {
        Ok(_) => Ok(value),
        Err(why) => Err(format!("is not {format} that a shadow can hold: {why}")),
    }
}
