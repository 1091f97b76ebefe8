//! Pure: what a person changes by editing the `.desired.json` file of one shadow, and when that file is out of date.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::delta;

/// A file that has not changed for this long has been written to its end.
const SETTLED: Duration = Duration::from_millis(150);

/// What is known of the `.desired.json` file of one shadow.
#[derive(Default)]
pub(super) struct DesiredFile {
    /// The text that was last read or written by us.
    text: Option<Vec<u8>>,
    /// A new text that is not settled, and since when the file has it.
    changing: Option<(Vec<u8>, Instant)>,
    /// What was desired when `text` was up to date.
    shown: Option<Map<String, Value>>,
    /// The text cannot be applied. The file is not replaced until somebody corrects or removes it.
    invalid: bool,
}

/// The section that a file holds, or why it holds none.
pub(super) type FileContent = Result<Map<String, Value>, String>;

impl DesiredFile {
    /// The file has this text now, or does not exist. Returns each edit once, when it has settled.
    pub(super) fn observed(&mut self, text: Option<Vec<u8>>, now: Instant) -> Option<FileContent> {
        if text.is_none() {
            self.invalid = false;
        }
        let Some(text) = text.filter(|text| self.text.as_ref() != Some(text)) else {
            self.changing = None;
            return None;
        };
        let since = match &self.changing {
            Some((same, since)) if *same == text => *since,
            Some(_) | None => now,
        };
        if now < since + SETTLED {
            self.changing = Some((text, since));
            return None;
        }
        Some(self.read(text))
    }

    /// The file has this text, and it is written to its end.
    pub(super) fn read(&mut self, text: Vec<u8>) -> FileContent {
        let content = parse(&text);
        (self.text, self.changing, self.invalid) = (Some(text), None, content.is_err());
        content
    }

    /// The edit was applied; this is desired now.
    pub(super) fn applied(&mut self, desired: Map<String, Value>) {
        self.shown = Some(desired);
    }

    /// The edit was rejected.
    pub(super) fn rejected(&mut self) {
        self.invalid = true;
    }

    /// Whether the file is removed with its shadow: not if an edit is to create a new shadow.
    pub(super) fn may_remove(&self) -> bool {
        self.shown.is_some() && !self.invalid
    }

    /// Whether the file has to be written because this is desired: not while it holds an edit.
    pub(super) fn outdated(&self, desired: &Map<String, Value>) -> bool {
        !self.invalid && self.changing.is_none() && self.shown.as_ref() != Some(desired)
    }

    /// Whether the file, which has this text now, may be replaced: not if somebody has just changed it.
    pub(super) fn may_replace(&self, text: Option<&Vec<u8>>) -> bool {
        text.is_none() || text == self.text.as_ref()
    }

    /// We have written the file.
    pub(super) fn written(&mut self, text: Vec<u8>, desired: Map<String, Value>) {
        (self.text, self.shown) = (Some(text), Some(desired));
    }
}

/// The section in a file, without its nulls.
pub(super) fn parse(text: &[u8]) -> FileContent {
    match serde_json::from_slice(text) {
        Ok(Value::Object(members)) => Ok(without_nulls(members)),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err("not a JSON object".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

fn without_nulls(members: Map<String, Value>) -> Map<String, Value> {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    let cleaned = present.map(|(key, value)| match value {
        Value::Object(members) => (key, without_nulls(members).into()),
        other => (key, other),
    });
    cleaned.collect()
}

/// What has to be merged into `current` to make it `wanted`. Empty if they are the same.
pub(super) fn changes(
    current: &Map<String, Value>,
    wanted: &Map<String, Value>,
) -> Map<String, Value> {
    let gone = current.keys().filter(|key| !wanted.contains_key(*key));
    let mut changes: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, new) in wanted {
        match (current.get(key), new) {
            (Some(Value::Object(current)), Value::Object(new)) => {
                let below = self::changes(current, new);
                if !below.is_empty() {
                    changes.insert(key.clone(), below.into());
                }
            }
            (Some(current), new) if delta::same(current, new) => {}
            (_, new) => drop(changes.insert(key.clone(), new.clone())),
        }
    }
    changes
}

#[cfg(test)]
#[path = "desired_file_tests.rs"]
mod tests;
