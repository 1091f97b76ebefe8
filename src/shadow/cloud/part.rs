//! Pure: what two desired values have in common, member by member.

use serde_json::{Map, Value};

use crate::shadow::document::same;

/// What `desired` says that `answered` does not. `None`: nothing.
pub fn beyond(answered: &Value, desired: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (answered, desired) else {
        return (!same(answered, desired)).then(|| desired.clone());
    };
    let members = new.iter().filter_map(|(key, value)| {
        let more = match old.get(key) {
            Some(old) => beyond(old, value),
            None => Some(value.clone()),
        };
        Some((key.clone(), more?))
    });
    object(members.collect())
}

/// What both say.
pub fn common(answered: &Value, desired: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (answered, desired) else {
        return same(answered, desired).then(|| desired.clone());
    };
    let members = old
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), common(value, new.get(key)?)?)));
    object(members.collect())
}

/// Whether they speak of one member.
pub fn meets(answered: &Value, desired: &Value) -> bool {
    let (Value::Object(old), Value::Object(new)) = (answered, desired) else {
        return true;
    };
    let meets = |(key, value): (&String, &Value)| new.get(key).is_some_and(|it| meets(value, it));
    old.iter().any(meets)
}

/// What `answered` says of members that `patch` does not speak of.
pub fn without(answered: &Value, patch: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (answered, patch) else {
        return None;
    };
    let members = old.iter().filter_map(|(key, value)| {
        let rest = match new.get(key) {
            Some(patch) => without(value, patch),
            None => Some(value.clone()),
        };
        Some((key.clone(), rest?))
    });
    object(members.collect())
}

/// Both; `desired` where they differ.
pub fn union(answered: Value, desired: &Value) -> Value {
    match (answered, desired) {
        (Value::Object(mut old), Value::Object(new)) => {
            for (key, value) in new {
                let both = match old.remove(key) {
                    Some(old) => union(old, value),
                    None => value.clone(),
                };
                old.insert(key.clone(), both);
            }
            old.into()
        }
        _ => desired.clone(),
    }
}

fn object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then(|| members.into())
}
