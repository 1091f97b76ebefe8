//! Each way in which a request can be invalid, and the few in which it is only unusual.

use serde_json::json;

use super::*;

fn refused(payload: &str) -> Option<(u16, String)> {
    let outcome = parse(payload.as_bytes())
        .and_then(|request| update(&request, &ShadowLimits::default()).map(|_| ()));
    outcome.err().map(|why| (why.code, why.message))
}

#[test]
fn a_bad_request_is_refused_in_the_words_of_aws() {
    let check = |payload: &str, message: &str| {
        assert_eq!(
            refused(payload),
            Some((400, message.to_owned())),
            "{payload}"
        );
    };
    check("not JSON", "Invalid JSON");
    check("{\"state\":{}", "Invalid JSON");
    check("[]", "Invalid JSON");
    check("7", "Invalid JSON");
    check("", "Missing required node: state");
    check("{}", "Missing required node: state");
    check(r#"{"desired":{}}"#, "Missing required node: state");
    check(r#"{"state":[]}"#, "State node must be an object");
    check(r#"{"state":"on"}"#, "State node must be an object");
    check(
        r#"{"state":{"desired":[]}}"#,
        "Desired node must be an object",
    );
    check(
        r#"{"state":{"desired":1}}"#,
        "Desired node must be an object",
    );
    check(
        r#"{"state":{"reported":""}}"#,
        "Reported node must be an object",
    );
    check(
        r#"{"state":{"delta":{}}}"#,
        "State contains an invalid node: 'delta'",
    );
    check(r#"{"state":{},"version":"1"}"#, "Invalid version");
    check(r#"{"state":{},"version":1.5}"#, "Invalid version");
    check(r#"{"state":{},"version":-1}"#, "Invalid version");
    check(r#"{"state":{},"version":null}"#, "Invalid version");
    check(r#"{"state":{},"clientToken":7}"#, "Invalid clientToken");
    let long = format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "x".repeat(65));
    check(&long, "Invalid clientToken");
}

#[test]
fn null_does_not_go_into_an_array() {
    for reported in [
        json!([null]),
        json!([[1, null]]),
        json!([{ "b": null }]),
        json!({ "c": [null] }),
    ] {
        let request = json!({ "state": { "reported": { "a": reported } } });
        let (code, message) = refused(&request.to_string()).expect("refused");
        assert_eq!(
            (code, message.as_str()),
            (400, "State contains an invalid node"),
            "{request}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_have_their_own_code() {
    let why = parse(b"{\"state\":\xff}").expect_err("no UTF-8");
    assert_eq!(why.code, 415);
    assert_eq!(
        why.message,
        "Unsupported documented encoding; supported encoding is UTF-8"
    );
}

/// Objects around one leaf, so many of them.
fn nested(objects: usize) -> Value {
    (0..objects).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[test]
fn depth_is_counted_from_the_section() {
    let check = |section: Value, sound: bool| {
        let refused = refused(&json!({ "state": { "reported": section } }).to_string());
        assert_eq!(refused.is_none(), sound, "{refused:?}");
    };
    check(nested(8), true);
    check(nested(9), false);
    check(json!({ "a": [[[[[[[1]]]]]]] }), true);
    check(json!({ "a": [[[[[[[[1]]]]]]]] }), false);
    let message = "JSON contains too many levels of nesting; maximum is 8";
    let deep = json!({ "state": { "desired": nested(9) } });
    assert_eq!(refused(&deep.to_string()), Some((400, message.to_owned())));
}

#[test]
fn the_depth_can_be_set() {
    let limits = ShadowLimits {
        depth: 5,
        ..ShadowLimits::default()
    };
    assert!(update(&json!({ "state": { "desired": nested(5) } }), &limits).is_ok());
    assert!(update(&json!({ "state": { "desired": nested(6) } }), &limits).is_err());
}

#[test]
fn the_size_of_both_sections_counts_together() {
    // {"a":"..."} is eight bytes more than its text.
    let request = |desired: usize, reported: usize| {
        let section = |length: usize| json!({ "a": "x".repeat(length - 8) });
        json!({ "state": { "desired": section(desired), "reported": section(reported) } })
    };
    assert_eq!(refused(&request(4096, 4096).to_string()), None);
    let message = "The payload exceeds the maximum size allowed".to_owned();
    assert_eq!(
        refused(&request(4096, 4097).to_string()),
        Some((413, message))
    );
}

#[test]
fn unusual_requests_are_taken() {
    for payload in [
        r#"{"state":null}"#,
        r#"{"state":{}}"#,
        r#"{"state":{"desired":null,"reported":null}}"#,
        r#"{"state":{"desired":{}},"unknown":[1],"clientToken":"","version":0}"#,
        r#"{"state":{"reported":{"a":[],"b":"","c":0,"d":false,"e":{"f":null}}}}"#,
    ] {
        assert_eq!(refused(payload), None, "{payload}");
    }
}

#[test]
fn a_request_says_what_becomes_of_each_section() {
    let request = json!({ "state": { "desired": null, "reported": { "a": 1 } }, "version": 3 });
    let update = update(&request, &ShadowLimits::default()).expect("sound");
    assert_eq!(update.desired, Change::Cleared);
    assert!(matches!(update.reported, Change::Merged(members) if members["a"] == 1));
    assert_eq!(update.version, Some(3));
}
