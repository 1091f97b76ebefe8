//! Shadow updates and default shadows (manual, SHADOW UPDATES and DEFAULT SHADOW).

mod common;

use std::fs;
use std::path::Path;

use common::services::THING;
use common::{Device, LONG, drop_file, names, sandbox, wait_for};
use iotcore_sandbox::{
    Event, Sandbox, Shadow, ShadowFault, ShadowKind, ShadowOperation, ShadowTrouble,
};
use serde_json::{Value, json};

#[track_caller]
fn wait_for_reported(shadow: &Shadow, reported: Value) {
    let there = shadow.wait_for(LONG, |document| {
        document["state"]
            .get("reported")
            .cloned()
            .unwrap_or_else(|| json!({}))
            == reported
    });
    assert!(there, "{:?}", shadow.document());
}

#[track_caller]
fn wait_for_reason(dir: &Path, name: &str, part: &str) {
    let reason = dir.join("failed").join(format!(".{name}.reason"));
    wait_for(&format!("{name} failed because of {part}"), LONG, || {
        fs::read_to_string(&reason).is_ok_and(|text| text.contains(part))
    });
    assert!(dir.join("failed").join(name).exists());
}

#[track_caller]
fn wait_until_empty(dir: &Path) {
    wait_for("new/ is empty", LONG, || names(&dir.join("new")).is_empty());
}

fn accepted_updates(sandbox: &Sandbox) -> usize {
    let accepted = |event: &Event| match event {
        Event::Shadow(event) => event.kind == ShadowKind::Accepted(ShadowOperation::Update),
        _ => false,
    };
    sandbox
        .record()
        .iter()
        .filter(|record| accepted(&record.event))
        .count()
}

#[test]
fn a_file_is_named_after_its_key_with_or_without_anything_behind_a_dot() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.start();
    drop_file(&updates, "led", r#"{"color":"red"}"#);
    drop_file(&updates, "fan.2026-11-21.x", "7");
    wait_for_reported(
        &sandbox.shadow(THING),
        json!({"led": {"color": "red"}, "fan": 7}),
    );
}

