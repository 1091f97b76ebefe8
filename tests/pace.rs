//! How fast a backlog is published (manual, `--publish-rate`): at the pace that the broker takes, fairly
//! between directories, and by priority.

mod common;

use std::time::Instant;

use common::{Device, builder, drop_file, names, wait_for};
use iotcore_sandbox::{Event, Sandbox};

/// How many wait: two thousand is what a device has after an hour.
fn backlog() -> usize {
    let count = std::env::var("PACE_MESSAGES").ok();
    count.and_then(|text| text.parse().ok()).unwrap_or(400)
}

/// A tenth more than what the device is told: on a busy machine what left apart arrives together.
fn limited(rate: u32) -> Sandbox {
    let sandbox = builder().limit(|limits| limits.publish_rate = Some(rate + rate / 10));
    sandbox.start().expect("the sandbox starts")
}

fn device(sandbox: &Sandbox, version: &str, rate: u32) -> Device {
    let mut device = Device::new(sandbox);
    device.option("--mqtt", version);
    device.option("--publish-rate", rate);
    device.option("--default-message-concurrency", 90);
    device
}

fn refusals(sandbox: &Sandbox) -> usize {
    let refused = |event: &Event| matches!(event, Event::PublishRefused { .. });
    let record = sandbox.record();
    record.iter().filter(|one| refused(&one.event)).count()
}

fn texts(sandbox: &Sandbox) -> Vec<String> {
    let published = sandbox.published();
    published.iter().map(|publish| publish.text()).collect()
}

/// With MQTT 3.1.1 the cloud drops what is too much without an answer, and each such message costs
/// a minute.
#[test]
fn a_backlog_is_published_at_the_pace_that_the_broker_takes() {
    for version in ["5", "3.1.1"] {
        let sandbox = limited(100);
        let mut device = device(&sandbox, version, 100);
        for n in 0..backlog() {
            device.drop_message(&format!("{n:05}"), "t", &n.to_string());
        }
        let start = Instant::now();
        device.start();
        device.wait_until_empty();
        let seconds = start.elapsed().as_secs_f64();
        println!("MQTT {version}: {} messages in {seconds:.1} s", backlog());
        assert_eq!(refusals(&sandbox), 0);
        assert_eq!(texts(&sandbox).len(), backlog());
    }
}

#[test]
fn messages_with_qos_0_keep_to_the_pace_too() {
    let sandbox = limited(50);
    let mut device = device(&sandbox, "3.1.1", 50);
    for n in 0..200 {
        let file = format!(r#"{{"topic":"t","payload":{n},"qos":0}}"#);
        device.drop_file(&format!("{n:05}"), file);
    }
    device.start();
    device.wait_until_empty();
    assert_eq!((refusals(&sandbox), texts(&sandbox).len()), (0, 200));
}

/// How many of the others were published before this one.
fn before(sandbox: &Sandbox, text: &str) -> usize {
    let texts = texts(sandbox);
    texts
        .iter()
        .position(|one| one == text)
        .expect("it is published")
}

#[test]
fn a_directory_with_a_long_backlog_does_not_hold_up_another_one() {
    let sandbox = limited(100);
    let mut device = device(&sandbox, "5", 100);
    let other = device.path("other");
    device.option("--messages", other.display());
    for n in 0..400 {
        device.drop_message(&format!("{n:05}"), "t", &n.to_string());
    }
    for n in 0..5 {
        let file = format!(r#"{{"topic":"t","payload":"other {n}"}}"#);
        drop_file(&other, &n.to_string(), file);
    }
    device.start();
    wait_for("the other directory is empty", common::LONG, || {
        names(&other.join("new")).is_empty()
    });
    // Those that were in the window before it, and one between two of its own.
    let held_up = before(&sandbox, "other 4");
    assert!(held_up <= 100 + 5, "{held_up} went before");
}

#[test]
fn a_message_with_priority_waits_for_the_window_only() {
    let sandbox = limited(100);
    let mut device = device(&sandbox, "5", 100);
    device.message_option("--message-concurrency", 10);
    for n in 0..400 {
        device.drop_message(&format!("{n:05}"), "t", &n.to_string());
    }
    device.start();
    sandbox.wait_for_publishes(50, common::LONG);
    device.drop_file("zz", r#"{"topic":"t","payload":"urgent","priority":10}"#);
    let seen = texts(&sandbox).len();
    wait_for("it is published", common::LONG, || {
        texts(&sandbox).contains(&"urgent".to_owned())
    });
    // The window, and what goes until the file is found.
    let held_up = before(&sandbox, "urgent").saturating_sub(seen);
    assert!(held_up <= 10 + 50, "{held_up} went before");
}
