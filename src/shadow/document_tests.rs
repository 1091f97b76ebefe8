use super::*;
use serde_json::json;

const PLAIN: Rules = Rules {
    empty_array_deletes: false,
};
const EMPTY_ARRAYS: Rules = Rules {
    empty_array_deletes: true,
};

fn merged(document: Value, patch: Value) -> Value {
    let mut document = document;
    merge(&mut document, &PLAIN.normalise(patch));
    document
}

#[test]
fn objects_merge_deeply_and_all_else_replaces() {
    for (document, patch, expect) in [
        (json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
        (
            json!({"a": {"x": 1, "y": 2}}),
            json!({"a": {"y": 3}}),
            json!({"a": {"x": 1, "y": 3}}),
        ),
        (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
        (json!({"a": {"x": 1}}), json!({"a": 5}), json!({"a": 5})),
        (
            json!({"a": 5}),
            json!({"a": {"x": 1}}),
            json!({"a": {"x": 1}}),
        ),
        (json!("text"), json!({"a": 1}), json!({"a": 1})),
        (Value::Null, json!("text"), json!("text")),
        (json!({"a": 1}), json!({}), json!({"a": 1})),
    ] {
        assert_eq!(
            merged(document.clone(), patch.clone()),
            expect,
            "{document} + {patch}"
        );
    }
}

#[test]
fn null_and_the_word_delete_remove_a_member() {
    for (document, patch, expect) in [
        (json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
        (json!({"a": 1}), json!({"a": "DELETE"}), json!({})),
        (
            json!({"a": {"x": 1}}),
            json!({"a": {"x": "DELETE"}}),
            json!({"a": {}}),
        ),
        (
            json!({}),
            json!({"a": {"x": null, "y": 1}}),
            json!({"a": {"y": 1}}),
        ),
        (
            json!({"a": 1}),
            json!({"a": "delete"}),
            json!({"a": "delete"}),
        ),
        (
            json!({"a": 1}),
            json!({"a": ["DELETE"]}),
            json!({"a": ["DELETE"]}),
        ),
        (json!({"a": 1}), json!("DELETE"), Value::Null),
    ] {
        assert_eq!(
            merged(document.clone(), patch.clone()),
            expect,
            "{document} + {patch}"
        );
    }
}

#[test]
fn an_empty_array_deletes_only_where_that_is_asked_for() {
    let patch = json!({"a": [], "b": {"c": []}, "d": [[]]});
    assert_eq!(PLAIN.normalise(patch.clone()), patch);
    assert_eq!(
        EMPTY_ARRAYS.normalise(patch),
        json!({"a": null, "b": {"c": null}, "d": [[]]})
    );
}

#[test]
fn numbers_are_compared_by_value() {
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for (one, other, expect) in [
        ("1", "1.0", true),
        ("1e3", "1000", true),
        ("1", "2", false),
        ("9007199254740993", "9007199254740992", false),
        ("18446744073709551615", "18446744073709551615", true),
        ("0.1", "0.10", true),
    ] {
        assert_eq!(same(&number(one), &number(other)), expect, "{one} {other}");
    }
}

#[test]
fn the_cloud_keeps_neither_nulls_nor_empty_objects() {
    assert_eq!(
        kept(&json!({"a": {}, "b": {"c": {}, "d": []}, "e": null, "f": ""})),
        Some(json!({"b": {"d": []}, "f": ""}))
    );
    assert_eq!(kept(&json!({"a": {"b": {}}})), None);
    assert_eq!(kept(&Value::Null), None);
    assert_eq!(kept(&json!(false)), Some(json!(false)));
}

/// A small document with few different keys and values, so that they often meet.
fn generated(rng: &mut fastrand::Rng, depth: u32) -> Value {
    match rng.u32(0..if depth == 0 { 4 } else { 8 }) {
        0 => json!(rng.u8(0..3)),
        1 => json!(["", "text", "007"][rng.usize(0..3)]),
        2 => json!(rng.bool()),
        3 => json!(vec![rng.u8(0..2); rng.usize(0..3)]),
        _ => generated_object(rng, depth - 1),
    }
}

fn generated_object(rng: &mut fastrand::Rng, depth: u32) -> Value {
    let keys = ["a", "b", "__proto__", "d"];
    let members = (0..rng.usize(0..4)).map(|_| {
        let key = keys[rng.usize(0..keys.len())].to_owned();
        (key, generated(rng, depth))
    });
    Value::Object(members.collect())
}

/// A patch: some members of a document replaced by null.
fn generated_patch(rng: &mut fastrand::Rng) -> Value {
    fn spoil(rng: &mut fastrand::Rng, value: &mut Value) {
        if let Value::Object(members) = value {
            for value in members.values_mut() {
                if rng.u8(0..4) == 0 {
                    *value = Value::Null;
                } else {
                    spoil(rng, value);
                }
            }
        }
    }
    let mut patch = generated_object(rng, 3);
    spoil(rng, &mut patch);
    patch
}

/// Runs a law on many generated inputs; the seed identifies the one that failed.
fn law(check: impl Fn(&mut fastrand::Rng)) {
    for seed in 0..2000 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check(&mut fastrand::Rng::with_seed(seed));
        }));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn merging_a_difference_gives_the_other_document() {
    law(|rng| {
        let (from, to) = (generated(rng, 3), generated(rng, 3));
        let mut result = from.clone();
        match diff(&from, &to) {
            Some(patch) => merge(&mut result, &patch),
            None => assert!(same(&from, &to)),
        }
        assert!(same(&result, &to), "{from} -> {to} gave {result}");
    });
}

#[test]
fn nothing_differs_from_itself() {
    law(|rng| {
        let document = generated(rng, 3);
        assert_eq!(diff(&document, &document), None);
    });
}

#[test]
fn merging_twice_changes_nothing_more() {
    law(|rng| {
        let mut document = generated(rng, 3);
        let patch = generated_patch(rng);
        merge(&mut document, &patch);
        let once = document.clone();
        merge(&mut document, &patch);
        assert_eq!(document, once);
    });
}

#[test]
fn a_merged_document_contains_no_null() {
    law(|rng| {
        let mut document = generated(rng, 3);
        merge(&mut document, &generated_patch(rng));
        assert_eq!(without_nulls(document.clone()), document);
    });
}

#[test]
fn a_composed_patch_does_what_both_do() {
    law(|rng| {
        let document = generated_object(rng, 3);
        let (first, second) = (generated_patch(rng), generated_patch(rng));
        let mut one_by_one = document.clone();
        merge(&mut one_by_one, &first);
        merge(&mut one_by_one, &second);
        if !composes(&first, &second) {
            return;
        }
        let mut composed = first;
        compose(&mut composed, &second);
        let mut at_once = document.clone();
        merge(&mut at_once, &composed);
        // An object whose members were all removed may be there or not: the cloud keeps none.
        assert_eq!(kept(&at_once), kept(&one_by_one), "{document}");
    });
}

#[test]
fn an_object_behind_what_replaced_another_is_a_patch_of_its_own() {
    for (first, second, expect) in [
        (json!({"a": 5}), json!({"a": {"x": 1}}), false),
        (json!({"a": null}), json!({"a": {"x": 1}}), false),
        (json!({"a": {"x": 1}}), json!({"a": null}), true),
        (json!({"a": {"x": 1}}), json!({"a": {"x": 2}}), true),
        (json!({"a": 1}), json!({"b": {"x": 2}}), true),
    ] {
        assert_eq!(composes(&first, &second), expect, "{first} {second}");
    }
}
