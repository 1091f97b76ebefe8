//! What a bad network and a bad broker do to messages on their way: nothing is lost, nothing is
//! given up that could still be accepted, and one message never stops the others.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Device, LONG, builder, sandbox, wait_for};
use nix::sys::signal::Signal;

use iotcore_sandbox::{Cut, Deny, Event, Fault, Sandbox, What, When};

fn device(sandbox: &Sandbox, version: &str) -> Device {
    let mut device = Device::new(sandbox);
    device
        .option("--mqtt", version)
        .option("--connect-attempts", 0);
    device
}

/// How often each payload was published.
fn times(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for publish in sandbox.published() {
        *times.entry(publish.text()).or_default() += 1;
    }
    times
}

/// Twenty messages arrive in spite of these faults, which hit the connection once or twice.
fn twenty_arrive(faults: Vec<Fault>) {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        sandbox.faults(faults.clone());
        let mut device = device(&sandbox, version);
        device.message_option("--message-retries", 0);
        for n in 0..20 {
            device.drop_message(&format!("{n:02}"), "t", &format!("{n:02}"));
        }
        device.start();
        device.wait_until_empty();
        assert_eq!(device.failed(), [""; 0], "{faults:?}");
        assert_eq!(times(&sandbox).len(), 20, "{faults:?}");
    }
}

#[test]
fn a_connection_that_breaks_anywhere_loses_nothing() {
    for packets in [1, 2, 5, 12] {
        twenty_arrive(vec![Fault {
            when: When::Always,
            what: What::CloseAfterPackets(packets),
            times: Some(1),
        }]);
        twenty_arrive(vec![Fault {
            when: When::Always,
            what: What::ResetAfterPackets(packets),
            times: Some(1),
        }]);
    }
}

#[test]
fn a_connection_that_ends_around_a_puback_loses_nothing() {
    twenty_arrive(vec![Fault::once(When::Publish(7), What::CloseBeforePuback)]);
    twenty_arrive(vec![Fault::once(When::Publish(7), What::CloseAfterPuback)]);
}

#[test]
fn pubacks_may_be_late_and_in_any_order() {
    twenty_arrive(vec![Fault::once(
        When::Publish(1),
        What::ReorderPubacks(10),
    )]);
    twenty_arrive(vec![Fault::always(
        When::Publish(3),
        What::DelayPuback(Duration::from_millis(300)),
    )]);
}

#[test]
fn pubacks_that_nobody_waits_for_lose_nothing() {
    twenty_arrive(vec![Fault::once(When::Publish(5), What::DuplicatePuback)]);
    twenty_arrive(vec![Fault::once(When::Publish(5), What::UnsolicitedPuback)]);
}

#[test]
fn a_puback_belongs_to_its_own_message() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::once(
        When::Topic("held".into()),
        What::SwallowPuback,
    )]);
    let mut device = device(&sandbox, "5");
    device.drop_message("a-held", "held", "x");
    for n in 0..5 {
        device.drop_message(&format!("b-{n}"), "t", "x");
    }
    device.start();
    wait_for("only the unacknowledged one stays", LONG, || {
        device.waiting() == ["a-held"]
    });
}

#[test]
fn a_missing_puback_replaces_the_connection_after_a_minute_and_costs_no_retry() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::once(
        When::Topic("held".into()),
        What::SwallowPuback,
    )]);
    let mut device = device(&sandbox, "5");
    device.message_option("--message-retries", 0);
    device.drop_message("a-held", "held", "held");
    device.drop_message("b", "t", "other");
    device.start().wait_for_log("connected to");
    let limit = Duration::from_secs(90);
    wait_for("the unanswered one is sent again", limit, || {
        times(&sandbox).get("held") == Some(&2)
    });
    device.wait_until_empty();
    device.wait_for_log("connection lost: protocol: a publish is unanswered for 60 s");
    assert_eq!(device.failed(), [""; 0]);
}

