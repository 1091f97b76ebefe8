//! Services (manual, SERVICES): outfiles, notify commands, validation.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use common::services::THING;
use common::tmpfs::Tmpfs;
use common::{Device, LONG, drop_file, is_root, names, sandbox, wait_for};
use iotcore_sandbox::{Sandbox, Shadow};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A sandbox with the thing's shadow in this state.
fn cloud(state: Value) -> (Sandbox, Shadow) {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.update(json!({ "state": state })).expect("a shadow");
    (sandbox, shadow)
}

#[track_caller]
fn wait_for_state(shadow: &Shadow, reported: Value, desired: Value) {
    let there = shadow.wait_for(LONG, |document| {
        let state = &document["state"];
        let of = |name: &str| state.get(name).cloned().unwrap_or_else(|| json!({}));
        of("reported") == reported && of("desired") == desired
    });
    assert!(there, "{:?}", shadow.document());
}

#[test]
fn a_change_made_while_the_device_is_off_is_applied_at_the_next_start() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).start();
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
    device.wait_for_log("net: notified");
    device.stop();
    shadow.desire(json!({"net": {"b": 2}}));
    device.start();
    wait_for_state(&shadow, json!({"net": {"a": 1, "b": 2}}), json!({}));
    device.wait_for_notifications("net", 2);
    assert_eq!(device.notified("net"), [r#"{"a":1}"#, r#"{"a":1,"b":2}"#]);
}

#[test]
fn settings_are_merged_deeply_null_and_delete_remove_and_arrays_replace() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    fs::write(
        device.outfile("net"),
        r#"{"a":{"x":1,"y":2},"list":[1,2],"old":true}"#,
    )
    .unwrap();
    device.start();
    shadow.desire(json!({"net": {"a": {"y": 3}, "list": [3], "old": "DELETE"}}));
    device.wait_for_config("net", r#"{"a":{"x":1,"y":3},"list":[3]}"#);
    wait_for_state(
        &shadow,
        json!({"net": {"a": {"x": 1, "y": 3}, "list": [3]}}),
        json!({}),
    );
}

#[test]
fn an_empty_array_deletes_if_that_is_asked_for() {
    for (option, expect) in [(true, "{}"), (false, r#"{"a":[]}"#)] {
        let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": []}}}));
        let mut device = Device::new(&sandbox);
        device.service("net", json!({}));
        fs::write(device.outfile("net"), r#"{"a":[1]}"#).unwrap();
        let mut command = device.command();
        if option {
            command.arg("--empty-array-as-delete-request");
        }
        device.start_as(command);
        device.wait_for_config("net", expect);
        assert!(shadow.wait_for(LONG, |it| it["state"].get("desired").is_none()));
    }
}

#[test]
fn an_outdated_report_is_brought_up_to_date_without_a_notification() {
    let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1, "gone": 5}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    fs::write(device.outfile("net"), r#"{"a":2}"#).unwrap();
    device.start();
    wait_for_state(&shadow, json!({"net": {"a": 2}}), json!({}));
    assert_eq!(device.notified("net").len(), 0);
}

#[test]
fn sighup_and_the_command_refetch_look_at_the_shadow_and_the_outfile_again() {
    let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    let commands = device.path("commands");
    fs::create_dir(&commands).unwrap();
    device.option("--commands", commands.display());
    device.service("net", json!({}));
    fs::write(device.outfile("net"), r#"{"a":2}"#).unwrap();
    device.start();
    wait_for_state(&shadow, json!({"net": {"a": 2}}), json!({}));
    fs::write(device.outfile("net"), r#"{"a":3}"#).unwrap();
    device.signal(Signal::SIGHUP);
    wait_for_state(&shadow, json!({"net": {"a": 3}}), json!({}));
    fs::write(device.outfile("net"), r#"{"a":4}"#).unwrap();
    drop_file(&commands, "refetch", "");
    wait_for_state(&shadow, json!({"net": {"a": 4}}), json!({}));
    wait_for("the command is gone", LONG, || {
        names(&commands.join("new")).is_empty()
    });
    assert_eq!(names(&commands.join("failed")), [""; 0]);
}

#[test]
fn an_unknown_or_impossible_command_goes_to_failed_with_the_reason() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let commands = device.path("commands");
    fs::create_dir(&commands).unwrap();
    device.option("--commands", commands.display()).start();
    for (command, part) in [
        ("reboot", "unknown command"),
        ("refetch", "none is configured"),
        ("reprovision", "not configured"),
        ("open-tunnel", "not configured"),
        ("close-tunnel", "not configured"),
    ] {
        drop_file(&commands, command, "");
        let reason = commands.join("failed").join(format!(".{command}.reason"));
        wait_for("the reason is there", LONG, || {
            fs::read_to_string(&reason).is_ok_and(|text| text.contains(part))
        });
    }
}

#[test]
fn the_outfile_is_replaced_as_a_whole_and_keeps_its_mode_and_owner() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let outfile = device.outfile("net");
    fs::write(&outfile, "{}").unwrap();
    fs::set_permissions(&outfile, fs::Permissions::from_mode(0o640)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&outfile, Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(&outfile).unwrap();
    device.start();
    shadow.desire(json!({"net": {"a": 1}}));
    device.wait_for_config("net", r#"{"a":1}"#);
    let after = fs::metadata(&outfile).unwrap();
    assert_eq!(after.mode(), before.mode());
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_ne!(after.ino(), before.ino(), "a new file under the old name");
    device.wait_for_notifications("net", 1);
    wait_for("nothing is left beside it", LONG, || {
        !device.path(".net.conf.notify").exists()
    });
    assert!(!device.path(".net.conf.new").exists());
}

#[test]
fn a_link_stays_and_what_it_points_to_is_replaced() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let real = device.path("real.conf");
    fs::write(&real, "{}").unwrap();
    std::os::unix::fs::symlink(&real, device.outfile("net")).unwrap();
    device.start();
    shadow.desire(json!({"net": {"a": 1}}));
    device.wait_for_config("net", r#"{"a":1}"#);
    assert!(device.outfile("net").is_symlink());
}

#[test]
fn dev_null_is_never_replaced_and_its_service_is_notified_and_reports() {
    let (sandbox, shadow) =
        cloud(json!({"desired": {"net": {"a": 1}}, "reported": {"net": {"b": 2}}}));
    let mut device = Device::new(&sandbox);
    let log = device.path("net.notified");
    let notify = format!("echo done >> {}", log.display());
    device
        .service("net", json!({"outfile": "/dev/null", "notifycmd": notify}))
        .start();
    wait_for_state(&shadow, json!({"net": {"a": 1, "b": 2}}), json!({}));
    assert_eq!(device.notified("net"), ["done"]);
    let null = fs::metadata("/dev/null").unwrap();
    assert!(!null.is_file() && !std::path::Path::new("/dev/.null.notify").exists());
}

#[test]
fn only_outkeys_are_written_and_other_reported_members_are_not_touched() {
    let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1, "rssi": -70}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({"outkeys": ["a", "b"]}));
    fs::write(device.outfile("net"), r#"{"a":1}"#).unwrap();
    let updates = device.updates(THING);
    device.start();
    shadow.desire(json!({"net": {"b": 2, "rssi": 0}}));
    device.wait_for_config("net", r#"{"a":1,"b":2}"#);
    wait_for_state(
        &shadow,
        json!({"net": {"a": 1, "b": 2, "rssi": -70}}),
        json!({}),
    );
    drop_file(&updates, "net.1", r#"{"rssi":-60}"#);
    wait_for_state(
        &shadow,
        json!({"net": {"a": 1, "b": 2, "rssi": -60}}),
        json!({}),
    );
    device.wait_for_notifications("net", 1);
    assert_eq!(
        device.notified("net").len(),
        1,
        "what is not written does not notify"
    );
}

#[test]
fn only_a_change_in_notifykeys_notifies() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    device
        .service("net", json!({"notifykeys": ["loud"]}))
        .start();
    shadow.desire(json!({"net": {"quiet": 1}}));
    wait_for_state(&shadow, json!({"net": {"quiet": 1}}), json!({}));
    shadow.desire(json!({"net": {"loud": 1}}));
    wait_for_state(&shadow, json!({"net": {"quiet": 1, "loud": 1}}), json!({}));
    device.wait_for_notifications("net", 1);
    assert_eq!(device.notified("net"), [r#"{"quiet":1,"loud":1}"#]);
}

#[test]
fn initialnotify_notifies_once_at_the_first_fetch() {
    let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({"initialnotify": true}));
    fs::write(device.outfile("net"), r#"{"a":1}"#).unwrap();
    device.start();
    device.wait_for_notifications("net", 1);
    // Fetched again, and something else changes: no second greeting.
    device.signal(Signal::SIGHUP);
    shadow.desire(json!({"net": {"a": 2}}));
    device.wait_for_config("net", r#"{"a":2}"#);
    device.wait_for_notifications("net", 2);
    assert_eq!(device.notified("net"), [r#"{"a":1}"#, r#"{"a":2}"#]);
}

#[test]
fn a_validate_command_rejects_mends_or_removes_the_whole_configuration() {
    let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    let seen = device.path("seen");
    let command = format!(
        "c=$(cat); echo \"$c\" >> {}; case $c in *reject*) echo no good >&2; exit 3;; *remove*) echo null;; *mend*) echo '{{\"a\":7}}';; esac",
        seen.display()
    );
    device.service("net", json!({"validatecmd": command}));
    fs::write(device.outfile("net"), r#"{"a":1}"#).unwrap();
    device.start();
    shadow.desire(json!({"net": {"b": "reject"}}));
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
    assert_eq!(device.config("net"), r#"{"a":1}"#);
    device.wait_for_log("rejected: validatecmd of net.json failed: exit status: 3");
    assert!(device.log().contains("no good"), "its words are in the log");
    shadow.desire(json!({"net": {"b": "fine"}}));
    wait_for_state(&shadow, json!({"net": {"a": 1, "b": "fine"}}), json!({}));
    shadow.desire(json!({"net": {"b": "mend"}}));
    wait_for_state(&shadow, json!({"net": {"a": 7}}), json!({}));
    assert_eq!(device.config("net"), r#"{"a":7}"#);
    shadow.desire(json!({"net": {"b": "remove"}}));
    wait_for_state(&shadow, json!({}), json!({}));
    assert_eq!(device.config("net"), "{}");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.contains(r#"{"a":1,"b":"fine"}"#),
        "the desired value is merged already: {seen}"
    );
}

#[test]
fn a_definition_in_javascript_validates_with_its_own_function() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    let dir = device.services(THING);
    let outfile = device.outfile("net");
    fs::write(
        dir.join("net.js"),
        format!(
            "const limits = require('./_limits.json');\n\
             module.exports = {{ key: 'net', outfile: '{}', outformat: 'JSON', notifycmd: 'true',\n\
             validate(config) {{\n\
               if (config.mtu > limits.mtu) throw new Error('mtu above ' + limits.mtu);\n\
               config.checked = true; return config; }} }};",
            outfile.display()
        ),
    )
    .unwrap();
    fs::write(dir.join("_limits.json"), r#"{"mtu":1500}"#).unwrap();
    device.start();
    shadow.desire(json!({"net": {"mtu": 9000}}));
    device.wait_for_log("mtu above 1500");
    shadow.desire(json!({"net": {"mtu": 1400}}));
    wait_for_state(
        &shadow,
        json!({"net": {"mtu": 1400, "checked": true}}),
        json!({}),
    );
}

#[test]
fn a_desired_value_for_an_ephemeral_service_is_cleared_then_carried_out_and_never_reported() {
    let (sandbox, shadow) = cloud(json!({"desired": {"reboot": {"delay": 5}}}));
    let mut device = Device::new(&sandbox);
    let log = device.path("reboot.notified");
    let notify = format!("cat >> {log}; echo >> {log}", log = log.display());
    device
        .service(
            "reboot",
            json!({"ephemeraldata": true, "outfile": null, "outformat": null, "notifycmd": notify}),
        )
        .start();
    wait_for_state(&shadow, json!({}), json!({}));
    device.wait_for_notifications("reboot", 1);
    shadow.desire(json!({"reboot": {"delay": 5}}));
    device.wait_for_notifications("reboot", 2);
    wait_for_state(&shadow, json!({}), json!({}));
    assert_eq!(
        device.notified("reboot"),
        [r#"{"delay":5}"#, r#"{"delay":5}"#]
    );
    device.stop();
    device.start();
    shadow.desire(json!({"reboot": {"delay": 6}}));
    device.wait_for_notifications("reboot", 3);
    assert_eq!(
        device.notified("reboot")[2],
        r#"{"delay":6}"#,
        "a restart repeats nothing"
    );
}

#[test]
fn a_notification_that_a_kill_cut_short_is_made_up_for_at_the_next_start() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    let (log, gate) = (device.path("net.notified"), device.path("gate"));
    let notify = format!(
        "echo begin >> {log}; while [ ! -e {gate} ]; do sleep 0.01; done; echo end >> {log}",
        log = log.display(),
        gate = gate.display()
    );
    device.service("net", json!({"notifycmd": notify})).start();
    device.wait_for_notifications("net", 1);
    assert!(device.path(".net.conf.notify").exists());
    device.kill();
    fs::write(&gate, "").unwrap();
    device.start();
    wait_for("it ran to its end", LONG, || {
        device
            .notified("net")
            .iter()
            .filter(|line| *line == "begin")
            .count()
            == 2
            && !device.path(".net.conf.notify").exists()
    });
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
}

#[test]
fn a_command_that_never_lives_to_its_end_is_not_started_for_ever() {
    let (sandbox, _shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    let log = device.path("net.notified");
    let notify = format!("echo begin >> {}; sleep 1000", log.display());
    device.service("net", json!({"notifycmd": notify}));
    for run in 1..=3 {
        device.start();
        device.wait_for_notifications("net", run);
        device.kill();
    }
    device.start();
    device.wait_for_log("started 3 times and never seen to end");
    wait_for("nothing is owed", LONG, || {
        !device.path(".net.conf.notify").exists()
    });
    assert_eq!(device.notified("net").len(), 3);
}

#[test]
fn one_notify_command_runs_at_a_time_and_once_more_after_changes_meanwhile() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    let (log, gate) = (device.path("net.notified"), device.path("gate"));
    let notify = format!(
        "echo begin >> {log}; while [ ! -e {gate} ]; do sleep 0.01; done; cat {out} >> {log}",
        log = log.display(),
        gate = gate.display(),
        out = device.outfile("net").display()
    );
    device.service("net", json!({"notifycmd": notify})).start();
    shadow.desire(json!({"net": {"a": 1}}));
    device.wait_for_notifications("net", 1);
    for value in 2..6 {
        shadow.desire(json!({"net": {"a": value}}));
        device.wait_for_config("net", &format!(r#"{{"a":{value}}}"#));
    }
    assert_eq!(device.notified("net"), ["begin"], "it still runs");
    fs::write(&gate, "").unwrap();
    device.wait_for_notifications("net", 4);
    wait_for_state(&shadow, json!({"net": {"a": 5}}), json!({}));
    wait_for("nothing is owed", LONG, || {
        !device.path(".net.conf.notify").exists()
    });
    assert_eq!(
        device.notified("net"),
        ["begin", r#"{"a":5}"#, "begin", r#"{"a":5}"#]
    );
}

#[test]
fn a_notify_command_runs_in_the_root_and_its_words_and_its_failure_are_logged() {
    let (sandbox, _shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device
        .service("net", json!({"notifycmd": "pwd; echo trouble >&2; exit 7"}))
        .start();
    device.wait_for_log("the notify command failed: exit status: 7");
    device.wait_for_log("notifycmd of net.json: /");
    device.wait_for_log("notifycmd of net.json: trouble");
}

#[test]
fn a_notify_command_that_hangs_is_killed_with_its_children_after_its_timeout() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    let pid = device.path("pid");
    let notify = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    device
        .service("net", json!({"notifycmd": notify, "timeout": 0.5}))
        .start();
    device.wait_for_log("did not end within 0.5 s and was killed");
    let child = fs::read_to_string(&pid).unwrap();
    wait_for("the child is gone", LONG, || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    });
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
}

#[test]
fn a_notify_command_that_prints_a_megabyte_is_cut_short_in_the_log_only() {
    let (sandbox, _shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device
        .service(
            "net",
            json!({"notifycmd": "head -c 1000000 /dev/zero | tr '\\0' 'x' | fold -w 100"}),
        )
        .start();
    device.wait_for_log("net: notified");
    device.wait_for_log("(output was cut off here)");
    assert!(device.log().len() < 50_000, "{}", device.log().len());
}

#[test]
fn without_a_good_outfile_nothing_is_notified_or_reported_until_it_is_mended() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}, "good": {"b": 2}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).service("good", json!({}));
    fs::create_dir(device.outfile("net")).unwrap();
    device.start();
    wait_for_state(&shadow, json!({"good": {"b": 2}}), json!({"net": {"a": 1}}));
    device.wait_for_log("not a regular file");
    assert_eq!(device.notified("net").len(), 0);
    fs::remove_dir(device.outfile("net")).unwrap();
    device.signal(Signal::SIGHUP);
    wait_for_state(
        &shadow,
        json!({"good": {"b": 2}, "net": {"a": 1}}),
        json!({}),
    );
    device.wait_for_notifications("net", 1);
}

#[test]
fn a_malformed_outfile_is_made_anew_from_what_was_last_reported() {
    let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    fs::write(device.outfile("net"), r#"{"a":1"#).unwrap();
    device.start();
    device.wait_for_config("net", r#"{"a":1}"#);
    device.wait_for_notifications("net", 1);
    device.wait_for_log("is not JSON");
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
}

#[test]
fn what_a_format_cannot_say_is_turned_down() {
    for (format, desired, part) in [
        ("PLAINTEXT", json!({"a": 1}), "string"),
        (
            "SHELL",
            json!({"a": {"b_c": 1}, "a_b": {"c": 2}}),
            "same shell variable",
        ),
        ("SHELL", json!("text"), "object"),
        ("SHELL", json!({"a": [{"b": 1}]}), "only text"),
    ] {
        let (sandbox, shadow) = cloud(json!({"desired": {"net": desired}}));
        let mut device = Device::new(&sandbox);
        device.service("net", json!({"outformat": format})).start();
        wait_for_state(&shadow, json!({}), json!({}));
        device.wait_for_log("is rejected");
        assert!(device.log().contains(part), "{part}: {}", device.log());
        assert!(!device.outfile("net").exists());
    }
}

#[test]
fn hostile_keys_are_ordinary_members() {
    let text = r#"{"__proto__":{"x":1},"constructor":"c","toString":"t","PATH":"/evil","a;reboot":"$(reboot)"}"#;
    let desired: Value = serde_json::from_str(text).unwrap();
    let (sandbox, shadow) = cloud(json!({"desired": {"net": desired}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).start();
    wait_for_state(&shadow, json!({"net": desired}), json!({}));
    let written: Value = serde_json::from_str(&device.config("net")).unwrap();
    assert_eq!(written, desired);
}

#[test]
fn what_a_shell_file_must_not_say_is_neither_written_nor_reported() {
    let desired = json!({"PATH": "/evil", "a;reboot": "1", "LD_PRELOAD": "/evil.so", "good": 1});
    let (sandbox, shadow) = cloud(json!({"desired": {"net": desired}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({"outformat": "SHELL"})).start();
    wait_for_state(&shadow, json!({"net": {"good": 1}}), json!({}));
    assert_eq!(device.config("net"), "good='1'");
    device.wait_for_log("\"PATH\" is left out");
}

#[test]
fn large_and_deep_documents_arrive_whole() {
    let deep = json!({"a": {"b": {"c": {"d": {"e": 1}}}}});
    let large = json!({"text": "x".repeat(7 * 1024)});
    for desired in [deep, large] {
        let (sandbox, shadow) = cloud(json!({"desired": {"net": desired}}));
        let mut device = Device::new(&sandbox);
        device.service("net", json!({})).start();
        wait_for_state(&shadow, json!({"net": desired}), json!({}));
    }
}

#[test]
fn reading_a_shell_file_back_never_drifts() {
    let desired = json!({"zero": "007", "yes": "true", "exp": "1e3", "my_key": 1, "my": {"other": "5"}, "quote": "it's"});
    let (sandbox, shadow) = cloud(json!({"desired": {"net": desired}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({"outformat": "SHELL"})).start();
    wait_for_state(&shadow, json!({"net": desired}), json!({}));
    let version = shadow.version();
    for _ in 0..3 {
        let fetched = device.logged("connected to");
        sandbox.cut("device-1", iotcore_sandbox::Cut::Close);
        wait_for("it is back", LONG, || {
            device.logged("connected to") > fetched
        });
        device.signal(Signal::SIGHUP);
    }
    device.stop();
    device.start();
    // One more change, so that everything before it has happened.
    shadow.desire(json!({"net": {"end": 1}}));
    device.wait_for_notifications("net", 2);
    assert!(shadow.wait_for(LONG, |it| it["state"].get("desired").is_none()));
    assert_eq!(
        shadow.version(),
        version.map(|version| version + 2),
        "a desired value and its answer"
    );
    assert_eq!(device.notified("net").len(), 2);
}

#[test]
fn a_change_of_type_under_the_same_text_is_kept() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": "7"}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({"outformat": "SHELL"})).start();
    wait_for_state(&shadow, json!({"net": {"a": "7"}}), json!({}));
    shadow.desire(json!({"net": {"a": 7}}));
    wait_for_state(&shadow, json!({"net": {"a": 7}}), json!({}));
    device.stop();
    device.start();
    shadow.desire(json!({"net": {"end": 1}}));
    wait_for_state(&shadow, json!({"net": {"a": 7, "end": 1}}), json!({}));
}

#[test]
fn one_key_or_outfile_in_two_directories_is_reported_and_the_first_is_used() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let second = device.path("second");
    fs::create_dir(&second).unwrap();
    device.option("--services", format!("{THING}:{}", second.display()));
    device.service_in(second.clone(), "other", json!({"key": "net"}));
    let outfile = device.outfile("net");
    device.service_in(second, "third", json!({"outfile": outfile}));
    device.start();
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
    device.wait_for_config("net", r#"{"a":1}"#);
    device.wait_for_log("other.json is skipped: key 'net' belongs to net.json");
    device.wait_for_log("third.json is skipped: outfile");
}

#[test]
fn definitions_that_do_not_load_are_reported_and_the_others_work() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let dir = device.services(THING);
    fs::write(
        dir.join("broken.js"),
        "module.exports = {\n  key: 'x',\n  oops oops\n}\n",
    )
    .unwrap();
    fs::write(dir.join("endless.js"), "for(;;){}").unwrap();
    fs::write(
        dir.join("second.json"),
        fs::read(dir.join("net.json")).unwrap(),
    )
    .unwrap();
    fs::write(
        dir.join("format.json"),
        r#"{"key":"f","outfile":"/x","outformat":"YAML","notifycmd":"true"}"#,
    )
    .unwrap();
    fs::write(dir.join("missing.json"), r#"{"key":"m"}"#).unwrap();
    device.start();
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
    for part in [
        "broken.js",
        "endless.js",
        "second.json",
        "net.json",
        "unknown format 'YAML'",
        "missing.json",
    ] {
        assert!(device.log().contains(part), "{part}: {}", device.log());
    }
    let broken = device
        .log()
        .lines()
        .find(|line| line.contains("broken.js"))
        .map(str::to_owned);
    assert!(
        broken.is_some_and(|line| line.contains('3')),
        "with its line"
    );
}

#[test]
fn a_missing_directory_of_definitions_is_a_usage_error() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device
        .option("--services", "thing:/nonexistent/definitions")
        .start();
    assert_eq!(device.exit_code(), Some(100));
    assert!(device.log().contains("/nonexistent/definitions"));
}

#[test]
fn every_thing_and_every_named_shadow_is_served_by_itself() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let named = device.services("pump-7/radio");
    device.service_in(named, "net2", json!({"key": "net"}));
    let updates = device.updates("other-thing");
    device.start();
    sandbox
        .shadow(THING)
        .desire(json!({"net": {"of": "classic"}}));
    sandbox
        .named_shadow(THING, "radio")
        .desire(json!({"net": {"of": "named"}}));
    drop_file(&updates, "led", r#""on""#);
    device.wait_for_config("net", r#"{"of":"classic"}"#);
    device.wait_for_config("net2", r#"{"of":"named"}"#);
    let other = sandbox.shadow("other-thing");
    assert!(other.wait_for(LONG, |it| it["state"]["reported"] == json!({"led": "on"})));
}

#[test]
fn no_more_than_one_request_of_a_thing_is_in_flight() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.service("net", json!({})).start();
    for number in 0..100 {
        drop_file(&updates, &format!("led.{number:03}"), number.to_string());
        shadow.desire(json!({"net": {"a": number}}));
    }
    wait_for_state(&shadow, json!({"net": {"a": 99}, "led": 99}), json!({}));
    assert_eq!(sandbox.most_in_flight(THING), 1);
    assert!(
        shadow.version() < Some(300),
        "several files travel in one update"
    );
    // The last notification may still be on its way.
    wait_for(
        "the last value was notified",
        Duration::from_secs(60),
        || {
            device
                .notified("net")
                .last()
                .is_some_and(|line| line == r#"{"a":99}"#)
        },
    );
}

#[test]
fn a_full_or_read_only_file_system_costs_time_and_nothing_else() {
    for read_only in [true, false] {
        let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1}}}));
        let mut device = Device::new(&sandbox);
        let dir = device.path("disk");
        let Some(disk) = Tmpfs::mount(&dir, "64k") else {
            return;
        };
        let outfile = dir.join("net.conf");
        fs::write(&outfile, r#"{"a":1}"#).unwrap();
        device
            .service("net", json!({"outfile": outfile}))
            .service("good", json!({}));
        if read_only {
            disk.read_only(true);
        } else {
            disk.fill();
        }
        device.start();
        shadow.desire(json!({"net": {"a": 2}, "good": {"b": 2}}));
        wait_for_state(
            &shadow,
            json!({"net": {"a": 1}, "good": {"b": 2}}),
            json!({"net": {"a": 2}}),
        );
        device.wait_for_log("cannot write");
        assert_eq!(fs::read_to_string(&outfile).unwrap(), r#"{"a":1}"#);
        assert_eq!(device.notified("net").len(), 0);
        if read_only {
            disk.read_only(false);
        } else {
            disk.empty();
        }
        device.signal(Signal::SIGHUP);
        wait_for_state(
            &shadow,
            json!({"net": {"a": 2}, "good": {"b": 2}}),
            json!({}),
        );
        let left: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .flatten()
            .map(|it| it.file_name())
            .collect();
        let litter = left
            .iter()
            .filter(|name| name.to_string_lossy().ends_with(".new"))
            .count();
        assert_eq!(litter, 0, "{left:?}");
        device.stop();
    }
}

#[test]
fn the_examples_pass_the_check_and_a_bad_definition_does_not() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/services");
    device.option("--services", format!("{THING}:{examples}"));
    let check = |device: &Device| {
        let output = device.command().arg("--check").output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = check(&device);
    assert_eq!(code, Some(0), "{said}");
    let dir = device.services("other");
    fs::write(dir.join("bad.js"), "module.exports = { key: 'x' };").unwrap();
    let (code, said) = check(&device);
    assert_eq!(code, Some(100), "{said}");
    assert!(
        said.contains("bad.js") && said.contains("notifycmd"),
        "{said}"
    );
    assert!(!device.path("messages/new").exists(), "nothing is made");
}

#[test]
fn no_file_beside_an_outfile_is_written_or_read_through_a_link() {
    let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": "7"}}}));
    let mut device = Device::new(&sandbox);
    let victim = device.path("victim");
    fs::write(&victim, "precious").unwrap();
    device.service("net", json!({"outformat": "SHELL"}));
    fs::write(device.outfile("net"), "a='").unwrap();
    for name in ["notify", "known", "bad", "new"] {
        for link in [
            format!(".net.conf.{name}"),
            format!("..net.conf.{name}.new"),
        ] {
            std::os::unix::fs::symlink(&victim, device.path(&link)).unwrap();
        }
    }
    device.start();
    device.wait_for_config("net", "a='7'");
    device.wait_for_notifications("net", 1);
    shadow.desire(json!({"net": {"a": "8"}}));
    device.wait_for_config("net", "a='8'");
    device.wait_for_notifications("net", 2);
    wait_for("nothing is owed", LONG, || {
        !device.path(".net.conf.notify").is_symlink() && !device.path(".net.conf.notify").exists()
    });
    assert_eq!(device.logged("catching up"), 0, "a link owes nothing");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!device.path(".net.conf.bad").is_symlink());
    assert!(!device.path(".net.conf.known").is_symlink());
}

#[test]
fn links_are_followed_to_their_end_also_where_nothing_is_yet() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let real = device.path("real");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink("second", device.outfile("net")).unwrap();
    std::os::unix::fs::symlink("real/net", device.path("second")).unwrap();
    device.start();
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
    assert!(device.outfile("net").is_symlink());
    assert!(device.path("second").is_symlink());
    assert_eq!(
        fs::read_to_string(real.join("net")).unwrap().trim(),
        r#"{"a":1}"#
    );
}

#[test]
fn two_services_never_share_a_file_through_a_link() {
    let (sandbox, shadow) = cloud(json!({"desired": {"a": {"x": 1}, "b": {"y": 2}}}));
    let mut device = Device::new(&sandbox);
    device.service("a", json!({})).service("b", json!({}));
    std::os::unix::fs::symlink(device.outfile("a"), device.outfile("b")).unwrap();
    device.start();
    device.wait_for_log("b.json is skipped: outfile");
    wait_for_state(&shadow, json!({"a": {"x": 1}}), json!({"b": {"y": 2}}));
    assert_eq!(device.config("a"), r#"{"x":1}"#);
}

#[test]
fn a_new_outfile_has_mode_0644_whatever_the_umask() {
    let (sandbox, _shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    let events = device.path("events");
    device.option("--events", events.display());
    device.service("net", json!({}));
    let daemon = device.command();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"umask 077; exec "$0" "$@""#])
        .arg(daemon.get_program())
        .args(daemon.get_args());
    device.start_as(command);
    device.wait_for_config("net", r#"{"a":1}"#);
    wait_for("the events begin", LONG, || events.exists());
    for path in [device.outfile("net"), events] {
        let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o644, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_byte_order_mark_before_an_outfile_or_an_update_is_skipped() {
    for (format, text) in [("JSON", "\u{feff}{\"a\":5}"), ("SHELL", "\u{feff}a='5'\n")] {
        let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1}}}));
        let mut device = Device::new(&sandbox);
        let updates = device.updates(THING);
        device.service("net", json!({"outformat": format}));
        fs::write(device.outfile("net"), text).unwrap();
        device.start();
        wait_for_state(&shadow, json!({"net": {"a": 5}}), json!({}));
        assert_eq!(device.notified("net").len(), 0, "the edit is kept");
        drop_file(&updates, "net", "\u{feff}{\"b\":2}");
        wait_for_state(&shadow, json!({"net": {"a": 5, "b": 2}}), json!({}));
    }
}

#[test]
fn an_outfile_that_says_what_no_shadow_holds_is_malformed() {
    let deep = format!("{}1{}", "[".repeat(110), "]".repeat(110));
    for text in ["[null]", r#"{"a":[1,null]}"#, &deep] {
        let (sandbox, shadow) = cloud(json!({"reported": {"net": {"a": 1}}}));
        let mut device = Device::new(&sandbox);
        device.service("net", json!({}));
        fs::write(device.outfile("net"), text).unwrap();
        device.start();
        device.wait_for_config("net", r#"{"a":1}"#);
        device.wait_for_log("is not JSON that a shadow can hold");
        let kept = fs::read_to_string(device.path(".net.conf.bad")).unwrap();
        assert_eq!(kept, text);
        shadow.desire(json!({"net": {"b": 2}}));
        wait_for_state(&shadow, json!({"net": {"a": 1, "b": 2}}), json!({}));
    }
}

#[test]
fn an_outfile_that_is_a_mount_of_its_own_says_what_to_do() {
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let (outfile, source) = (device.outfile("net"), device.path("source"));
    fs::write(&outfile, "{}").unwrap();
    fs::write(&source, "{}").unwrap();
    let Some(_mount) = Tmpfs::bind(&source, &outfile) else {
        return;
    };
    device.start();
    device.wait_for_log("mount the directory that it is in");
    assert!(shadow.wait_for(LONG, |it| it["state"]["desired"]
        == json!({"net": {"a": 1}})));
    assert_eq!(device.notified("net").len(), 0);
    device.stop();
}

#[test]
fn definitions_that_hang_hold_up_neither_messages_nor_the_end() {
    let (sandbox, _shadow) = cloud(json!({"desired": {"net": {"a": 1}}}));
    let mut device = Device::new(&sandbox);
    let dir = device.services(THING);
    for name in ["a.js", "b.js", "c.js"] {
        fs::write(dir.join(name), "while (true) {}").unwrap();
    }
    device.drop_message("one", "topic", "hello");
    device.start();
    device.wait_until_empty();
    assert_eq!(device.logged("c.js is skipped"), 0, "it still hangs");
    assert_eq!(device.stop(), Some(0));
    assert_eq!(device.logged("c.js is skipped"), 0, "nobody waited for it");
}

#[test]
fn an_update_waits_while_a_definition_that_may_be_its_own_does_not_load() {
    let (sandbox, shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.service("net", json!({"validatecmd": "exit 1"}));
    device.service("good", json!({}));
    let definition = device.services(THING).join("net.json");
    let whole = fs::read_to_string(&definition).unwrap();
    fs::write(&definition, whole.trim_end().trim_end_matches('}')).unwrap();
    device.start();
    drop_file(&updates, "net", r#"{"a":1}"#);
    drop_file(&updates, "good", r#"{"b":1}"#);
    wait_for_state(&shadow, json!({"good": {"b": 1}}), json!({}));
    device.wait_for_log("'net' is tried again in");
    let line = device.log();
    let line = line
        .lines()
        .find(|line| line.contains("'net' is tried again"));
    assert!(
        line.is_some_and(|line| line.contains("net.json")),
        "{line:?}"
    );
    wait_for("the other one is gone", LONG, || {
        names(&updates.join("new")) == ["net"]
    });
    device.stop();
    fs::write(&definition, whole).unwrap();
    device.start();
    wait_for("its own validation turns it down", LONG, || {
        names(&updates.join("failed")) == ["net"]
    });
    wait_for_state(&shadow, json!({"good": {"b": 1}}), json!({}));
}

#[test]
fn an_error_of_the_files_of_a_service_is_logged_once_and_then_counted() {
    let (sandbox, _shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    device.service("net", json!({}));
    fs::create_dir(device.outfile("net")).unwrap();
    let mut command = device.command();
    command.env("RUST_LOG", "debug");
    device.start_as(command);
    // Each comes while the one before it rests: they wait for different reasons.
    for name in ["net.1", "net.2", "net.3"] {
        drop_file(&updates, name, r#"{"a":1}"#);
        device.wait_for_log(&format!("'{name}' is tried again in"));
    }
    wait_for("many attempts were made", LONG, || {
        device.logged("is tried again in") >= 16
    });
    let log = device.log();
    let told = log
        .lines()
        .filter(|line| line.contains("is tried again in") && line.starts_with("warn"));
    assert!(told.count() <= 4, "{log}");
}

#[test]
fn an_update_whose_command_kills_the_daemon_is_carried_out_three_times_at_most() {
    let (sandbox, _shadow) = cloud(json!({"reported": {}}));
    let mut device = Device::new(&sandbox);
    let updates = device.updates(THING);
    let log = device.path("reboot.notified");
    let notify = format!("echo begin >> {}; kill -9 $PPID", log.display());
    device.service(
        "reboot",
        json!({"ephemeraldata": true, "outfile": null, "outformat": null, "notifycmd": notify}),
    );
    drop_file(&updates, "reboot.1", r#"{"delay":5}"#);
    for _ in 0..3 {
        device.start();
        device.exit();
    }
    device.start();
    device.wait_for_log("started 3 times and never seen to end");
    wait_for("it is given up", LONG, || {
        names(&updates.join("failed")) == ["reboot.1"]
    });
    assert_eq!(device.notified("reboot").len(), 3);
    // Another file of the same name is another command.
    drop_file(&updates, "reboot.1", r#"{"delay":6}"#);
    device.exit();
    assert_eq!(device.notified("reboot").len(), 4);
    let hidden = fs::read_dir(updates.join("new")).unwrap().count();
    assert!(hidden <= 2, "{hidden}");
}

#[test]
fn a_thread_that_cannot_be_made_is_a_shortage_that_is_waited_for() {
    if !is_root() {
        eprintln!("skipped: only root can run the daemon as a user whose processes are counted");
        return;
    }
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 0}}}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    let command = as_counted_user(&mut device, &sandbox);
    device.start_as(command);
    wait_for_state(&shadow, json!({"net": {"a": 0}}), json!({}));
    device.wait_for_log("net: notified");
    if !limit_processes(&device, 1) {
        eprintln!("skipped: there is no prlimit");
        return;
    }
    shadow.desire(json!({"net": {"a": 1}}));
    device.wait_for_log("cannot make a thread");
    device.drop_message("one", "topic", "hello");
    device.wait_until_empty();
    assert!(limit_processes(&device, 1000));
    device.signal(Signal::SIGHUP);
    wait_for_state(&shadow, json!({"net": {"a": 1}}), json!({}));
    device.wait_for_notifications("net", 2);
}

const COUNTED: u32 = 54_321;

/// The daemon as a user that is nobody else's, so that only its own processes count.
fn as_counted_user(device: &mut Device, sandbox: &Sandbox) -> Command {
    let (binary, ca) = (device.path("chariotd"), device.path("ca.pem"));
    fs::copy(env!("CARGO_BIN_EXE_chariotd"), &binary).unwrap();
    fs::copy(sandbox.pki().ca_file(), &ca).unwrap();
    device.without("--cacert").option("--cacert", ca.display());
    let owner = format!("{COUNTED}:{COUNTED}");
    let chown = Command::new("chown")
        .args(["-R", &owner])
        .arg(device.path(""))
        .status();
    assert!(chown.is_ok_and(|status| status.success()));
    let mut command = Command::new(binary);
    command
        .args(device.command().get_args())
        .uid(COUNTED)
        .gid(COUNTED);
    command
}

fn limit_processes(device: &Device, most: u32) -> bool {
    let limited = Command::new("prlimit")
        // The soft limit, which the user may change itself.
        .arg(format!("--nproc={most}:"))
        .args(["--pid", &device.pid().to_string()])
        .uid(COUNTED)
        .gid(COUNTED)
        .status();
    limited.is_ok_and(|status| status.success())
}

#[test]
fn an_outfile_is_not_followed_through_a_link_of_another_user() {
    if !is_root() {
        eprintln!("skipped: only root can give a link away");
        return;
    }
    let (sandbox, shadow) = cloud(json!({"desired": {"net": {"a": 1}, "good": {"b": 2}}}));
    let mut device = Device::new(&sandbox);
    let (shared, victim) = (device.path("shared"), device.path("victim"));
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(&victim, "{}").unwrap();
    let outfile = shared.join("net.conf");
    std::os::unix::fs::symlink(&victim, &outfile).unwrap();
    std::os::unix::fs::lchown(&outfile, Some(65534), Some(65534)).unwrap();
    device
        .service("net", json!({"outfile": outfile}))
        .service("good", json!({}))
        .start();
    wait_for_state(&shadow, json!({"good": {"b": 2}}), json!({"net": {"a": 1}}));
    device.wait_for_log("net: cannot read");
    assert!(device.log().contains("which is not followed"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "{}");
    assert!(outfile.is_symlink());
}
