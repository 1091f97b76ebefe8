//! Shadows as a user sees them: settings become files and notified services, updates become
//! reported state.

mod common;

use std::fs;

use common::services::THING;
use common::{Device, LONG, drop_file, names, sandbox, wait_for};
use iotcore_sandbox::{
    Deny, Event, Sandbox, Shadow, ShadowFault, ShadowKind, ShadowOperation, ShadowTrouble,
};
use serde_json::{Value, json};

#[test]
fn a_setting_changed_in_the_cloud_becomes_a_file_a_notification_and_a_report() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).start();
    let shadow = sandbox.shadow(THING);
    shadow.report(json!({}));
    device.wait_for_log("subscribed");
    shadow.desire(json!({"net": {"address": "10.0.0.1"}, "others": {"x": 1}}));
    device.wait_for_config("net", r#"{"address":"10.0.0.1"}"#);
    assert!(
        shadow.wait_for(LONG, |document| {
            let state = &document["state"];
            state["reported"] == json!({"net": {"address": "10.0.0.1"}})
                && state["desired"] == json!({"others": {"x": 1}})
        }),
        "{:?}",
        shadow.document()
    );
    device.wait_for_notifications("net", 1);
    assert_eq!(device.notified("net"), [r#"{"address":"10.0.0.1"}"#]);
    assert_eq!(device.stop(), Some(0));
}

#[test]
fn an_update_file_becomes_reported_state_and_goes_when_the_cloud_has_accepted_it() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.start();
    drop_file(&updates, "led.1", r#"{"one":"red","two":"green"}"#);
    drop_file(&updates, "led.2", r#"{"one":null,"three":3}"#);
    let shadow = sandbox.shadow(THING);
    let expect = json!({"led": {"two": "green", "three": 3}});
    assert!(shadow.wait_for(LONG, |document| document["state"]["reported"] == expect));
    wait_for("new/ is empty", LONG, || {
        names(&updates.join("new")).is_empty()
    });
    assert_eq!(names(&updates.join("failed")), [""; 0]);
}

/// A sandbox with this state of the thing's shadow.
fn cloud(state: Value) -> (Sandbox, Shadow) {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.update(json!({ "state": state })).expect("a shadow");
    (sandbox, shadow)
}

#[track_caller]
fn wait_for_state(shadow: &Shadow, reported: Value, desired: Value) {
    let section = |document: &Value, name: &str| {
        let found = document["state"].get(name).cloned();
        found.unwrap_or_else(|| json!({}))
    };
    let there = shadow.wait_for(LONG, |document| {
        section(document, "reported") == reported && section(document, "desired") == desired
    });
    assert!(there, "{:?}", shadow.document());
}

/// An ephemeral service `todo` that writes down what it is notified of.
fn commands(device: &mut Device) {
    let log = device.path("todo.notified");
    let notify = format!("cat >> {log}; echo >> {log}", log = log.display());
    let more =
        json!({"ephemeraldata": true, "outfile": null, "outformat": null, "notifycmd": notify});
    device.service("todo", more);
}

fn requests(sandbox: &Sandbox, operation: ShadowOperation) -> usize {
    let asked = |event: &Event| match event {
        Event::Shadow(event) => {
            event.kind == ShadowKind::Request(operation) && event.client_id.is_some()
        }
        _ => false,
    };
    let record = sandbox.record();
    record.iter().filter(|it| asked(&it.event)).count()
}

#[test]
fn a_command_is_carried_out_once_when_another_is_added_and_its_clearing_gets_no_answer() {
    let (sandbox, shadow) = cloud(json!({"desired": {}}));
    let mut device = Device::new(&sandbox);
    commands(&mut device);
    device.start();
    device.wait_for_log("delete/accepted");
    let silence = ShadowFault::once(ShadowTrouble::Ignore).on(ShadowOperation::Update);
    shadow.fault(silence);
    shadow.desire(json!({"todo": {"one": 1}}));
    wait_for("the clearing is asked for", LONG, || {
        requests(&sandbox, ShadowOperation::Update) == 1
    });
    shadow.desire(json!({"todo": {"two": 2}}));
    wait_for_state(&shadow, json!({}), json!({}));
    device.wait_for_notifications("todo", 1);
    shadow.desire(json!({"todo": {"three": 3}}));
    wait_for("the third is carried out", LONG, || {
        device.notified("todo").concat().contains("three")
    });
    let told = device.notified("todo").concat();
    for word in ["one", "two", "three"] {
        assert_eq!(told.matches(word).count(), 1, "{told}");
    }
}

#[test]
fn an_accepted_update_outlives_a_desired_value_that_is_cleared_late() {
    for outfile in [true, false] {
        let (sandbox, shadow) = cloud(json!({"desired": {}}));
        let mut device = Device::new(&sandbox);
        let updates = device.updates(THING);
        if outfile {
            device.service("net", json!({}));
        } else {
            let notify = format!(
                "echo x >> {}; sleep 1",
                device.path("net.notified").display()
            );
            device.service("net", json!({"outfile": "/dev/null", "notifycmd": notify}));
        }
        device.start();
        device.wait_for_log("delete/accepted");
        let refusals = ShadowFault::once(ShadowTrouble::Reject(429)).times(2);
        shadow.fault(refusals.on(ShadowOperation::Update));
        shadow.desire(json!({"net": {"a": 1}}));
        device.wait_for_log("the configuration has changed");
        drop_file(&updates, "net.1", r#"{"a":2}"#);
        wait_for("the file is done with", LONG, || {
            names(&updates.join("new")).is_empty()
        });
        wait_for_state(&shadow, json!({"net": {"a": 2}}), json!({}));
        device.wait_for_notifications("net", 2);
        assert_eq!(device.stop(), Some(0));
        assert_eq!(device.notified("net").len(), 2);
        assert_eq!(names(&updates.join("failed")), [""; 0]);
    }
}

#[test]
fn a_deleted_shadow_is_noticed_and_its_default_comes_back() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--defaultshadow", format!("{THING}:echo '{{\"led\":1}}'"));
    device.service("net", json!({}));
    fs::write(device.outfile("net"), r#"{"a":1}"#).unwrap();
    device.start();
    let shadow = sandbox.shadow(THING);
    let whole = json!({"led": 1, "net": {"a": 1}});
    wait_for_state(&shadow, whole.clone(), json!({}));
    device.wait_for_log("delete/accepted");
    shadow.delete().unwrap();
    wait_for_state(&shadow, whole, json!({}));
    shadow.delete().unwrap();
    shadow.desire(json!({"net": {"b": 2}}));
    let net = json!({"a": 1, "b": 2});
    let there = shadow.wait_for(LONG, |document| {
        let state = &document["state"];
        state["reported"]["net"] == net && state["desired"].is_null()
    });
    assert!(there, "{:?}", shadow.document());
}

#[test]
fn a_policy_that_does_not_know_of_deletions_stops_nothing_else() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let deletions = format!("$aws/things/{THING}/shadow/delete/accepted");
    sandbox.policy("*", vec![Deny::Subscribe(deletions)]);
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).start();
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
}

#[test]
fn a_large_desired_value_is_reported_and_cleared_however_busy_the_shadow_is() {
    let (sandbox, shadow) = cloud(json!({"desired": {}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).start();
    device.wait_for_log("delete/accepted");
    let conflicts = ShadowFault::once(ShadowTrouble::Reject(409)).times(3);
    shadow.fault(conflicts.on(ShadowOperation::Update));
    let large = json!({"net": {"text": "x".repeat(5000)}});
    shadow.desire(large.clone());
    wait_for_state(&shadow, large, json!({}));
    assert_eq!(device.logged("cannot be reported"), 0);
}

#[test]
fn half_a_character_in_a_foreign_key_is_nobody_s_fault() {
    let (sandbox, shadow) = cloud(json!({"desired": {}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).start();
    device.wait_for_log("delete/accepted");
    let desired = r#"{"version":2,"state":{"other":{"x":"a\ud83d"},"net":{"a":1}}}"#;
    let topic = format!("$aws/things/{THING}/shadow/update/delta");
    sandbox.publish(&topic, desired.as_bytes(), 1);
    device.wait_for_config("net", r#"{"a":1}"#);
    assert_eq!(shadow.desired(), None, "the sandbox never held it");
}

#[test]
fn without_a_default_shadow_a_missing_one_is_made_by_an_update_file_alone() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.service("net", json!({}));
    fs::write(device.outfile("net"), r#"{"a":1}"#).unwrap();
    device.start();
    device.wait_for_log("there is no shadow");
    let shadow = sandbox.shadow(THING);
    drop_file(&device.messages(), "1", r#"{"topic":"t","payload":"p"}"#);
    sandbox.wait_for_publishes(1, LONG);
    assert_eq!(requests(&sandbox, ShadowOperation::Update), 0);
    drop_file(&updates, "led", "1");
    wait_for_state(&shadow, json!({"led": 1, "net": {"a": 1}}), json!({}));
}
