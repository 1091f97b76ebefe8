//! Pure: shadow documents: merge, difference, and the words that delete.
//!
//! A patch is a value in which `null` removes a member; objects merge deeply, all else replaces
//! (the rules of the cloud's own shadow service).

use serde_json::{Map, Number, Value};

/// What counts as a request to delete, apart from `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `[]` means the same as `"DELETE"`.
    pub empty_array_deletes: bool,
}

impl Rules {
    fn deletes(self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(word) => word == "DELETE",
            Value::Array(items) => self.empty_array_deletes && items.is_empty(),
            _ => false,
        }
    }

    /// The same patch, in which only `null` deletes.
    pub fn normalise(self, patch: Value) -> Value {
        match patch {
            Value::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(key, value)| (key, self.normalise(value)))
                    .collect(),
            ),
            patch if self.deletes(&patch) => Value::Null,
            patch => patch,
        }
    }
}

/// Merges a normalised patch into a document. A document of `null` is an absent one.
pub fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(members) = document else {
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.as_str()).or_insert(Value::Null), change);
        }
    }
}

/// Whether one patch can do what `first` and then `second` do. It cannot where an object follows
/// what removed or replaced an older one: as one patch it would bring the older members back.
pub fn composes(first: &Value, second: &Value) -> bool {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => second.iter().all(|(key, change)| {
            first
                .get(key)
                .is_none_or(|earlier| composes(earlier, change))
        }),
        (_, Value::Object(_)) => false,
        _ => true,
    }
}

/// One patch that does what `first` and then `second` do, if [`composes`] says that there is one.
pub fn compose(first: &mut Value, second: &Value) {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => {
            for (key, change) in second {
                match first.get_mut(key) {
                    Some(earlier) => compose(earlier, change),
                    None => {
                        first.insert(key.clone(), change.clone());
                    }
                }
            }
        }
        (first, second) => *first = second.clone(),
    }
}

/// The least patch that makes `to` of `from`. `None`: they are the same. Neither contains `null`
/// as a member.
pub fn diff(from: &Value, to: &Value) -> Option<Value> {
    if same(from, to) {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return Some(to.clone());
    };
    let mut changes = Map::new();
    for (key, value) in new {
        let change = match old.get(key) {
            Some(before) => diff(before, value),
            None => Some(value.clone()),
        };
        if let Some(change) = change {
            changes.insert(key.clone(), change);
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        changes.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(changes))
}

/// Whether they say the same: members in any order, numbers by their value.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other
                || match (whole(one), whole(other), one.as_f64(), other.as_f64()) {
                    (Some(one), Some(other), _, _) => one == other,
                    (_, _, Some(one), Some(other)) => one == other,
                    _ => false,
                }
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

/// A whole number, exactly.
fn whole(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

/// What the cloud keeps of a document: no `null` members, and no empty objects. `None`: nothing.
pub fn kept(document: &Value) -> Option<Value> {
    match document {
        Value::Null => None,
        Value::Object(members) => {
            let members: Map<String, Value> = members
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), kept(value)?)))
                .collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        other => Some(other.clone()),
    }
}

/// The document without `null` members.
pub fn without_nulls(document: Value) -> Value {
    match document {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        other => other,
    }
}

/// The members with these keys; what is no object is one whole.
pub fn only(document: &Value, keys: &[String]) -> Value {
    match document {
        Value::Object(members) => members
            .iter()
            .filter(|(key, _)| keys.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
