//! Pure: a shadow's document: two sections of JSON, each with the times at which its leaves were written.

use serde_json::{Map, Value, json};

use super::payload::{self, Change};

/// The content of one shadow.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub desired: Section,
    pub reported: Section,
    pub version: u64,
}

/// `desired` or `reported`. An empty one counts as absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    pub state: Map<String, Value>,
    /// Like `state`, with `{"timestamp": seconds}` instead of each leaf.
    pub metadata: Map<String, Value>,
}

/// Merges changes into a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merger {
    /// Seconds since the epoch.
    pub timestamp: u64,
    pub drops_empty_objects: bool,
}

impl Document {
    /// Bytes that count towards the quota.
    pub(super) fn size(&self) -> usize {
        let sections = [&self.desired, &self.reported];
        let present = sections.iter().filter(|section| !section.state.is_empty());
        present.map(|section| payload::size(&section.state)).sum()
    }

    /// The sections that are not empty, by name: their state, and their metadata.
    pub(super) fn sections(&self) -> (Map<String, Value>, Map<String, Value>) {
        let (mut state, mut metadata) = (Map::new(), Map::new());
        for (name, section) in [("desired", &self.desired), ("reported", &self.reported)] {
            if !section.state.is_empty() {
                state.insert(name.to_owned(), section.state.clone().into());
                metadata.insert(name.to_owned(), section.metadata.clone().into());
            }
        }
        (state, metadata)
    }
}

impl Section {
    pub(super) fn apply(&mut self, change: &Change, merger: Merger) {
        match change {
            Change::Untouched => {}
            Change::Cleared => *self = Section::default(),
            Change::Merged(members) => merger.merge(&mut self.state, &mut self.metadata, members),
        }
    }
}

impl Merger {
    fn merge(
        self,
        state: &mut Map<String, Value>,
        metadata: &mut Map<String, Value>,
        incoming: &Map<String, Value>,
    ) {
        for (key, value) in incoming {
            let (old, stamps) = (state.remove(key), metadata.remove(key));
            let (new, stamps) = match value {
                Value::Null => continue,
                Value::Object(members) => match self.merged(old, stamps, members) {
                    Some(merged) => merged,
                    None => continue,
                },
                leaf => (leaf.clone(), stamped(leaf, self.timestamp)),
            };
            state.insert(key.clone(), new);
            metadata.insert(key.clone(), stamps);
        }
    }

    /// The old object with `members` merged into it; `None` if nothing is left.
    fn merged(
        self,
        old: Option<Value>,
        stamps: Option<Value>,
        members: &Map<String, Value>,
    ) -> Option<(Value, Value)> {
        let (mut state, mut metadata) = match (old, stamps) {
            (Some(Value::Object(state)), Some(Value::Object(metadata))) => (state, metadata),
            _ => (Map::new(), Map::new()),
        };
        self.merge(&mut state, &mut metadata, members);
        let left = !(state.is_empty() && self.drops_empty_objects);
        left.then(|| (state.into(), metadata.into()))
    }
}

/// The metadata of a value that was written at this time as a whole.
pub(super) fn stamped(value: &Value, timestamp: u64) -> Value {
    match value {
        Value::Object(members) => {
            let stamp = |(key, value): (&String, &Value)| (key.clone(), stamped(value, timestamp));
            Value::Object(members.iter().map(stamp).collect())
        }
        Value::Array(elements) => elements
            .iter()
            .map(|value| stamped(value, timestamp))
            .collect(),
        _ => json!({ "timestamp": timestamp }),
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
