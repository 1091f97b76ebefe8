//! Shadows as a user sees them: settings become files and notified services, updates become
//! reported state.

mod common;

use common::services::THING;
use common::{Device, LONG, drop_file, names, sandbox, wait_for};
use serde_json::json;

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
