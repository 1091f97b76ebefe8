//! Pure: the object that a definition is, and its keys by type. What is wrong is collected, so that
//! a person sees them all at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::format::Format;
use crate::json::Kind;

/// A command may take this long at most: a day.
const LONGEST: f64 = 86_400.0;
const SHORTEST: f64 = 0.001;

/// The object of a definition, from JSON or from JavaScript.
#[derive(Debug, Default, PartialEq)]
pub struct Exported {
    pub values: Map<String, Value>,
    /// Name to kind ("a function") of what JSON cannot hold.
    pub others: BTreeMap<String, String>,
}

impl Exported {
    /// # Errors
    /// Not a JSON object, with line and column.
    pub fn from_json(text: &str) -> Result<Exported, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(values)) => Ok(Exported {
                values,
                others: BTreeMap::new(),
            }),
            Ok(other) => Err(format!("is {}, not an object", Kind::of(&other))),
            Err(_) if text.trim().is_empty() => Err("is empty".into()),
            Err(error) => Err(format!("not JSON: {error}")),
        }
    }
}

/// Takes the keys out of a definition one by one.
#[derive(Debug)]
pub struct DefinitionReader {
    pub exported: Exported,
    pub faults: Vec<String>,
}

impl DefinitionReader {
    pub fn new(exported: Exported) -> DefinitionReader {
        DefinitionReader {
            exported,
            faults: Vec::new(),
        }
    }

    pub fn fault(&mut self, key: &str, wrong: &str) {
        self.faults.push(format!("key '{key}' {wrong}"));
    }

    /// A value of JSON's; anything else is a fault.
    fn value(&mut self, key: &str, wanted: &str) -> Option<Value> {
        if let Some(kind) = self.exported.others.remove(key) {
            self.fault(key, &format!("is {kind}, not {wanted}"));
        }
        self.exported.values.shift_remove(key)
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key, "a string")? {
            Value::String(text) if text.is_empty() => self.fault(key, "is empty"),
            Value::String(text) if text.contains('\0') => self.fault(key, "contains a NUL"),
            Value::String(text) => return Some(text),
            other => self.fault(key, &format!("is {}, not a string", Kind::of(&other))),
        }
        None
    }

    /// As [`Reader::text`], and its absence is a fault: `missing` says what to write.
    pub fn mandatory(&mut self, key: &str, missing: &str) -> Option<String> {
        let known =
            self.exported.values.contains_key(key) || self.exported.others.contains_key(key);
        if !known {
            self.fault(key, &format!("is missing, {missing}"));
        }
        self.text(key)
    }

    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        const WANTED: &str = "an array of strings";
        let Value::Array(values) = self.value(key, WANTED)? else {
            self.fault(key, &format!("is not {WANTED}"));
            return None;
        };
        let mut texts = Vec::new();
        for value in values {
            match value {
                Value::String(text) => texts.push(text),
                other => {
                    self.fault(
                        key,
                        &format!("contains {}, not only strings", Kind::of(&other)),
                    );
                    return None;
                }
            }
        }
        Some(texts)
    }

    /// `false` when absent.
    pub fn flag(&mut self, key: &str) -> bool {
        match self.value(key, "true or false") {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.fault(key, &format!("is {}, not true or false", Kind::of(&other)));
                false
            }
        }
    }

    pub fn seconds(&mut self, key: &str) -> Option<Duration> {
        let value = self.value(key, "a number of seconds")?;
        match value.as_f64() {
            Some(seconds) if (SHORTEST..=LONGEST).contains(&seconds) => {
                return Some(Duration::from_secs_f64(seconds));
            }
            Some(seconds) => self.fault(
                key,
                &format!("is {seconds}, use seconds from {SHORTEST} to {LONGEST}"),
            ),
            None => self.fault(
                key,
                &format!("is {}, not a number of seconds", Kind::of(&value)),
            ),
        }
        None
    }

    pub fn format(&mut self, key: &str, text: Option<String>) -> Option<Format> {
        let parsed = text?.parse();
        parsed
            .map_err(|why: String| self.fault(key, &format!("is wrong: {why}")))
            .ok()
    }
}
