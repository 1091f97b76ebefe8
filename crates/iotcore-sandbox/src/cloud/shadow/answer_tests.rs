//! The JSON of each publication, member by member.

use super::*;
use crate::cloud::shadow::document::{Merger, Section};
use crate::cloud::shadow::payload::Change;

fn context(token: Option<&str>) -> AnswerContext {
    AnswerContext {
        timestamp: 9,
        token: token.map(str::to_owned),
    }
}

fn document(desired: Value, reported: Value) -> Document {
    let section = |state: Value| {
        let mut section = Section::default();
        let merger = Merger {
            timestamp: 5,
            drops_empty_objects: true,
        };
        let members = state.as_object().cloned().expect("an object");
        section.apply(&Change::Merged(members), merger);
        section
    };
    Document {
        desired: section(desired),
        reported: section(reported),
        version: 3,
    }
}

#[test]
fn a_document_has_its_delta_only_if_there_is_one() {
    let apart = document(json!({ "a": 1 }), json!({ "a": 2 }));
    assert_eq!(
        context(Some("t")).document(&apart),
        json!({
            "state": { "desired": { "a": 1 }, "reported": { "a": 2 }, "delta": { "a": 1 } },
            "metadata": {
                "desired": { "a": { "timestamp": 5 } }, "reported": { "a": { "timestamp": 5 } },
            },
            "version": 3, "timestamp": 9, "clientToken": "t",
        })
    );
    let agreed = document(json!({}), json!({ "a": 2 }));
    assert_eq!(
        context(None).document(&agreed),
        json!({
            "state": { "reported": { "a": 2 } },
            "metadata": { "reported": { "a": { "timestamp": 5 } } },
            "version": 3, "timestamp": 9,
        })
    );
    let empty = document(json!({}), json!({}));
    let nothing = json!({ "state": {}, "metadata": {}, "version": 3, "timestamp": 9 });
    assert_eq!(context(None).document(&empty), nothing);
}

#[test]
fn accepted_echoes_the_request_and_stamps_what_it_named() {
    let check = |state: Value, metadata: Value| {
        let accepted = context(Some("t")).accepted(&json!({ "state": state, "other": 1 }), 4);
        let expected = json!({
            "state": state, "metadata": metadata, "version": 4, "timestamp": 9, "clientToken": "t",
        });
        assert_eq!(accepted, expected);
    };
    let stamp = json!({ "timestamp": 9 });
    check(
        json!({ "reported": { "fan": "off", "obsolete": null } }),
        json!({ "reported": { "fan": stamp, "obsolete": stamp } }),
    );
    check(
        json!({ "desired": { "a": [1, { "b": 2 }] } }),
        json!({ "desired": { "a": [stamp, { "b": stamp }] } }),
    );
    check(json!({ "desired": null }), json!({}));
    check(json!({}), json!({}));
    check(json!(null), json!({}));
}

#[test]
fn a_delta_is_flat_and_has_the_desired_side_s_stamps() {
    let apart = document(json!({ "a": 1, "b": [1] }), json!({ "b": [1] }));
    assert_eq!(
        context(Some("t")).delta(&apart),
        Some(json!({
            "state": { "a": 1 }, "metadata": { "a": { "timestamp": 5 } },
            "version": 3, "timestamp": 9, "clientToken": "t",
        }))
    );
    assert_eq!(
        context(None).delta(&document(json!({ "a": 1 }), json!({ "a": 1.0 }))),
        None
    );
}

#[test]
fn documents_tell_before_and_after_without_a_delta() {
    let (before, after) = (
        document(json!({}), json!({})),
        document(json!({ "a": 1 }), json!({})),
    );
    let documents = context(None).documents(Some(&before), &after, FirstPrevious::Absent);
    assert_eq!(
        documents,
        json!({
            "previous": { "state": {}, "metadata": {}, "version": 3 },
            "current": {
                "state": { "desired": { "a": 1 } },
                "metadata": { "desired": { "a": { "timestamp": 5 } } },
                "version": 3,
            },
            "timestamp": 9,
        })
    );
}

#[test]
fn the_first_documents_have_a_previous_as_it_is_set() {
    let check = |first: FirstPrevious, expected: Option<Value>| {
        let documents = context(None).documents(None, &document(json!({}), json!({})), first);
        assert_eq!(documents.get("previous"), expected.as_ref());
    };
    check(FirstPrevious::Absent, None);
    check(FirstPrevious::Empty, Some(json!({})));
    check(FirstPrevious::Null, Some(json!(null)));
}

#[test]
fn a_refusal_has_code_and_text() {
    let rejection = ShadowRejection::of_code(409);
    let expected = json!({ "code": 409, "message": "Version conflict", "timestamp": 9 });
    assert_eq!(context(None).rejected(&rejection), expected);
    let unreadable = of_unreadable(&ShadowRejection::of_code(400));
    assert_eq!(
        unreadable,
        json!({ "code": 400, "message": "Invalid JSON" })
    );
}

#[test]
fn a_token_is_echoed_if_it_is_one() {
    let check = |request: Value, token: Option<&str>| {
        let context = AnswerContext::of(&request, Duration::from_millis(9_900));
        assert_eq!(
            (context.token.as_deref(), context.timestamp),
            (token, 9),
            "{request}"
        );
    };
    check(json!({ "clientToken": "t" }), Some("t"));
    check(
        json!({ "clientToken": "x".repeat(64) }),
        Some(&"x".repeat(64)),
    );
    check(json!({ "clientToken": "x".repeat(65) }), None);
    check(json!({ "clientToken": 7 }), None);
    check(json!({}), None);
    check(json!(null), None);
}
