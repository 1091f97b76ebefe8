use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn script(file: &str) -> Script {
    Script {
        file: file.into(),
        sources: Arc::default(),
    }
}

fn checked(file: &str, object: Value, others: &[(&str, &str)]) -> Result<Checked, String> {
    let Value::Object(values) = object else {
        panic!("an object");
    };
    let others = others
        .iter()
        .map(|(key, kind)| (key.to_string(), kind.to_string()));
    let others: BTreeMap<String, String> = others.collect();
    service(Exported { values, others }, &script(file))
}

/// A good definition with these keys over it; `null` takes a key away.
fn with(changes: Value) -> Value {
    let mut object = json!({
        "key": "network",
        "outfile": "/etc/network.rc",
        "outformat": "SHELL",
        "notifycmd": "sv restart network",
    });
    for (key, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(object.as_object_mut().expect("an object").remove(key)),
            value => object[key] = value.clone(),
        }
    }
    object
}

fn good(changes: Value) -> Service {
    let checked = checked("a.json", with(changes), &[]).expect("a good definition");
    assert_eq!(checked.ignored, [] as [&str; 0]);
    checked.service
}

fn refused(changes: Value) -> String {
    let shown = changes.to_string();
    checked("a.json", with(changes), &[]).expect_err(&shown)
}

#[test]
fn the_shortest_definition_has_the_defaults() {
    let service = good(json!({}));
    assert_eq!(
        (service.file.as_str(), service.key.as_str()),
        ("a.json", "network")
    );
    assert_eq!(service.notify, "sv restart network");
    let Output::File { path, format, keys } = service.output else {
        panic!("a file");
    };
    assert_eq!(path, Path::new("/etc/network.rc"));
    assert_eq!((format, keys), (Format::Shell, None));
    assert_eq!(service.informat, Format::Json);
    assert_eq!((service.notify_keys, service.initial_notify), (None, false));
    assert_eq!(service.timeout, Duration::from_secs(10));
    assert!(matches!(service.validation, Validation::None));
}