#[test]
fn a_full_window_without_any_answer_ends_with_111() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(When::Always, What::SwallowPuback)]);
    let mut device = device(&sandbox, "5");
    device
        .message_option("--message-concurrency", 2)
        .message_option("--message-jam-timeout", 2);
    for name in ["a", "b", "c"] {
        device.drop_message(name, "t", name);
    }
    assert_eq!(device.start().exit_code(), Some(111));
    device.wait_for_log("is jammed: the window is full and nothing is acknowledged");
    assert_eq!(device.waiting(), ["a", "b", "c"]);
    assert_eq!(
        sandbox.published().len(),
        2,
        "no more than the window was sent"
    );
}

/// A process that stands still, or is busy with a slow disk, finds its answers and the end of the jam
/// time at once.
#[test]
fn a_process_that_stood_still_for_longer_than_the_jam_time_is_not_jammed() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(
        When::Topic("slow".into()),
        What::DelayPuback(Duration::from_millis(300)),
    )]);
    let mut device = device(&sandbox, "5");
    device
        .message_option("--message-jam-timeout", 1)
        .message_option("--message-concurrency", 1);
    for n in 0..5 {
        device.drop_message(&format!("{n}"), "slow", &n.to_string());
    }
    device.start();
    for n in 1..=4 {
        sandbox.wait_for_publishes(n, LONG);
        device.signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(1500));
        device.signal(Signal::SIGCONT);
    }
    device.wait_until_empty();
    assert!(device.runs(), "{}", device.log());
}

#[test]
fn what_is_in_flight_at_sigterm_is_acknowledged_and_not_sent_again() {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        sandbox.faults(vec![Fault::always(
            When::Always,
            What::DelayPuback(Duration::from_millis(400)),
        )]);
        let mut device = device(&sandbox, version);
        device.message_option("--message-concurrency", 90);
        for n in 0..200 {
            device.drop_message(&format!("{n:03}"), "t", &n.to_string());
        }
        device.start();
        sandbox.wait_for_publishes(90, LONG);
        assert_eq!(device.stop(), Some(0));
        assert_eq!(device.waiting().len(), 110, "{}", device.log());
        device.start();
        device.wait_until_empty();
        assert!(times(&sandbox).values().all(|count| *count == 1));
        assert_eq!(times(&sandbox).len(), 200);
    }
}

#[test]
fn a_broker_that_answers_nothing_does_not_hold_up_sigterm() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(When::Always, What::SwallowPuback)]);
    let mut device = device(&sandbox, "5");
    device.drop_message("a", "t", "a");
    device.start();
    sandbox.wait_for_publishes(1, LONG);
    let start = std::time::Instant::now();
    assert_eq!(device.stop(), Some(0));
    println!("stopped after {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(device.waiting(), ["a"]);
    let left = |event: &Event| matches!(event, Event::DisconnectReceived { .. });
    assert!(sandbox.wait_for_event(LONG, left).is_some());
}

#[test]
fn an_outage_is_no_jam() {
    let sandbox = sandbox();
    let mut device = device(&sandbox, "5");
    device
        .message_option("--message-concurrency", 1)
        .message_option("--message-jam-timeout", 1);
    device.start().wait_for_log("connected to");
    sandbox.pause();
    device.drop_message("a", "t", "a");
    device.drop_message("b", "t", "b");
    wait_for("it tried a few times", LONG, || {
        device.logged("connection failed: tcp") >= 2
    });
    assert!(device.runs());
    sandbox.resume();
    device.wait_until_empty();
}

/// The most messages, and the most bytes of payload, that were unanswered at one time.
fn most_in_flight(sandbox: &Sandbox) -> (usize, usize) {
    let mut in_flight: BTreeMap<u16, usize> = BTreeMap::new();
    let mut most = (0, 0);
    for record in sandbox.record() {
        match record.event {
            Event::Publish(publish) => {
                in_flight.insert(publish.packet_id.expect("QoS 1"), publish.payload.len());
                most = (
                    most.0.max(in_flight.len()),
                    most.1.max(in_flight.values().sum()),
                );
            }
            Event::PubackSent { packet_id, .. } => drop(in_flight.remove(&packet_id)),
            _ => {}
        }
    }
    most
}

