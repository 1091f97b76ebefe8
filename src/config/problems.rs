//! What is wrong with a command line: collected, so that all of it is reported at once.

use std::path::PathBuf;

/// What is wrong with the command line, one sentence each.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<String>);

impl Problems {
    pub fn add(&mut self, option: &str, value: &str, why: &str) {
        self.0.push(format!("--{option}={value}: {why}"));
    }

    pub fn missing(&mut self, option: &str, what: &str) {
        self.0.push(format!("--{option} is missing: {what}"));
    }

    pub fn mandatory(&mut self, option: &str, value: Option<&String>, what: &str) -> PathBuf {
        match value {
            Some(value) if value.is_empty() => self.add(option, value, "is empty"),
            Some(_) => {}
            None => self.missing(option, what),
        }
        value.map(PathBuf::from).unwrap_or_default()
    }

    pub fn optional<T>(
        &mut self,
        option: &str,
        value: Option<&String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value?;
        read(value)
            .map_err(|why| self.add(option, value, &why))
            .ok()
    }
}
