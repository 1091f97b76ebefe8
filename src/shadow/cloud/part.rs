//! Pure: what two wishes have in common, member by member.

use serde_json::{Map, Value};

use crate::shadow::document::same;

/// What `wish` says that `answered` does not. `None`: nothing.
pub fn beyond(answered: &Value, wish: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (answered, wish) else {
        return (!same(answered, wish)).then(|| wish.clone());
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
pub fn common(answered: &Value, wish: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (answered, wish) else {
        return same(answered, wish).then(|| wish.clone());
    };
    let members = old
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), common(value, new.get(key)?)?)));
    object(members.collect())
}

/// Whether they speak of one member.
pub fn meets(answered: &Value, wish: &Value) -> bool {
    let (Value::Object(old), Value::Object(new)) = (answered, wish) else {
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

/// Both; `wish` where they differ.
pub fn union(answered: Value, wish: &Value) -> Value {
    match (answered, wish) {
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
        _ => wish.clone(),
    }
}

fn object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then(|| members.into())
}