/// Acknowledges late enough for every window to fill.
fn slow() -> Sandbox {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(
        When::Always,
        What::DelayPuback(Duration::from_millis(200)),
    )]);
    sandbox
}

#[test]
fn the_window_of_a_directory_is_used_and_kept() {
    let sandbox = slow();
    let mut device = device(&sandbox, "5");
    device.message_option("--message-concurrency", 3);
    for n in 0..30 {
        device.drop_message(&n.to_string(), "t", "x");
    }
    device.start();
    sandbox.wait_for_publishes(30, LONG);
    assert_eq!(most_in_flight(&sandbox).0, 3);
}

#[test]
fn all_directories_together_stay_below_a_hundred_messages() {
    let sandbox = slow();
    let mut device = device(&sandbox, "5");
    device.option("--default-message-concurrency", 100);
    let other = device.path("other");
    std::fs::create_dir(&other).unwrap();
    device.option("--messages", other.display());
    for n in 0..150 {
        device.drop_message(&n.to_string(), "t", "x");
        common::drop_file(&other, &n.to_string(), r#"{"topic":"t","payload":"x"}"#);
    }
    device.start();
    sandbox.wait_for_publishes(300, LONG);
    assert_eq!(most_in_flight(&sandbox).0, 90);
}

#[test]
fn all_messages_together_stay_below_a_mebibyte() {
    let sandbox = slow();
    let mut device = device(&sandbox, "5");
    device.option("--default-message-concurrency", 100);
    for n in 0..24 {
        device.drop_message(&n.to_string(), "t", &"x".repeat(128 * 1024));
    }
    device.start();
    sandbox.wait_for_publishes(24, LONG);
    assert_eq!(most_in_flight(&sandbox), (8, 1024 * 1024));
}

#[test]
fn a_broker_with_a_small_receive_maximum_is_respected() {
    let sandbox = builder()
        .limit(|limits| limits.inbound_window = 5)
        .start()
        .unwrap();
    sandbox.faults(vec![Fault::always(
        When::Always,
        What::DelayPuback(Duration::from_millis(50)),
    )]);
    let mut device = device(&sandbox, "5");
    for n in 0..40 {
        device.drop_message(&n.to_string(), "t", "x");
    }
    device.start();
    sandbox.wait_for_publishes(40, LONG);
    device.wait_until_empty();
    assert!(most_in_flight(&sandbox).0 <= 5);
    assert_eq!(device.logged("connected to"), 1);
}

#[test]
fn a_refusal_that_may_pass_is_tried_again_and_then_given_up_while_others_are_accepted() {
    let sandbox = sandbox();
    sandbox.faults(vec![
        Fault {
            when: When::Topic("once".into()),
            what: What::PubackReason(0x80),
            times: Some(1),
        },
        Fault::always(When::Topic("ever".into()), What::PubackReason(0x80)),
    ]);
    let mut device = device(&sandbox, "5");
    device.message_option("--message-retries", 1);
    device.drop_message("a-ever", "ever", "ever");
    device.drop_message("b-good", "good", "good");
    device.drop_message("c-once", "once", "once");
    device.start();
    let reason = device.wait_for_failure("a-ever");
    assert!(
        reason.contains("unspecified error (2 attempts)"),
        "{reason}"
    );
    device.wait_until_empty();
    assert_eq!(times(&sandbox).get("once"), Some(&1));
    device.wait_for_log("'a-ever' stays and is tried again in 2 s: unspecified error");
}

#[test]
fn a_denied_topic_goes_to_failed_on_mqtt_5_while_others_flow() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Publish("secret/#".into())]);
    let mut device = device(&sandbox, "5");
    device.drop_message("a-denied", "secret/door", "x");
    for n in 0..30 {
        device.drop_message(&format!("b-{n:02}"), "open", &format!("{n}"));
    }
    device.start();
    assert!(
        device
            .wait_for_failure("a-denied")
            .contains("not authorised")
    );
    sandbox.wait_for_publishes(30, LONG);
    device.wait_until_empty();
    assert_eq!(
        device.logged("connected to"),
        1,
        "the connection was never lost"
    );
}