#[test]
fn every_key_is_used() {
    let service = good(json!({
        "informat": "PLAINTEXT",
        "outkeys": ["a", "b"],
        "notifykeys": ["a"],
        "initialnotify": true,
        "ephemeraldata": false,
        "timeout": 2.5,
        "validatecmd": "grep -q a",
        "_comment": {"of": "the author"},
    }));
    let Output::File { keys, .. } = service.output else {
        panic!("a file");
    };
    assert_eq!(keys, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(service.informat, Format::Plaintext);
    assert_eq!(service.notify_keys, Some(vec!["a".to_owned()]));
    assert!(service.initial_notify);
    assert_eq!(service.timeout, Duration::from_millis(2500));
    assert!(matches!(service.validation, Validation::Command(command) if command == "grep -q a"));
}

#[test]
fn ephemeral_data_needs_no_outfile_and_ignores_one() {
    let ephemeral = json!({"ephemeraldata": true, "outfile": null, "outformat": null});
    assert!(matches!(good(ephemeral).output, Output::Ephemeral));
    let object = with(json!({"ephemeraldata": true, "outformat": null}));
    let checked = checked("a.json", object, &[]).expect("a good definition");
    let expected = "key 'outfile' is ignored, because of ephemeraldata nothing is written";
    assert_eq!(checked.ignored, [expected]);
}

#[test]
fn what_is_wrong_is_reported_with_the_key_and_the_remedy() {
    for (changes, expected) in [
        (
            json!({"key": null}),
            "key 'key' is missing, write the shadow's key (a file that others only require has a name that begins with '_')",
        ),
        (json!({"key": ""}), "key 'key' is empty"),
        (json!({"key": 7}), "key 'key' is a number, not a string"),
        (
            json!({"key": "a\nb"}),
            "key 'key' contains a control character",
        ),
        (
            json!({"key": "é".repeat(128)}),
            "key 'key' has more than 255 bytes",
        ),
        (
            json!({"outfile": null}),
            "key 'outfile' is missing, write the path of the file, or 'ephemeraldata: true' if there is to be none",
        ),
        (
            json!({"outfile": "etc/a"}),
            "key 'outfile' is 'etc/a', not an absolute path",
        ),
        (
            json!({"outfile": "/etc/"}),
            "key 'outfile' is '/etc/', not the path of a file",
        ),
        (
            json!({"outfile": "/etc/.."}),
            "key 'outfile' is '/etc/..', not the path of a file",
        ),
        (
            json!({"outfile": "/etc/\u{0}"}),
            "key 'outfile' contains a NUL",
        ),
        (
            json!({"outformat": null}),
            "key 'outformat' is missing, use JSON, SHELL or PLAINTEXT",
        ),
        (
            json!({"outformat": "YAML"}),
            "key 'outformat' is wrong: unknown format 'YAML', use JSON, SHELL or PLAINTEXT",
        ),
        (
            json!({"informat": "json"}),
            "key 'informat' is wrong: unknown format 'json', use JSON, SHELL or PLAINTEXT",
        ),
        (
            json!({"notifycmd": null}),
            "key 'notifycmd' is missing, write a shell command, for example 'sv restart foo'",
        ),
        (
            json!({"notifycmd": ["sv"]}),
            "key 'notifycmd' is an array, not a string",
        ),
        (
            json!({"outkeys": "a"}),
            "key 'outkeys' is not an array of strings",
        ),
        (
            json!({"notifykeys": ["a", 1]}),
            "key 'notifykeys' contains a number, not only strings",
        ),
        (
            json!({"initialnotify": "yes"}),
            "key 'initialnotify' is a string, not true or false",
        ),
        (
            json!({"ephemeraldata": 1}),
            "key 'ephemeraldata' is a number, not true or false",
        ),
        (
            json!({"timeout": "10"}),
            "key 'timeout' is a string, not a number of seconds",
        ),
        (
            json!({"timeout": 0}),
            "key 'timeout' is 0, use seconds from 0.001 to 86400",
        ),
        (
            json!({"timeout": -1}),
            "key 'timeout' is -1, use seconds from 0.001 to 86400",
        ),
        (
            json!({"timeout": 86401}),
            "key 'timeout' is 86401, use seconds from 0.001 to 86400",
        ),
        (
            json!({"validatecmd": true}),
            "key 'validatecmd' is a boolean, not a string",
        ),
        (
            json!({"validate": "x"}),
            "key 'validate' is a function and needs a .js file, use 'validatecmd' here",
        ),
        (
            json!({"key": 1, "outfile": "a", "ky": 2}),
            "key 'key' is a number, not a string; key 'outfile' is 'a', not an absolute path; unknown key 'ky' is ignored, did you mean 'key'?",
        ),
    ] {
        assert_eq!(refused(changes), expected);
    }
}

#[test]
fn a_key_may_be_any_text() {
    for key in ["__proto__", "constructor", "a b", "ü/.", "toString"] {
        assert_eq!(good(json!({"key": key})).key, key);
    }
}

#[test]
fn an_unknown_key_is_reported_and_the_rest_used() {
    let object = with(json!({"outkey": ["a"], "description": "of mine", "_note": 1}));
    let checked = checked("a.json", object, &[]).expect("a good definition");
    let expected = [
        "unknown key 'outkey' is ignored, did you mean 'outkeys'?",
        "unknown key 'description' is ignored",
    ];
    assert_eq!(checked.ignored, expected);
}

#[test]
fn only_validate_may_be_a_function() {
    let function = "a function";
    let js = |others: &[(&str, &str)]| checked("a.js", with(json!({})), others);
    let checked_js = js(&[("validate", function), ("_helper", function)]).expect("good");
    let Validation::Script(script) = checked_js.service.validation else {
        panic!("a script");
    };
    assert_eq!(script.file, "a.js");
    let refused = |others: &[(&str, &str)]| js(others).expect_err("refused");
    let advice = "only 'validate' may be a function; keep others outside the exported object";
    let expected = format!("key 'helper' is a function, {advice}");
    assert_eq!(refused(&[("helper", function)]), expected);
    let expected = "key 'timeout' is NaN, not a number of seconds";
    assert_eq!(refused(&[("timeout", "NaN")]), expected);
    let expected = "key 'validate' is not a function";
    assert_eq!(refused(&[("validate", "a BigInt")]), expected);
    let object = with(json!({"notifycmd": null}));
    let expected = "key 'notifycmd' is a function, not a string";
    let refused = checked("a.js", object, &[("notifycmd", function)]).expect_err("refused");
    assert_eq!(refused, expected);
}

#[test]
fn there_is_one_way_to_validate() {
    let both = with(json!({"validatecmd": "true"}));
    let refused = checked("a.js", both, &[("validate", "a function")]).expect_err("refused");
    assert_eq!(
        refused,
        "key 'validatecmd' stands beside 'validate', remove one of them"
    );
    let command = with(json!({"validatecmd": "true"}));
    let checked = checked("a.js", command, &[]).expect("a good definition");
    assert!(matches!(checked.service.validation, Validation::Command(_)));
}
