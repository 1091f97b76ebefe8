//! A person and the cloud change the same file.

use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// A file with the text `{}`, and the times at which it is observed.
fn file() -> (DesiredFile, impl Fn(u64) -> Instant) {
    let (mut file, start) = (DesiredFile::default(), Instant::now());
    file.written(b"{}".to_vec(), Map::new());
    (file, move |milliseconds| {
        start + Duration::from_millis(milliseconds)
    })
}

fn text(json: &str) -> Option<Vec<u8>> {
    Some(json.as_bytes().to_vec())
}

#[test]
fn an_edit_counts_when_the_file_has_settled_and_only_once() {
    let (mut file, at) = file();
    assert_eq!(file.observed(text(r#"{"a":"#), at(0)), None);
    assert_eq!(
        file.observed(text(r#"{"a":1}"#), at(200)),
        None,
        "it has changed again"
    );
    assert_eq!(file.observed(text(r#"{"a":1}"#), at(340)), None);
    let edit = file.observed(text(r#"{"a":1}"#), at(350));
    assert_eq!(edit, Some(Ok(object(json!({ "a": 1 })))));
    assert_eq!(file.observed(text(r#"{"a":1}"#), at(900)), None);
}

#[test]
fn our_own_writing_is_no_edit() {
    let (mut file, at) = file();
    file.written(b"{\"a\":1}".to_vec(), object(json!({ "a": 1 })));
    assert_eq!(file.observed(text(r#"{"a":1}"#), at(0)), None);
    assert_eq!(file.observed(text(r#"{"a":1}"#), at(900)), None);
    assert!(!file.outdated(&object(json!({ "a": 1 }))));
    assert!(file.outdated(&object(json!({ "a": 2 }))));
}

#[test]
fn a_file_that_an_editor_removes_for_a_moment_is_no_edit() {
    let (mut file, at) = file();
    assert_eq!(file.observed(None, at(0)), None);
    assert_eq!(file.observed(text("{}"), at(200)), None);
    assert!(!file.outdated(&Map::new()));
}

#[test]
fn a_file_with_an_edit_is_not_replaced() {
    let (mut file, at) = file();
    let desired = object(json!({ "cloud": 1 }));
    let edit = text(r#"{"person":1}"#);
    assert!(file.outdated(&desired) && file.may_replace(text("{}").as_ref()));
    assert!(
        !file.may_replace(edit.as_ref()),
        "it was made after the last observation"
    );
    file.observed(edit.clone(), at(0));
    assert!(!file.outdated(&desired), "it has not settled");
    file.observed(edit, at(150));
    file.applied(object(json!({ "person": 1 })));
    assert!(file.outdated(&desired), "the cloud has changed it since");
}

#[test]
fn an_invalid_file_is_not_replaced_until_it_is_corrected_or_removed() {
    for corrected in [text(r#"{"b":1}"#), None] {
        let (mut file, at) = file();
        file.observed(text("{a:1}"), at(0));
        let edit = file.observed(text("{a:1}"), at(200)).expect("an edit");
        assert!(edit.expect_err("invalid").starts_with("not JSON: "));
        assert_eq!(file.observed(text("{a:1}"), at(900)), None, "returned once");
        assert!(!file.outdated(&object(json!({ "cloud": 1 }))) && !file.may_remove());
        file.observed(corrected.clone(), at(1000));
        file.observed(corrected, at(1200));
        assert!(file.outdated(&object(json!({ "cloud": 1 }))));
    }
}

#[test]
fn a_file_says_what_is_desired() {
    let check = |text: &str, expected: Result<Value, &str>| {
        let content = parse(text.as_bytes()).map(Value::from);
        match (content, expected) {
            (Ok(content), Ok(expected)) => assert_eq!(content, expected, "{text}"),
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