#[test]
fn denied_topics_on_mqtt_3_1_1_end_connections_but_never_stop_the_others() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Publish("secret/#".into())]);
    let mut device = Device::new(&sandbox);
    device.option("--mqtt", "3.1.1");
    let denied = ["a-denied-1", "a-denied-2", "a-denied-3"];
    for name in denied {
        device.drop_message(name, "secret/door", "x");
    }
    for n in 0..20 {
        device.drop_message(&format!("b-{n:02}"), "open", &n.to_string());
    }
    device.start();
    wait_for("all others are published", LONG, || {
        times(&sandbox).len() == 20
    });
    for name in denied {
        let reason = device.wait_for_failure(name);
        assert!(reason.contains("ended 3 connections over it"), "{reason}");
    }
}

#[test]
fn a_random_storm_of_cuts_loses_nothing() {
    let sandbox = sandbox();
    let mut device = device(&sandbox, "5");
    device
        .message_option("--message-retries", 0)
        .message_option("--message-concurrency", 50);
    device.start().wait_for_log("connected to");
    let mut random = fastrand::Rng::with_seed(11);
    for n in 0..500 {
        device.drop_message(&format!("{n:03}"), "t", &format!("{n:03}"));
        if random.u8(..100) == 0 {
            sandbox.cut(
                "device-1",
                if random.bool() {
                    Cut::Close
                } else {
                    Cut::Reset
                },
            );
        }
    }
    device.wait_until_empty();
    assert_eq!(times(&sandbox).len(), 500);
    assert_eq!(device.failed(), [""; 0]);
}

#[test]
fn properties_and_retain_reach_an_mqtt_5_broker() {
    let sandbox = sandbox();
    let mut device = device(&sandbox, "5");
    device.start();
    device.drop_file(
        "x",
        r#"{"topic":"t","payload":1,"retain":true,"properties":{"content_type":"c","response_topic":"r",
            "correlation_data":"d","message_expiry":60,"user":{"a":"1","b":"2"}}}"#,
    );
    let publish = &sandbox.wait_for_publishes(1, LONG)[0];
    let properties = &publish.properties;
    assert!(publish.retain);
    assert_eq!(properties.content_type.as_deref(), Some("c"));
    assert_eq!(properties.response_topic.as_deref(), Some("r"));
    assert_eq!(properties.message_expiry, Some(60));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(properties.user, [pair("a", "1"), pair("b", "2")]);
}

#[test]
fn a_message_with_properties_goes_out_without_them_on_mqtt_3_1_1() {
    let sandbox = sandbox();
    let mut device = device(&sandbox, "3.1.1");
    device.start();
    device.drop_file(
        "x",
        r#"{"topic":"t","payload":1,"properties":{"content_type":"c"}}"#,
    );
    sandbox.wait_for_publishes(1, LONG);
    device.wait_until_empty();
}

