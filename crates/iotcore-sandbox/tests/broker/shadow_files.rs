//! Shadows as files: what the sandbox writes, and what the edits of a person do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iotcore_sandbox::{Event, Record, Sandbox, Shadow, ShadowKind, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Device, SOON, builder, story};

fn sandbox() -> (Sandbox, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    (start(dir.path()), dir)
}

fn start(dir: &Path) -> Sandbox {
    builder().shadow_dir(dir).start().expect("it starts")
}

/// Waits until a file says this.
fn shows(file: PathBuf, expected: Value) {
    let until = Instant::now() + SOON;
    let read = || {
        let text = fs::read_to_string(&file).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    };
    while read().as_ref() != Some(&expected) {
        assert!(
            Instant::now() < until,
            "{} says {:?}",
            file.display(),
            read()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until this is desired.
fn desired(shadow: &Shadow, expected: Value) {
    let is = shadow.wait_for(SOON, |document| {
        let desired = document.pointer("/state/desired");
        !document.is_null() && *desired.unwrap_or(&json!({})) == expected
    });
    assert!(is, "{:?}", shadow.document());
}

/// Waits until this many problems with files were recorded.
fn told(sandbox: &Sandbox, file: &Path, count: usize) {
    let about = |record: &&Record| matches!(&record.event, Event::ShadowFile { file: told, .. } if told == file);
    let all = sandbox.wait_for(SOON, |records| {
        (records.iter().filter(about).count() == count).then_some(())
    });
    assert!(all.is_some(), "{}", story(sandbox));
}

fn updates(sandbox: &Sandbox) -> usize {
    let records = sandbox.record().into_iter();
    let asked = |event| matches!(event, Event::Shadow(event) if matches!(event.kind, ShadowKind::Request(_)));
    records.filter(|record| asked(record.event.clone())).count()
}

#[test]
fn each_change_of_a_shadow_is_in_its_files() {
    let (sandbox, dir) = sandbox();
    let file = |name: &str| dir.path().join(name);
    sandbox.shadow("t").desire(json!({ "a": { "b": 1 } }));
    shows(file("t.desired.json"), json!({ "a": { "b": 1 } }));
    shows(file("t.reported.json"), json!({}));
    let text = fs::read_to_string(file("t.desired.json")).unwrap();
    assert_eq!(text, "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n");

    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.publish(
        "$aws/things/t/shadow/name/s/update",
        br#"{"state":{"reported":{"c":2}}}"#,
        0,
    );
    shows(file("t~s.reported.json"), json!({ "c": 2 }));
    device.publish(
        "$aws/things/t/shadow/update",
        br#"{"state":{"desired":null}}"#,
        0,
    );
    shows(file("t.desired.json"), json!({}));
}

#[test]
fn an_edit_is_what_is_desired_however_the_editor_saves() {
    let (sandbox, dir) = sandbox();
    let shadow = sandbox.shadow("t");
    shadow.desire(json!({ "a": 1, "o": { "b": 2, "c": 3 } }));
    let file = dir.path().join("t.desired.json");
    shows(file.clone(), json!({ "a": 1, "o": { "b": 2, "c": 3 } }));

    // In place; null is as good as nothing.
    fs::write(&file, r#"{ "o": {"c": 4}, "n": null }"#).unwrap();
    desired(&shadow, json!({ "o": { "c": 4 } }));
    // By renaming.
    let new = dir.path().join("4913");
    fs::write(&new, r#"{"d":5}"#).unwrap();
    fs::rename(&new, &file).unwrap();
    desired(&shadow, json!({ "d": 5 }));
    // With a moment at which there is no file.
    fs::rename(&file, dir.path().join("t.desired.json~")).unwrap();
    fs::write(&file, "{}").unwrap();
    desired(&shadow, json!({}));
    assert_eq!(
        (shadow.version(), updates(&sandbox)),
        (Some(4), 4),
        "each edit once"
    );
}

#[test]
fn an_edit_reaches_the_device() {
    let (sandbox, dir) = sandbox();
    let mut device = Device::connect(&sandbox, Version::V5, "pump");
    device.subscribe(&[("$aws/things/t/shadow/update/delta", 1)]);
    fs::write(dir.path().join("t.desired.json"), r#"{"fan":"on"}"#).unwrap();
    let (_, delta) = device.message();
    let delta: Value = serde_json::from_str(&delta).unwrap();
    assert_eq!(delta["state"], json!({ "fan": "on" }));
    assert_eq!(
        sandbox.shadow("t").version(),
        Some(1),
        "the file has made the shadow"
    );
}

#[test]
fn an_invalid_edit_is_recorded_and_not_replaced_until_it_is_corrected() {
    let (sandbox, dir) = sandbox();
    let shadow = sandbox.shadow("t");
    let file = dir.path().join("t.desired.json");
    let broken = ["{\"a\":", "[1]", "{\"a\":[null]}"];
    for (before, broken) in broken.into_iter().enumerate() {
        fs::write(&file, broken).unwrap();
        told(&sandbox, &file, before + 1);
        shadow.desire(json!({ "b": broken.len() }));
        shows(dir.path().join("t.reported.json"), json!({}));
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            broken,
            "the person may still be at it"
        );

        fs::write(&file, format!("{{\"mended\":{}}}", broken.len())).unwrap();
        desired(&shadow, json!({ "mended": broken.len() }));
    }
}

#[test]
fn what_the_sandbox_writes_is_no_edit() {
    let (sandbox, dir) = sandbox();
    let shadow = sandbox.shadow("t");
    for n in 0..20 {
        shadow.desire(json!({ "n": n }));
        shows(dir.path().join("t.desired.json"), json!({ "n": n }));
    }
    // An edit of another shadow is seen later than one's own writing would be.
    fs::write(dir.path().join("u.desired.json"), r#"{"a":1}"#).unwrap();
    desired(&sandbox.shadow("u"), json!({ "a": 1 }));
    assert_eq!(updates(&sandbox), 21);
}

#[test]
fn a_deleted_shadow_has_no_files() {
    let (sandbox, dir) = sandbox();
    let shadow = sandbox.shadow("t");
    shadow.report(json!({ "a": 1 }));
    shows(dir.path().join("t.desired.json"), json!({}));
    shows(dir.path().join("t.reported.json"), json!({ "a": 1 }));
    shadow.delete().unwrap();
    drop(sandbox);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn shadows_outlive_the_sandbox_in_their_files() {
    let (sandbox, dir) = sandbox();
    sandbox.shadow("t").desire(json!({ "a": 1 }));
    sandbox.shadow("t").report(json!({ "a": 0 }));
    sandbox.named_shadow("t", "s").report(json!({ "b": 1 }));
    drop(sandbox);
    let sandbox = start(dir.path());
    assert_eq!(sandbox.shadow("t").delta(), Some(json!({ "a": 1 })));
    assert_eq!(sandbox.shadow("t").reported(), Some(json!({ "a": 0 })));
    assert_eq!(
        sandbox.named_shadow("t", "s").reported(),
        Some(json!({ "b": 1 }))
    );
    assert_eq!(sandbox.shadow("t").version(), Some(1));
}
