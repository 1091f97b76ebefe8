use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;
use crate::shadow::device::script::Verdict;
use crate::shadow::device::service::{Output, Validation};

fn services() -> Vec<Service> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/services");
    let loaded = load(&dir).unwrap();
    assert_eq!(loaded.problems, [] as [&str; 0]);
    loaded.services
}

fn verdict(key: &str, configuration: &Value) -> Verdict {
    let services = services();
    let service = services.iter().find(|service| service.key == key);
    match &service.expect(key).validation {
        Validation::Script(script) => javascript::validate(script, configuration),
        other => panic!("{key} has {other:?}"),
    }
}

#[test]
fn every_example_is_a_definition() {
    let services = services();
    let keys: Vec<&str> = services
        .iter()
        .map(|service| service.key.as_str())
        .collect();
    assert_eq!(keys, ["banner", "firmware", "network", "ntp", "reboot"]);
    for service in services {
        match service.output {
            Output::File { path, .. } => assert_ne!(path, PathBuf::new()),
            Output::Ephemeral => assert_eq!(service.key, "reboot"),
        }
    }
}

#[test]
fn the_examples_accept_what_is_good_and_fix_it_up() {
    let sha256 = "0123456789abcdef".repeat(4);
    let fixed = json!({"mode": "static", "address": "192.168.1.20/24", "gateway": "192.168.1.1"});
    let firmware = json!({"version": "2.4.1", "url": "https://example.com/2.4.1", "sha256": sha256, "progress": 40});
    for (key, good, expected) in [
        ("network", &fixed, &fixed),
        (
            "network",
            &json!({"mode": "dhcp", "address": "10.0.0.1/8"}),
            &json!({"mode": "dhcp", "address": null, "gateway": null}),
        ),
        ("firmware", &firmware, &firmware),
        ("reboot", &json!({}), &json!({"delay": 10})),
        (
            "reboot",
            &json!({"delay": 60, "x": 1}),
            &json!({"delay": 60}),
        ),
    ] {
        assert_eq!(verdict(key, good), Verdict::Accepted(expected.clone()));
    }
}

#[test]
fn the_examples_reject_what_is_bad() {
    for (key, bad, expected) in [
        (
            "network",
            json!({"mode": "bridge"}),
            "mode must be dhcp or static, not bridge",
        ),
        (
            "network",
            json!({"mode": "static", "address": "192.168.1.256/24"}),
            "address must look like 192.168.1.20/24, not 192.168.1.256/24",
        ),
        (
            "network",
            json!({"mode": "static", "address": "192.168.1.20/24", "gateway": "192.168.2.1"}),
            "gateway 192.168.2.1 cannot be reached from 192.168.1.20/24",
        ),
        (
            "firmware",
            json!({"version": "latest"}),
            "version must look like 1.2.3, not latest",
        ),
        (
            "firmware",
            json!({"version": "1.2.3", "url": "file:///etc/passwd"}),
            "url must begin with https://",
        ),
        (
            "firmware",
            json!({"version": "1.2.3", "url": "https://example.com"}),
            "sha256 must have 64 hexadecimal digits",
        ),
        (
            "reboot",
            json!({"delay": "60; rm -rf /"}),
            "delay must be 0 to 300 seconds, not 60; rm -rf /",
        ),
    ] {
        assert_eq!(verdict(key, &bad), Verdict::Rejected(expected.into()));
    }
}

#[test]
fn the_examples_commands_do_what_they_promise() {
    let services = services();
    let of = |key| {
        services
            .iter()
            .find(|service| service.key == key)
            .expect(key)
    };
    let Validation::Command(command) = &of("ntp").validation else {
        panic!("a command");
    };
    let good = json!({"servers": ["pool.ntp.org"]}).to_string();
    assert_eq!(run(command, &good), (true, String::new()));
    for bad in [json!({}), json!({"servers": []}), json!({"servers": [""]})] {
        assert!(!run(command, &bad.to_string()).0, "{bad}");
    }
    // Without its effects.
    let reboot = format!(
        "sleep() {{ echo waits $1; }}\nreboot() {{ echo reboots; }}\n{}",
        of("reboot").notify
    );
    assert_eq!(
        run(&reboot, "{\"delay\":60}"),
        (true, "waits 60\nreboots\n".into())
    );
}

fn run(command: &str, input: &str) -> (bool, String) {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("a reader");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into(),
    )
}
