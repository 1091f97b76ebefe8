//! Shadow documents: differences, and patches put together.

#![no_main]

use chariotd::shadow::document::{
    Rules, compose, composes, diff, kept, merge, same, without_nulls,
};
use chariotd_fuzz::{two, value};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (first, rest) = two(data);
    let (second, third) = two(rest);
    let values = (value(first), value(second), value(third));
    let (Some(document), Some(one), Some(other)) = values else {
        return;
    };
    let document = without_nulls(document);
    assert!(same(&document, &document));
    differs(&document, &without_nulls(one.clone()));
    if composes(&one, &other) {
        let mut both = one.clone();
        compose(&mut both, &other);
        let step_by_step = merged(merged(document.clone(), &one), &other);
        assert!(
            same(&merged(document, &both), &step_by_step),
            "{both}\n{step_by_step}"
        );
    }
    let rules = Rules {
        empty_array_deletes: true,
    };
    let normal = rules.normalise(other.clone());
    assert_eq!(rules.normalise(normal.clone()), normal);
    let held = kept(&other);
    assert_eq!(held.as_ref().and_then(kept), held);
});

fn differs(from: &Value, to: &Value) {
    let reached = match diff(from, to) {
        None => from.clone(),
        Some(patch) => merged(from.clone(), &patch),
    };
    assert!(same(&reached, to), "{from}\n{to}\n{reached}");
}

fn merged(mut document: Value, patch: &Value) -> Value {
    merge(&mut document, patch);
    document
}
