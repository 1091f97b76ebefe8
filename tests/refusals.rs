//! What a broker that refuses does to messages: one that refuses everything costs none, and one that
//! refuses a single message costs that message alone.

mod common;

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use common::{Device, LONG, sandbox, wait_for};
use iotcore_sandbox::{Deny, Event, Fault, Sandbox, What, When};

/// Longer than anything else here: reconnects are at least a second apart.
const VERY_LONG: Duration = Duration::from_secs(240);

fn device(sandbox: &Sandbox, version: &str) -> Device {
    let mut device = Device::new(sandbox);
    device.option("--mqtt", version);
    device
}

fn connections(sandbox: &Sandbox) -> usize {
    let connects = |event: &Event| matches!(event, Event::Connect { .. });
    sandbox
        .record()
        .iter()
        .filter(|one| connects(&one.event))
        .count()
}

fn payloads(sandbox: &Sandbox) -> BTreeSet<String> {
    let published = sandbox.published();
    published.iter().map(|publish| publish.text()).collect()
}

/// How long the broker refuses everything: ten minutes are 600.
fn outage() -> Duration {
    let seconds = std::env::var("REFUSAL_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(6))
}

#[test]
fn one_denied_message_among_a_thousand_is_the_only_one_that_fails() {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        sandbox.policy("device-1", vec![Deny::Publish("secret/#".into())]);
        let mut device = device(&sandbox, version);
        for n in 0..1000 {
            let topic = if n == 500 { "secret/door" } else { "open" };
            device.drop_message(&format!("{n:04}"), topic, &format!("{n}"));
        }
        device.start();
        let reason = device.wait_for_failure("0500");
        let expected = match version {
            "5" => "not authorised, the policy of the certificate forbids this topic (2 attempts)",
            _ => "the broker ended 3 connections over it while nothing else was on its way",
        };
        assert!(reason.contains(expected), "{version}: {reason}");
        device.wait_until_empty();
        assert_eq!(device.failed(), ["0500"]);
        assert_eq!(payloads(&sandbox).len(), 999);
        println!("MQTT {version}: {} connections", connections(&sandbox));
        assert_eq!(device.stop(), Some(0));
    }
}

#[test]
fn sixty_denied_messages_in_front_hold_up_no_good_one_on_mqtt_3_1_1() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Publish("secret/#".into())]);
    let mut device = device(&sandbox, "3.1.1");
    for n in 0..60 {
        device.drop_message(&format!("a-{n:02}"), "secret/door", "x");
    }
    for n in 0..1000 {
        device.drop_message(&format!("b-{n:04}"), "open", &n.to_string());
    }
    let start = Instant::now();
    device.start();
    wait_for("all good ones are published", VERY_LONG, || {
        payloads(&sandbox).len() == 1000
    });
    let connections = connections(&sandbox);
    println!(
        "{connections} connections and {:.0} s until all good ones were published",
        start.elapsed().as_secs_f64()
    );
    assert!(connections <= 30, "{connections}\n{}", device.log());
    assert!(device.runs(), "it never gives up: {}", device.log());
    wait_for("what was acknowledged is removed", LONG, || {
        device.waiting().len() + device.failed().len() == 60
    });
}

/// The probes in this time, with pauses that double up to a minute.
fn probes(time: Duration) -> usize {
    let mut pauses = (0..).map(|n| 2u64.saturating_pow(n).min(60));
    let mut rest = time.as_secs();
    let mut count = 2;
    while let Some(left) = pauses.next().and_then(|pause| rest.checked_sub(pause)) {
        rest = left;
        count += 1;
    }
    count
}

