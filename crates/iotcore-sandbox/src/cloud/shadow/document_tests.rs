//! Test cases of merging: the old section, the change, the new section and its timestamps.

use super::*;

const EARLIER: u64 = 1;
const NOW: u64 = 2;

fn section(state: Value, timestamp: u64) -> Section {
    let metadata = stamped(&state, timestamp);
    match (state, metadata) {
        (Value::Object(state), Value::Object(metadata)) => Section { state, metadata },
        other => panic!("{other:?} is no section"),
    }
}

fn apply(before: Value, incoming: Value, drops_empty_objects: bool) -> (Value, Value) {
    let mut section = section(before, EARLIER);
    let merger = Merger {
        timestamp: NOW,
        drops_empty_objects,
    };
    let change = match incoming {
        Value::Null => Change::Cleared,
        Value::Object(members) => Change::Merged(members),
        other => panic!("{other} is no section"),
    };
    section.apply(&change, merger);
    (section.state.into(), section.metadata.into())
}

/// Metadata written briefly: a number stands for `{"timestamp": number}`.
fn stamps(brief: Value) -> Value {
    match brief {
        Value::Object(members) => {
            let long = members.into_iter().map(|(key, brief)| (key, stamps(brief)));
            Value::Object(long.collect())
        }
        Value::Array(elements) => elements.into_iter().map(stamps).collect(),
        number => json!({ "timestamp": number }),
    }
}

#[test]
fn members_are_merged_and_each_written_leaf_is_stamped() {
    let check = |before: Value, incoming: Value, after: Value, written: Value| {
        let merged = apply(before.clone(), incoming.clone(), true);
        assert_eq!(merged, (after, stamps(written)), "{incoming} into {before}");
    };
    // A new key; an old one keeps its stamp.
    check(
        json!({ "a": 1 }),
        json!({ "b": 2 }),
        json!({ "a": 1, "b": 2 }),
        json!({ "a": 1, "b": 2 }),
    );
    // The same value is written again.
    check(
        json!({ "a": 1 }),
        json!({ "a": 1 }),
        json!({ "a": 1 }),
        json!({ "a": 2 }),
    );
    // Null removes a key; a missing key is no error.
    check(
        json!({ "a": 1, "b": 1 }),
        json!({ "a": null, "z": null }),
        json!({ "b": 1 }),
        json!({ "b": 1 }),
    );
    // Objects are merged, at any depth.
    check(
        json!({ "o": { "a": 1, "p": { "b": 1, "c": 1 } } }),
        json!({ "o": { "p": { "b": null, "d": 3 } } }),
        json!({ "o": { "a": 1, "p": { "c": 1, "d": 3 } } }),
        json!({ "o": { "a": 1, "p": { "c": 1, "d": 2 } } }),
    );
    // Anything else replaces: object by scalar, scalar by object, array by array.
    check(
        json!({ "a": { "b": 1 } }),
        json!({ "a": 2 }),
        json!({ "a": 2 }),
        json!({ "a": 2 }),
    );
    check(
        json!({ "a": 1 }),
        json!({ "a": { "b": 2 } }),
        json!({ "a": { "b": 2 } }),
        json!({ "a": { "b": 2 } }),
    );
    check(
        json!({ "a": [1, 2, 3] }),
        json!({ "a": [4] }),
        json!({ "a": [4] }),
        json!({ "a": [2] }),
    );
    check(
        json!({ "a": { "b": 1 } }),
        json!({ "a": [] }),
        json!({ "a": [] }),
        json!({ "a": [] }),
    );
    // Arrays are stamped by element, objects in them by leaf.
    check(
        json!({}),
        json!({ "a": [1, { "b": 2, "c": [3] }, [4]] }),
        json!({ "a": [1, { "b": 2, "c": [3] }, [4]] }),
        json!({ "a": [2, { "b": 2, "c": [2] }, [2]] }),
    );
    // Nulls in a new object remove nothing and are not stored.
    check(
        json!({}),
        json!({ "a": { "b": null, "c": 1 } }),
        json!({ "a": { "c": 1 } }),
        json!({ "a": { "c": 2 } }),
    );
    // Empty, zero and false are ordinary values.
    check(
        json!({ "a": 1 }),
        json!({ "a": "", "b": 0, "c": false }),
        json!({ "a": "", "b": 0, "c": false }),
        json!({ "a": 2, "b": 2, "c": 2 }),
    );
    // Null for the section.
    check(json!({ "a": 1 }), json!(null), json!({}), json!({}));
    // A member called timestamp is a member.
    check(
        json!({ "timestamp": 7 }),
        json!({ "timestamp": { "timestamp": 8 } }),
        json!({ "timestamp": { "timestamp": 8 } }),
        json!({ "timestamp": { "timestamp": 2 } }),
    );
}

#[test]
fn empty_objects_are_removed_unless_configured_otherwise() {
    let check = |before: Value, incoming: Value, dropped: Value, kept: Value| {
        let after = |drops| apply(before.clone(), incoming.clone(), drops).0;
        assert_eq!(
            (after(true), after(false)),
            (dropped, kept),
            "{incoming} into {before}"
        );
    };
    check(json!({}), json!({ "a": {} }), json!({}), json!({ "a": {} }));
    check(
        json!({ "a": 1 }),
        json!({ "a": {} }),
        json!({}),
        json!({ "a": {} }),
    );
    check(
        json!({ "a": { "b": 1 } }),
        json!({ "a": {} }),
        json!({ "a": { "b": 1 } }),
        json!({ "a": { "b": 1 } }),
    );
    check(
        json!({ "a": { "b": 1 } }),
        json!({ "a": { "b": null } }),
        json!({}),
        json!({ "a": {} }),
    );
    check(
        json!({ "a": { "b": { "c": 1 } }, "d": 1 }),
        json!({ "a": { "b": { "c": null } } }),
        json!({ "d": 1 }),
        json!({ "a": { "b": {} }, "d": 1 }),
    );
    check(
        json!({}),
        json!({ "a": [{}] }),
        json!({ "a": [{}] }),
        json!({ "a": [{}] }),
    );
}

#[test]
fn a_section_without_members_is_not_there() {
    let document = Document {
        desired: Section::default(),
        reported: section(json!({ "a": 1 }), NOW),
        version: 1,
    };
    let (state, metadata) = document.sections();
    assert_eq!(Value::from(state), json!({ "reported": { "a": 1 } }));
    assert_eq!(
        Value::from(metadata),
        json!({ "reported": { "a": { "timestamp": 2 } } })
    );
    assert_eq!(document.size(), r#"{"a":1}"#.len());
}
