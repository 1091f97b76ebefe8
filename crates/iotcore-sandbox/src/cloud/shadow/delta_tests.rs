//! Test cases of the delta.

use serde_json::json;

use super::*;
use crate::cloud::shadow::document::stamped;

fn section(state: Value) -> Section {
    let metadata = stamped(&state, 1);
    match (state, metadata) {
        (Value::Object(state), Value::Object(metadata)) => Section { state, metadata },
        other => panic!("{other:?} is no section"),
    }
}

#[test]
fn the_delta_is_what_is_desired_and_not_reported() {
    let check = |desired: Value, reported: Value, expected: Value| {
        let delta = between(&section(desired.clone()), &section(reported.clone()));
        assert_eq!(
            Value::from(delta.state),
            expected,
            "{desired} over {reported}"
        );
        let stamps = Value::from(delta.metadata);
        assert_eq!(stamps, stamped(&expected, 1), "{desired} over {reported}");
    };
    check(json!({}), json!({ "a": 1 }), json!({}));
    check(json!({ "a": 1 }), json!({}), json!({ "a": 1 }));
    check(json!({ "a": 1 }), json!({ "a": 1 }), json!({}));
    check(
        json!({ "a": 1, "b": 2 }),
        json!({ "a": 1, "c": 3 }),
        json!({ "b": 2 }),
    );
    // Objects by member, with the path from the root.
    check(
        json!({ "o": { "a": 1, "p": { "b": 2, "c": 3 } } }),
        json!({ "o": { "a": 1, "p": { "b": 0, "c": 3, "d": 4 } } }),
        json!({ "o": { "p": { "b": 2 } } }),
    );
    check(
        json!({ "o": { "a": 1 } }),
        json!({ "o": { "a": 1, "b": 2 } }),
        json!({}),
    );
    // Arrays whole, also with objects in them.
    check(
        json!({ "a": [1, 2] }),
        json!({ "a": [1] }),
        json!({ "a": [1, 2] }),
    );
    check(
        json!({ "a": [1, 2] }),
        json!({ "a": [2, 1] }),
        json!({ "a": [1, 2] }),
    );
    check(
        json!({ "a": [{ "b": 1 }] }),
        json!({ "a": [{ "b": 1, "c": 2 }] }),
        json!({ "a": [{ "b": 1 }] }),
    );
    check(
        json!({ "a": [{ "b": 1, "c": 2 }] }),
        json!({ "a": [{ "c": 2, "b": 1 }] }),
        json!({}),
    );
    // Another type is another value, whole.
    check(
        json!({ "a": { "b": 1, "c": 2 } }),
        json!({ "a": 1 }),
        json!({ "a": { "b": 1, "c": 2 } }),
    );
    check(
        json!({ "a": 1 }),
        json!({ "a": { "b": 1 } }),
        json!({ "a": 1 }),
    );
    check(json!({ "a": "1" }), json!({ "a": 1 }), json!({ "a": "1" }));
    check(json!({ "a": 0 }), json!({ "a": false }), json!({ "a": 0 }));
    check(json!({ "a": "" }), json!({}), json!({ "a": "" }));
}

#[test]
fn numbers_are_compared_by_value() {
    let check = |one: &str, other: &str, equal: bool| {
        let number = |text: &str| serde_json::from_str::<Value>(text).expect("a number");
        assert_eq!(same(&number(one), &number(other)), equal, "{one} {other}");
    };
    check("1", "1.0", true);
    check("1e2", "100", true);
    check("0", "-0", true);
    check("0.10", "0.1", true);
    check("1", "1.5", false);
    check("-1", "1", false);
    check("9007199254740993", "9007199254740992", false);
    check("18446744073709551615", "18446744073709551614", false);
    check("[1, {\"a\": 2.0}]", "[1.0, {\"a\": 2}]", true);
}
