use super::*;
use crate::mqtt::Properties;
use serde_json::{Value, json};

fn composed(file: &str) -> Result<Composed, String> {
    MessageFile::parse(file.as_bytes())?.compose(None, "", "")
}

fn with_letterhead(letterhead: Value, file: &str) -> Result<Publish, String> {
    let letterhead = letterhead_of(&letterhead);
    MessageFile::parse(file.as_bytes())?
        .compose(Some(letterhead), "", "")
        .map(|composed| composed.publish)
}

fn letterhead_of(letterhead: &Value) -> Members {
    Members::parse(letterhead.to_string().as_bytes()).expect("an object")
}

#[track_caller]
fn refused(file: &str, part: &str) {
    match composed(file) {
        Err(why) => assert!(why.contains(part), "{file}: {why}"),
        Ok(composed) => panic!("{file}: {composed:?}"),
    }
}

fn payload(file: &str) -> String {
    String::from_utf8(composed(file).unwrap().publish.payload.to_vec()).unwrap()
}

#[test]
fn a_message_has_a_topic_and_a_payload_and_sensible_defaults() {
    let Composed { publish, warnings } = composed(r#"{"topic":"a/b","payload":"x"}"#).unwrap();
    assert_eq!(
        (publish.topic.as_str(), &publish.payload[..]),
        ("a/b", &b"x"[..])
    );
    assert_eq!((publish.qos, publish.retain), (QoS::AtLeastOnce, false));
    assert_eq!(publish.properties, Properties::default());
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_string_is_sent_as_it_is_and_everything_else_as_compact_json() {
    assert_eq!(
        payload(r#"{"topic":"t","payload":"a \"b\" é"}"#),
        "a \"b\" é"
    );
    assert_eq!(
        payload(r#"{"topic":"t","payload":{"b" : 1,"a":[ 1.50, null ]}}"#),
        r#"{"b":1,"a":[1.50,null]}"#
    );
    for number in [
        "1e400",
        "1E5",
        "-0.0",
        "1.10",
        "123456789012345678901234567890",
    ] {
        let file = format!(r#"{{"topic":"t","payload":{number}}}"#);
        assert_eq!(payload(&file), number, "digit for digit");
    }
    for value in [
        r#"{"$serde_json::private::Number":"12"}"#,
        r#"["\ud800"]"#,
        "null",
    ] {
        let file = format!(r#"{{"topic":"t","payload":{value}}}"#);
        assert_eq!(payload(&file), value, "untouched");
    }
    assert_eq!(payload(r#"{"topic":"t","payload":false}"#), "false");
    assert_eq!(
        payload(r#"{"topic":"t","payload":18446744073709551616}"#),
        "18446744073709551616"
    );
}

#[test]
fn what_can_never_be_published_is_refused_with_its_reason() {
    refused("", "is empty");
    refused(" \n", "is empty");
    refused("{", "is not JSON");
    refused("[1]", "is an array");
    refused("\u{feff}{}", "is not JSON");
    refused(r#"{"payload":"x"}"#, "\"topic\" is missing");
    refused(r#"{"topic":"t"}"#, "\"payload\" is missing");
    refused(r#"{"topic":7,"payload":"x"}"#, "is a number");
    refused(r#"{"topic":"","payload":"x"}"#, "\"topic\" is empty");
    refused(r#"{"topic":"a/+","payload":"x"}"#, "'+'");
    refused(r##"{"topic":"#","payload":"x"}"##, "'#'");
    refused(r#"{"topic":"t","payload":"x","qos":2}"#, "use 0 or 1");
    refused(r#"{"topic":"t","payload":"x","qos":"3"}"#, "use 0 or 1");
    refused(r#"{"topic":"t","payload":"x","qos":0.5}"#, "use 0 or 1");
    refused(r#"{"topic":"t","payload":"x","qos":true}"#, "use 0 or 1");
    refused(r#"{"topic":"t","payload":"x","retain":2}"#, "true or false");
    refused(
        r#"{"topic":"t","payload":"x","retain":"1"}"#,
        "true or false",
    );
    refused(r#"{"topic":"t","payload":"x","payload_base64":""}"#, "both");
    refused(r#"{"topic":"t","payload_base64":"%"}"#, "not base64");
    refused(r#"{"topic":"t","payload_base64":1}"#, "is a number");
    refused(
        r#"{"topic":"t","payload":"x","priority":"high"}"#,
        "not a number",
    );
    refused(
        r#"{"topic":"t","payload":"x","priority_slot":[]}"#,
        "not a string or a number",
    );
    let slot = "s".repeat(257);
    refused(
        &format!(r#"{{"topic":"t","payload":"x","priority_slot":"{slot}"}}"#),
        "256 bytes",
    );
    refused(
        &format!(r#"{{"topic":"{}","payload":"x"}}"#, "t".repeat(257)),
        "257 bytes",
    );
    refused(
        &format!(r#"{{"topic":"t","payload":"{}"}}"#, "x".repeat(131_073)),
        "131073 bytes",
    );
    refused(
        &format!(
            r#"{{"topic":"t","payload":{}1{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        ),
        "recursion",
    );
    assert!(
        MessageFile::parse(b"\xff\xfe{}")
            .unwrap_err()
            .contains("not JSON")
    );
    assert!(
        MessageFile::parse(br#"{"topic":"\ud800","payload":1}"#)
            .unwrap_err()
            .contains("not JSON")
    );
}

#[test]
fn the_largest_payload_passes_and_compression_counts() {
    let large = "x".repeat(131_072);
    assert_eq!(
        payload(&format!(r#"{{"topic":"t","payload":"{large}"}}"#)).len(),
        131_072
    );
    let larger = "x".repeat(900_000);
    let file = format!(r#"{{"topic":"t","payload":"{larger}","compress":"gzip"}}"#);
    assert!(composed(&file).unwrap().publish.payload.len() < 10_000);
}

#[test]
fn an_unknown_compression_is_worth_a_warning_and_no_more() {
    for unknown in [r#""rar""#, "7", "null"] {
        let file = format!(r#"{{"topic":"t","payload":"x","compress":{unknown}}}"#);
        let Composed { publish, warnings } = composed(&file).unwrap();
        assert_eq!(&publish.payload[..], b"x");
        assert!(warnings[0].contains("uncompressed"), "{warnings:?}");
    }
}

#[test]
fn what_other_languages_write_for_qos_retain_and_base64_is_taken() {
    let with = |member: &str| {
        composed(&format!(r#"{{"topic":"t","payload":"x",{member}}}"#))
            .unwrap()
            .publish
    };
    for one in ["1", "1.0", r#""1""#, r#""1.0""#] {
        assert_eq!(with(&format!(r#""qos":{one}"#)).qos, QoS::AtLeastOnce);
    }
    for zero in ["0", "0.0", "-0", r#""0""#] {
        assert_eq!(with(&format!(r#""qos":{zero}"#)).qos, QoS::AtMostOnce);
    }
    for (value, retain) in [("1", true), ("1.0", true), ("0", false), ("true", true)] {
        assert_eq!(with(&format!(r#""retain":{value}"#)).retain, retain);
    }
    for base64 in ["AAECAw==", "AAECAw", r"AAEC\nAw==\n", "AA EC\tAw= ="] {
        let base64 = base64.replace('\t', " ");
        let file = format!(r#"{{"topic":"t","payload_base64":"{base64}"}}"#);
        let payload = composed(&file).unwrap().publish.payload;
        assert_eq!(&payload[..], b"\x00\x01\x02\x03", "{base64}");
    }
}

#[test]
fn numbers_survive_a_letterhead_digit_for_digit() {
    let letterhead = Members::parse(br#"{"topic":"t","payload":{"a":1E5,"n":{"x":1.0}}}"#).unwrap();
    let message =
        MessageFile::parse(br#"{"payload":{"b":100000000000000000001,"n":{"y":2e0}}}"#).unwrap();
    let publish = message.compose(Some(letterhead), "", "").unwrap().publish;
    assert_eq!(
        &publish.payload[..],
        br#"{"a":1E5,"n":{"x":1.0,"y":2e0},"b":100000000000000000001}"#
    );
}

#[test]
fn properties_are_read_and_checked() {
    let file = r#"{"topic":"t","payload":"x","properties":{"content_type":"text/plain","response_topic":"r",
        "correlation_data":"c","message_expiry":60,"user":{"z":"1","a":"2"}}}"#;
    let properties = composed(file).unwrap().publish.properties;
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    assert_eq!(properties.response_topic.as_deref(), Some("r"));
    assert_eq!(properties.correlation_data.as_deref(), Some(&b"c"[..]));
    assert_eq!(properties.message_expiry, Some(60));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        properties.user,
        [pair("z", "1"), pair("a", "2")],
        "order is kept"
    );
    let with =
        |properties: &str| format!(r#"{{"topic":"t","payload":"x","properties":{properties}}}"#);
    refused(&with("[]"), "not an object");
    refused(&with(r#"{"content_type":1}"#), "not a string");
    refused(&with(r#"{"response_topic":"a/#"}"#), "'#'");
    refused(&with(r#"{"message_expiry":-1}"#), "seconds");
    refused(&with(r#"{"user":["a"]}"#), "not an object");
    refused(&with(r#"{"user":{"a":1}}"#), "not a string");
    refused(&with(r#"{"contenttype":"x"}"#), "unknown");
    refused(
        &with(&format!(r#"{{"content_type":"{}"}}"#, "x".repeat(9000))),
        "9000 bytes",
    );
}

#[test]
fn a_message_is_merged_deeply_onto_its_letterhead_and_wins() {
    let letterhead = json!({"topic": "from/letterhead", "qos": 0, "payload": {"site": 7, "deep": {"a": 1, "b": 2}}});
    let publish = with_letterhead(
        letterhead,
        r#"{"payload":{"value":5,"deep":{"b":3}},"retain":true}"#,
    )
    .unwrap();
    assert_eq!(
        (publish.topic.as_str(), publish.qos, publish.retain),
        ("from/letterhead", QoS::AtMostOnce, true)
    );
    assert_eq!(
        &publish.payload[..],
        br#"{"site":7,"deep":{"a":1,"b":3},"value":5}"#
    );
}

#[test]
fn of_two_forms_of_payload_the_message_chooses() {
    let publish = with_letterhead(
        json!({"topic": "t", "payload": "x"}),
        r#"{"payload_base64":"AAE="}"#,
    )
    .unwrap();
    assert_eq!(&publish.payload[..], b"\x00\x01");
    let publish = with_letterhead(
        json!({"topic": "t", "payload_base64": "AAE="}),
        r#"{"payload":"y"}"#,
    )
    .unwrap();
    assert_eq!(&publish.payload[..], b"y");
}

#[test]
fn priorities_come_from_the_message_alone() {
    let message =
        MessageFile::parse(br#"{"priority":-3,"priority_slot":"s","topic":"t","payload":1}"#)
            .unwrap();
    assert_eq!(
        (message.priority, message.slot.as_deref(), message.topic()),
        (Some(Priority::new(-3.0)), Some("s"), Some("t"))
    );
    let message = MessageFile::parse(br#"{"priority":0.50,"priority_slot":7}"#).unwrap();
    assert_eq!(
        (message.priority, message.slot.as_deref()),
        (Some(Priority::new(0.5)), Some("7"))
    );
    assert_eq!(message.priority_text.as_deref(), Some("0.50"));
    let publish = with_letterhead(
        json!({"priority": "nonsense", "topic": "t"}),
        r#"{"payload":1}"#,
    );
    assert!(
        publish.is_ok(),
        "a letterhead's priority is nobody's business"
    );
}

#[test]
fn prefix_and_suffix_surround_the_topic_and_count() {
    let message = || MessageFile::parse(br#"{"topic":"b","payload":1}"#).unwrap();
    assert_eq!(
        message().compose(None, "a/", "/c").unwrap().publish.topic,
        "a/b/c"
    );
    let deep = message().compose(None, "1/2/3/4/5/6/7/", "/c").unwrap_err();
    assert!(deep.contains("8 slashes"), "{deep}");
}

/// Law: whatever bytes a file holds, parsing and composing end with a message or a reason.
#[test]
fn no_file_makes_parsing_panic() {
    let seeds: [&[u8]; 3] = [
        br#"{"topic":"a/b","payload":{"x":[1,2.5,null]},"qos":1,"retain":false,"priority":1}"#,
        br#"{"topic":"t","payload_base64":"AAE=","compress":"gzip","properties":{"user":{"a":"b"}}}"#,
        b"{}[]\",:0\\u",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, seeds[2][random.usize(..seeds[2].len())]),
                _ => bytes.truncate(at + 1),
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        if let Ok(message) = MessageFile::parse(&bytes) {
            let _ = message.compose(None, "p", "s");
        }
    }
}

#[test]
fn a_reason_holds_no_more_than_a_glimpse_of_the_message() {
    let long = "x".repeat(10_000);
    for file in [
        format!(r#"{{"topic":"t","payload":1,"qos":["{long}"]}}"#),
        format!(r#"{{"topic":"{long}/+","payload":1}}"#),
        format!(r#"{{"topic":"t","payload":1,"properties":{{"{long}":1}}}}"#),
        format!(r#"{{"topic":"t","payload":1,"properties":{{"user":{{"{long}":1}}}}}}"#),
    ] {
        let why = composed(&file).unwrap_err();
        assert!(why.len() < 250, "{why}");
    }
}
