//! Pure: what a person says by editing the file of what is desired of one shadow, and when that file is out of date.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::delta;

/// A file that has not changed for so long has been written to its end.
const SETTLED: Duration = Duration::from_millis(150);

/// What is known of the file of one shadow.
#[derive(Default)]
pub(super) struct Mirror {
    /// The file as it was last read or written by us.
    text: Option<Vec<u8>>,
    /// Another text that it had lately, and since when.
    changing: Option<(Vec<u8>, Instant)>,
    /// What was desired when `text` was right.
    shown: Option<Map<String, Value>>,
    /// The file says something impossible. It is the person's until it is mended or removed.
    refused: bool,
}

/// What a person has written, or why it means nothing.
pub(super) type Wish = Result<Map<String, Value>, String>;

impl Mirror {
    /// The file has this text now, or is not there. What the person wants, once for each edit.
    pub(super) fn looked(&mut self, text: Option<Vec<u8>>, now: Instant) -> Option<Wish> {
        if text.is_none() {
            self.refused = false;
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
    pub(super) fn read(&mut self, text: Vec<u8>) -> Wish {
        let wish = parse(&text);
        (self.text, self.changing, self.refused) = (Some(text), None, wish.is_err());
        wish
    }

    /// What the person wants is desired now, in these words.
    pub(super) fn granted(&mut self, desired: Map<String, Value>) {
        self.shown = Some(desired);
    }

    /// What the person wants cannot be.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Whether the file goes with its shadow: not if a person makes a new shadow there.
    pub(super) fn may_go(&self) -> bool {
        self.shown.is_some() && !self.refused
    }

    /// Whether the file should say that this is desired and does not, nor does a person's edit wait in it.
    pub(super) fn outdated(&self, desired: &Map<String, Value>) -> bool {
        !self.refused && self.changing.is_none() && self.shown.as_ref() != Some(desired)
    }

    /// Whether the file, which has this text now, may be replaced: not if a person has just changed it.
    pub(super) fn may_replace(&self, text: Option<&Vec<u8>>) -> bool {
        text.is_none() || text == self.text.as_ref()
    }

    /// The file was written by us.
    pub(super) fn written(&mut self, text: Vec<u8>, desired: Map<String, Value>) {
        (self.text, self.shown) = (Some(text), Some(desired));
    }
}

/// A section as a file has it, without its nulls.
pub(super) fn parse(text: &[u8]) -> Wish {
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
    for (key, wish) in wanted {
        match (current.get(key), wish) {
            (Some(Value::Object(current)), Value::Object(wish)) => {
                let below = self::changes(current, wish);
                if !below.is_empty() {
                    changes.insert(key.clone(), below.into());
                }
            }
            (Some(current), wish) if delta::same(current, wish) => {}
            (_, wish) => drop(changes.insert(key.clone(), wish.clone())),
        }
    }
    changes
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
