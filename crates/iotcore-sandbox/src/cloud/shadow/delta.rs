//! Pure: the delta: what is desired and not reported.

use serde_json::{Map, Number, Value};

use super::document::Section;

/// All differences, each at its place, with the metadata of the desired side. Empty if there are none.
pub(super) fn between(desired: &Section, reported: &Section) -> Section {
    let (state, metadata) = differences(&desired.state, &desired.metadata, &reported.state);
    Section { state, metadata }
}

type Members = Map<String, Value>;

fn differences(desired: &Members, stamps: &Members, reported: &Members) -> (Members, Members) {
    let (mut state, mut metadata) = (Members::new(), Members::new());
    for (key, wanted) in desired {
        let stamp = stamps.get(key).cloned().unwrap_or_default();
        let (wanted, stamp) = match (wanted, &stamp, reported.get(key)) {
            (Value::Object(wanted), Value::Object(stamp), Some(Value::Object(is))) => {
                let (below, stamps) = differences(wanted, stamp, is);
                if below.is_empty() {
                    continue;
                }
                (below.into(), stamps.into())
            }
            (wanted, _, Some(is)) if same(wanted, is) => continue,
            (wanted, _, _) => (wanted.clone(), stamp),
        };
        state.insert(key.clone(), wanted);
        metadata.insert(key.clone(), stamp);
    }
    (state, metadata)
}

/// Whether two values are equal: numbers by value, objects in any order of their members.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let member = |(key, one): (&String, &Value)| {
                other.get(key).is_some_and(|other| same(one, other))
            };
            one.len() == other.len() && one.iter().all(member)
        }
        (one, other) => one == other,
    }
}

fn same_number(one: &Number, other: &Number) -> bool {
    let integer = |number: &Number| {
        let signed = number.as_i64().map(i128::from);
        signed.or_else(|| number.as_u64().map(i128::from))
    };
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other || one.as_f64().is_some_and(|one| Some(one) == other.as_f64()),
    }
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