#[test]
fn waiting_files_are_taken_in_the_order_of_their_names_and_travel_together() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    for (name, contents) in [
        ("led.3", r#"{"n":3}"#),
        ("led.1", r#"{"n":1,"one":true}"#),
        ("led.2", r#"{"n":2,"one":"DELETE"}"#),
    ] {
        drop_file(&updates, name, contents);
    }
    device.start();
    let shadow = sandbox.shadow(THING);
    wait_for_reported(&shadow, json!({"led": {"n": 3}}));
    wait_until_empty(&updates);
    assert_eq!(accepted_updates(&sandbox), 1);
}

#[test]
fn what_one_update_cannot_say_travels_in_two() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.report(json!({"led": {"old": 1}}));
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    drop_file(&updates, "led.1", "null");
    drop_file(&updates, "led.2", r#"{"new":2}"#);
    device.start();
    wait_for_reported(&shadow, json!({"led": {"new": 2}}));
}

#[test]
fn a_file_of_a_service_goes_through_its_format_validation_outfile_and_notification() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.service(
        "net",
        json!({"informat": "SHELL", "validatecmd": "c=$(cat); case $c in *bad*) echo 'no bad ones' >&2; exit 1;; esac"}),
    );
    device.start();
    drop_file(&updates, "net.1", "address='10.0.0.1'\nmtu=1400\n");
    drop_file(&updates, "net.2", "mode='bad'\n");
    drop_file(&updates, "net.3", "{not shell}\n");
    drop_file(&updates, "net.4", "export mtu=1500 # larger\n");
    let shadow = sandbox.shadow(THING);
    wait_for_reported(
        &shadow,
        json!({"net": {"address": "10.0.0.1", "mtu": 1500}}),
    );
    wait_for_reason(&updates, "net.2", "exit status: 1");
    wait_for_reason(&updates, "net.3", "is not SHELL");
    device.wait_for_config("net", r#"{"address":"10.0.0.1","mtu":1500}"#);
    wait_for("the last change was notified", LONG, || {
        device
            .notified("net")
            .last()
            .is_some_and(|line| line.contains("1500"))
    });
    wait_until_empty(&updates);
}

#[test]
fn a_file_waits_until_the_cloud_has_accepted_what_is_in_it() {
    let sandbox = sandbox();
    sandbox.shadow(THING).report(json!({}));
    sandbox
        .shadow_fault(ShadowFault::always(ShadowTrouble::Reject(500)).on(ShadowOperation::Update));
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.start();
    drop_file(&updates, "led", "1");
    device.wait_for_log("is requested again");
    assert_eq!(names(&updates.join("new")), ["led"]);
    device.kill();
    device.start();
    device.wait_for_log("is requested again");
    sandbox.clear_shadow_faults();
    wait_for_reported(&sandbox.shadow(THING), json!({"led": 1}));
    wait_until_empty(&updates);
}

#[test]
fn refusals_that_pass_silence_and_conflicts_cost_no_file() {
    for what in [
        ShadowTrouble::Reject(429),
        ShadowTrouble::Reject(500),
        ShadowTrouble::Reject(409),
        ShadowTrouble::Ignore,
        ShadowTrouble::Withhold,
    ] {
        let sandbox = sandbox();
        let shadow = sandbox.shadow(THING);
        shadow.report(json!({}));
        sandbox.shadow_fault(ShadowFault::once(what).on(ShadowOperation::Update));
        let mut device = Device::new(&sandbox);
        let updates = device.updates(THING);
        // With a service the shadow is fetched, too.
        device.service("net", json!({})).start();
        drop_file(&updates, "led", "1");
        drop_file(&updates, "net", r#"{"a":1}"#);
        wait_for_reported(&shadow, json!({"led": 1, "net": {"a": 1}}));
        wait_until_empty(&updates);
        assert_eq!(names(&updates.join("failed")), [""; 0]);
    }
}

#[test]
fn of_many_files_only_the_one_that_the_cloud_refuses_goes_to_failed() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    let large = json!({"text": "x".repeat(9000)}).to_string();
    drop_file(&updates, "a", "1");
    drop_file(&updates, "b", large);
    drop_file(&updates, "c", "[1,null]");
    drop_file(&updates, "d", "4");
    device.start();
    wait_for_reported(&sandbox.shadow(THING), json!({"a": 1, "d": 4}));
    wait_for_reason(&updates, "b", "413");
    wait_for_reason(&updates, "c", "400");
    wait_until_empty(&updates);
    assert_eq!(names(&updates.join("failed")), ["b", "c"]);
}

#[test]
fn files_that_are_no_updates_go_to_failed_and_stop_nobody() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.start();
    drop_file(&updates, "broken", "{\"a\":");
    drop_file(&updates, "huge", format!("\"{}\"", "x".repeat(200_000)));
    drop_file(&updates, "larger", vec![b'1'; 2 * 1024 * 1024]);
    drop_file(&updates, "fine", "true");
    wait_for_reported(&sandbox.shadow(THING), json!({"fine": true}));
    wait_for_reason(&updates, "broken", "is not JSON");
    wait_for_reason(&updates, "huge", "KiB");
    wait_for_reason(&updates, "larger", "1 MiB");
}

#[test]
fn update_files_for_an_ephemeral_service_are_carried_out_and_not_reported() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    let log = device.path("reboot.notified");
    let notify = format!("cat >> {log}; echo >> {log}", log = log.display());
    let ephemeral =
        json!({"ephemeraldata": true, "outfile": null, "outformat": null, "notifycmd": notify});
    device.service("reboot", ephemeral).start();
    drop_file(&updates, "reboot", r#"{"delay":3}"#);
    drop_file(&updates, "led", "1");
    device.wait_for_notifications("reboot", 1);
    assert_eq!(device.notified("reboot"), [r#"{"delay":3}"#]);
    wait_for_reported(&sandbox.shadow(THING), json!({"led": 1}));
    wait_until_empty(&updates);
}

#[test]
fn every_update_file_of_an_ephemeral_service_is_a_command_of_its_own() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    let log = device.path("play.notified");
    let notify = format!("cat >> {log}; echo >> {log}", log = log.display());
    let ephemeral =
        json!({"ephemeraldata": true, "outfile": null, "outformat": null, "notifycmd": notify});
    device.service("play", ephemeral);
    for number in 1..=5 {
        drop_file(
            &updates,
            &format!("play.{number}"),
            format!("{{\"tone\":{number}}}"),
        );
    }
    device.start();
    device.wait_for_notifications("play", 5);
    let expect: Vec<String> = (1..=5).map(|tone| format!("{{\"tone\":{tone}}}")).collect();
    assert_eq!(device.notified("play"), expect);
    wait_until_empty(&updates);
}

#[test]
fn an_update_file_without_contents_removes_nothing() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.report(json!({"net": {"a": 1}, "led": {"b": 2}}));
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.service("net", json!({"informat": "SHELL"}));
    fs::write(device.outfile("net"), r#"{"a":1}"#).unwrap();
    device.start();
    drop_file(&updates, "net.1", "");
    drop_file(&updates, "net.2", "# nothing to say\n");
    drop_file(&updates, "led.1", "{}");
    drop_file(&updates, "led.2", "");
    wait_for_reason(&updates, "led.2", "is empty, not JSON");
    drop_file(&updates, "end", "1");
    wait_for_reported(&shadow, json!({"net": {"a": 1}, "led": {"b": 2}, "end": 1}));
    wait_until_empty(&updates);
}

#[test]
fn updates_go_on_for_the_others_beside_a_configuration_that_is_too_large() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.report(json!({}));
    let mut device = Device::new(&sandbox);
    device.service("big", json!({})).service("net", json!({}));
    let large = json!({"text": "x".repeat(300_000)}).to_string();
    fs::write(device.outfile("big"), large).unwrap();
    device.start();
    shadow.desire(json!({"net": {"a": 1}, "big": {"b": 2}}));
    wait_for_reported(&shadow, json!({"net": {"a": 1}}));
    device.wait_for_log("too large to be reported");
    assert!(shadow.wait_for(LONG, |it| it["state"].get("desired").is_none()));
}

/// A device with this default-shadow command and a service `net`.
fn seeded(sandbox: &Sandbox, command: &str) -> Device {
    let mut device = Device::new(sandbox);
    device.option("--defaultshadow", format!("{THING}:{command}"));
    device.service("net", json!({})).start();
    device
}

#[test]
fn a_missing_shadow_is_seeded_by_its_command_and_handed_to_the_services() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("thing");
    let command = format!(
        r#"cat > {}; echo '{{"net":{{"a":1}},"led":{{"on":true,"off":null}}}}'"#,
        seen.display()
    );
    let device = seeded(&sandbox, &command);
    let shadow = sandbox.shadow(THING);
    wait_for_reported(&shadow, json!({"net": {"a": 1}, "led": {"on": true}}));
    device.wait_for_config("net", r#"{"a":1}"#);
    device.wait_for_notifications("net", 1);
    assert_eq!(fs::read_to_string(seen).unwrap(), format!("{THING}\n"));
}

#[test]
fn a_default_shadow_may_say_more_than_its_services_write() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option(
        "--defaultshadow",
        format!("{THING}:echo '{{\"net\":{{\"a\":1,\"rssi\":0}}}}'"),
    );
    device.service("net", json!({"outkeys": ["a"]})).start();
    wait_for_reported(&sandbox.shadow(THING), json!({"net": {"a": 1, "rssi": 0}}));
    device.wait_for_config("net", r#"{"a":1}"#);
}

#[test]
fn a_shadow_that_exists_is_not_seeded() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.desire(json!({"net": {"b": 2}}));
    let device = seeded(&sandbox, "echo '{\"net\":{\"a\":1}}'");
    device.wait_for_config("net", r#"{"b":2}"#);
    wait_for_reported(&shadow, json!({"net": {"b": 2}}));
}

#[test]
fn a_default_shadow_that_fails_hangs_or_prints_garbage_leaves_an_empty_shadow() {
    for (command, part) in [
        ("exit 3", "exit status: 3"),
        ("sleep 1000", "did not end within 5 s"),
        ("echo oops", "is not a JSON object"),
        ("echo '[1]'", "is not a JSON object"),
        ("exec yes", "printed more than"),
        ("/nonexistent/seed", "exit status: 127"),
    ] {
        let sandbox = sandbox();
        let device = seeded(&sandbox, command);
        let shadow = sandbox.shadow(THING);
        assert!(
            shadow.wait_for(LONG, |document| document["version"] == json!(1)),
            "{command}"
        );
        assert_eq!(shadow.reported(), None, "{command}");
        device.wait_for_log(part);
        shadow.desire(json!({"net": {"a": 1}}));
        device.wait_for_config("net", r#"{"a":1}"#);
    }
}

#[test]
fn a_default_shadow_that_the_cloud_refuses_leaves_an_empty_shadow() {
    let sandbox = sandbox();
    let device = seeded(&sandbox, "printf '{\"x\":\"%09000d\"}' 1");
    let shadow = sandbox.shadow(THING);
    assert!(shadow.wait_for(LONG, |document| document["version"] == json!(1)));
    device.wait_for_log("cannot be made");
}
