//! A person and the cloud at the same file.

use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// A mirror that shows `{}`, and the times at which a file is looked at.
fn mirror() -> (Mirror, impl Fn(u64) -> Instant) {
    let (mut mirror, start) = (Mirror::default(), Instant::now());
    mirror.written(b"{}".to_vec(), Map::new());
    (mirror, move |milliseconds| {
        start + Duration::from_millis(milliseconds)
    })
}

fn text(json: &str) -> Option<Vec<u8>> {
    Some(json.as_bytes().to_vec())
}

#[test]
fn an_edit_counts_when_the_file_has_settled_and_only_once() {
    let (mut mirror, at) = mirror();
    assert_eq!(mirror.looked(text(r#"{"a":"#), at(0)), None);
    assert_eq!(
        mirror.looked(text(r#"{"a":1}"#), at(200)),
        None,
        "it has changed again"
    );
    assert_eq!(mirror.looked(text(r#"{"a":1}"#), at(340)), None);
    let wish = mirror.looked(text(r#"{"a":1}"#), at(350));
    assert_eq!(wish, Some(Ok(object(json!({ "a": 1 })))));
    assert_eq!(mirror.looked(text(r#"{"a":1}"#), at(900)), None);
}

#[test]
fn our_own_writing_is_no_edit() {
    let (mut mirror, at) = mirror();
    mirror.written(b"{\"a\":1}".to_vec(), object(json!({ "a": 1 })));
    assert_eq!(mirror.looked(text(r#"{"a":1}"#), at(0)), None);
    assert_eq!(mirror.looked(text(r#"{"a":1}"#), at(900)), None);
    assert!(!mirror.outdated(&object(json!({ "a": 1 }))));
    assert!(mirror.outdated(&object(json!({ "a": 2 }))));
}

#[test]
fn what_an_editor_takes_away_for_a_moment_is_no_edit() {
    let (mut mirror, at) = mirror();
    assert_eq!(mirror.looked(None, at(0)), None);
    assert_eq!(mirror.looked(text("{}"), at(200)), None);
    assert!(!mirror.outdated(&Map::new()));
}

#[test]
fn a_file_with_an_edit_is_not_replaced() {
    let (mut mirror, at) = mirror();
    let desired = object(json!({ "cloud": 1 }));
    let edit = text(r#"{"person":1}"#);
    assert!(mirror.outdated(&desired) && mirror.may_replace(text("{}").as_ref()));
    assert!(
        !mirror.may_replace(edit.as_ref()),
        "it came since we looked"
    );
    mirror.looked(edit.clone(), at(0));
    assert!(!mirror.outdated(&desired), "it waits to settle");
    mirror.looked(edit, at(150));
    mirror.granted(object(json!({ "person": 1 })));
    assert!(mirror.outdated(&desired), "the cloud has moved on since");
}

#[test]
fn a_broken_file_is_left_to_its_person_until_it_is_mended_or_gone() {
    for mended in [text(r#"{"b":1}"#), None] {
        let (mut mirror, at) = mirror();
        mirror.looked(text("{a:1}"), at(0));
        let wish = mirror.looked(text("{a:1}"), at(200)).expect("an edit");
        assert!(wish.expect_err("broken").starts_with("not JSON: "));
        assert_eq!(mirror.looked(text("{a:1}"), at(900)), None, "told once");
        assert!(!mirror.outdated(&object(json!({ "cloud": 1 }))) && !mirror.may_go());
        mirror.looked(mended.clone(), at(1000));
        mirror.looked(mended, at(1200));
        assert!(mirror.outdated(&object(json!({ "cloud": 1 }))));
    }
}

#[test]
fn a_file_says_what_is_desired() {
    let check = |text: &str, expected: Result<Value, &str>| {
        let wish = parse(text.as_bytes()).map(Value::from);
        match (wish, expected) {
            (Ok(wish), Ok(expected)) => assert_eq!(wish, expected, "{text}"),
            (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    };
    check(
        r#"{"a":{"b":null,"c":1},"d":null}"#,
        Ok(json!({ "a": { "c": 1 } })),
    );
    check("null", Ok(json!({})));
    check("[]", Err("not a JSON object"));
    check("7", Err("not a JSON object"));
    check("", Err("not JSON: "));
    check("{\"a\":\u{1}}", Err("not JSON: "));
}

#[test]
fn changes_make_the_one_into_the_other() {
    let check = |current: Value, wanted: Value, expected: Value| {
        let changes = changes(&object(current.clone()), &object(wanted.clone()));
        assert_eq!(Value::from(changes), expected, "{current} to {wanted}");
    };
    check(json!({}), json!({}), json!({}));
    check(json!({ "a": 1 }), json!({ "a": 1.0 }), json!({}));
    check(
        json!({ "a": 1, "b": 2 }),
        json!({ "b": 3, "c": 4 }),
        json!({ "a": null, "b": 3, "c": 4 }),
    );
    check(
        json!({ "o": { "a": 1, "p": { "b": 2 } } }),
        json!({ "o": { "a": 1, "p": { "c": 3 } } }),
        json!({ "o": { "p": { "b": null, "c": 3 } } }),
    );
    check(
        json!({ "o": { "a": 1 } }),
        json!({ "o": {} }),
        json!({ "o": { "a": null } }),
    );
    check(
        json!({ "a": [1, 2] }),
        json!({ "a": [2] }),
        json!({ "a": [2] }),
    );
    check(
        json!({ "a": { "b": 1 } }),
        json!({ "a": 1 }),
        json!({ "a": 1 }),
    );
    check(
        json!({ "a": 1 }),
        json!({ "a": { "b": 1 } }),
        json!({ "a": { "b": 1 } }),
    );
}