#[test]
fn a_letterhead_command_learns_of_its_message_and_sees_no_shell() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox();
    let mut device = device(&sandbox, "5");
    let command = device.path("generator");
    let script = "#!/bin/sh\nprintf '{\"topic\":\"from/%s\",\"payload\":{\"arguments\":%s,\"t\":\"%s\",\
                  \"p\":\"%s\",\"s\":\"%s\",\"w\":\"%s\",\"file\":\"%s\"}}' \
                  \"$MESSAGE_TOPIC\" $# \"${MESSAGE_TIMESTAMP_S:+set}\" \"$MESSAGE_PRIORITY\" \
                  \"${MESSAGE_PRIORITY_SLOT-unset}\" \"$MESSAGE_WAS_PRIORITISED\" \"$MESSAGE_FILENAME\"\n";
    std::fs::write(&command, script).unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    device.message_option("--letterhead-generator", command.display());
    device.drop_file("a;reboot", r#"{"priority":3,"payload":{"value":7}}"#);
    device.start();
    let publish = &sandbox.wait_for_publishes(1, LONG)[0];
    assert_eq!(publish.topic, "from/");
    assert_eq!(
        publish.text(),
        r#"{"arguments":0,"t":"set","p":"3","s":"unset","w":"1","file":"a;reboot","value":7}"#
    );
}

#[test]
fn a_letterhead_command_gets_the_whole_topic_and_priorities_as_they_are_written() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox();
    let mut device = device(&sandbox, "5");
    let command = device.path("generator");
    let script = "#!/bin/sh\nprintf '\\357\\273\\277{\"payload\":{\"t\":\"%s\",\"p\":\"%s\",\"s\":\"%s\"}}' \
                  \"$MESSAGE_TOPIC\" \"$MESSAGE_PRIORITY\" \"$MESSAGE_PRIORITY_SLOT\"\n";
    std::fs::write(&command, script).unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    device.message_option("--letterhead-generator", command.display());
    device.message_option("--message-topic-prefix", "site/7/");
    device.message_option("--message-topic-suffix", "/up");
    // A byte order mark before the message, as before the letterhead above, is no part of it.
    let message = "\u{feff}{\"topic\":\"pump\",\"priority\":-0.50,\"priority_slot\":7,\"payload\":{\"v\":1E5}}";
    device.drop_file("a", message);
    device.start();
    let publish = &sandbox.wait_for_publishes(1, LONG)[0];
    assert_eq!(publish.topic, "site/7/pump/up");
    assert_eq!(
        publish.text(),
        r#"{"t":"site/7/pump/up","p":"-0.50","s":"7","v":1E5}"#
    );
}

/// As values in memory such a file takes hundreds of times its size.
#[test]
fn large_files_of_small_numbers_take_no_more_memory_than_their_text() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox();
    let mut device = device(&sandbox, "5");
    let command = device.path("generator");
    std::fs::write(&command, "#!/bin/sh\nsleep 0.3\necho '{\"topic\":\"t\"}'\n").unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    device
        .message_option("--letterhead-generator", command.display())
        .message_option("--message-concurrency", 90);
    let numbers = vec!["1"; 500_000].join(",");
    for n in 0..10 {
        let file = format!(r#"{{"compress":"gzip","payload":[{n},{numbers}]}}"#);
        device.drop_file(&n.to_string(), file);
    }
    device.start();
    device.wait_until_empty();
    assert_eq!(sandbox.published().len(), 10, "{}", device.log());
    let status = std::fs::read_to_string(format!("/proc/{}/status", device.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    let peak = peak.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let peak = peak.expect("the peak of the resident memory, in kB");
    println!("10 files of 1 MB, at most {peak} kB of memory");
    assert!(peak < 60_000, "{peak} kB");
}

#[test]
fn a_backlog_above_the_cloud_s_rate_loses_nothing_with_the_default_retries() {
    let sandbox = builder()
        .limit(|limits| limits.publish_rate = Some(100))
        .start()
        .unwrap();
    let mut device = device(&sandbox, "5");
    device.message_option("--message-concurrency", 50);
    for n in 0..250 {
        device.drop_message(&format!("{n:03}"), "t", &n.to_string());
    }
    device.start();
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0]);
    assert_eq!(times(&sandbox).len(), 250);
    assert!(
        sandbox
            .record()
            .iter()
            .any(|one| matches!(one.event, Event::PubackSent { code: 0x97, .. }))
    );
}