/// The broker refuses everything in this way for a while; then it is put right.
fn costs_no_message(version: &str, refuse: impl Fn(&Sandbox), repair: impl Fn(&Sandbox)) {
    const MESSAGES: usize = 300;
    let sandbox = sandbox();
    refuse(&sandbox);
    let mut device = device(&sandbox, version);
    device.message_option("--message-retries", 0);
    device.message_option("--message-concurrency", 90);
    for n in 0..MESSAGES {
        device.drop_message(&format!("{n:03}"), "t", &n.to_string());
    }
    device.start();
    wait_for("the broker refuses", LONG, || {
        let refused = |event: &Event| {
            matches!(event, Event::PubackSent { code, .. } if *code >= 0x80)
                || matches!(event, Event::Closed { .. })
        };
        sandbox.record().iter().any(|one| refused(&one.event))
    });
    thread::sleep(outage());
    assert!(device.runs(), "{}", device.log());
    assert_eq!(device.failed(), [""; 0], "{}", device.log());
    assert_eq!(device.waiting().len(), MESSAGES);
    // What was in flight, what it takes to notice, and the probes.
    let refused = |event: &Event| matches!(event, Event::PublishRefused { .. });
    let record = sandbox.record();
    let refused = record.iter().filter(|one| refused(&one.event)).count();
    let tries = probes(outage());
    println!(
        "MQTT {version}: {refused} refused, {} connections",
        connections(&sandbox)
    );
    assert!(refused <= 16 + 90 + tries, "{refused}");
    let most = if version == "5" { 1 } else { 6 + tries };
    assert!(connections(&sandbox) <= most, "{}", device.log());
    let lines = device.log().lines().count();
    assert!(lines < 60, "{lines} lines:\n{}", device.log());
    repair(&sandbox);
    wait_for("new/ is empty", VERY_LONG, || device.waiting().is_empty());
    assert_eq!(device.failed(), [""; 0], "{}", device.log());
    assert_eq!(payloads(&sandbox).len(), MESSAGES);
    assert_eq!(device.stop(), Some(0));
}

fn codes(code: u8) {
    let all = Fault::always(When::Always, What::PubackReason(code));
    let refuse = |sandbox: &Sandbox| sandbox.add_fault(all.clone());
    costs_no_message("5", refuse, Sandbox::clear_faults);
}

#[test]
fn a_broker_that_answers_every_message_with_an_unspecified_error_costs_none() {
    codes(0x80);
}

#[test]
fn a_broker_that_answers_every_message_with_a_quota_refusal_costs_none() {
    codes(0x97);
}

#[test]
fn a_policy_that_forbids_everything_costs_no_message_on_mqtt_5() {
    let refuse = |sandbox: &Sandbox| sandbox.policy("device-1", vec![Deny::Publish("#".into())]);
    costs_no_message("5", refuse, |sandbox| sandbox.policy("device-1", vec![]));
}

#[test]
fn a_policy_that_forbids_everything_costs_no_message_on_mqtt_3_1_1() {
    let refuse = |sandbox: &Sandbox| sandbox.policy("device-1", vec![Deny::Publish("#".into())]);
    costs_no_message("3.1.1", refuse, |sandbox| {
        sandbox.policy("device-1", vec![])
    });
}

#[test]
fn a_policy_that_forbids_everything_in_the_middle_costs_no_message() {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        let mut device = device(&sandbox, version);
        for n in 0..2000 {
            device.drop_message(&format!("{n:04}"), "t", &n.to_string());
        }
        device.start();
        sandbox.wait_for_publishes(100, LONG);
        sandbox.policy("device-1", vec![Deny::Publish("#".into())]);
        thread::sleep(Duration::from_secs(5));
        assert_eq!(device.failed(), [""; 0], "{}", device.log());
        sandbox.policy("device-1", vec![]);
        wait_for("new/ is empty", VERY_LONG, || device.waiting().is_empty());
        assert_eq!(device.failed(), [""; 0], "{}", device.log());
        assert_eq!(payloads(&sandbox).len(), 2000);
    }
}

#[test]
fn many_denied_messages_in_front_hold_up_the_good_ones_for_seconds_only_on_mqtt_5() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Publish("secret/#".into())]);
    let mut device = device(&sandbox, "5");
    for n in 0..60 {
        device.drop_message(&format!("a-{n:02}"), "secret/door", "x");
    }
    for n in 0..200 {
        device.drop_message(&format!("b-{n:04}"), "open", &n.to_string());
    }
    device.start();
    device.wait_until_empty();
    assert_eq!(payloads(&sandbox).len(), 200);
    assert_eq!(device.failed().len(), 60);
    assert_eq!(connections(&sandbox), 1);
}

/// Their pauses end together, long after the others are published: sixteen refusals in a row, but of
/// messages of which the same is known already.
#[test]
fn messages_that_are_denied_a_second_time_do_not_look_like_a_broker_that_refuses_everything() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Publish("secret/#".into())]);
    let mut device = device(&sandbox, "5");
    for n in 0..200 {
        let topic = if n % 5 == 0 { "secret/door" } else { "open" };
        device.drop_message(&format!("{n:04}"), topic, &n.to_string());
    }
    device.start();
    device.wait_until_empty();
    assert_eq!(payloads(&sandbox).len(), 160);
    assert_eq!(device.failed().len(), 40);
    assert!(
        !device.log().contains("accepts no message"),
        "{}",
        device.log()
    );
}
