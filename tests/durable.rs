//! Durable subscriptions on the handle of the connection: the broker forgets a message when its
//! reader says so, and not before.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use chariotd::mqtt::{ConnectionOptions, Delivery, Durable, Mqtt, SubscriptionState, Version};
use common::handle::{
    VERSIONS, active, open, options, received, subscribe, until, wait_for_records,
};
use common::{LONG, builder};
use iotcore_sandbox::{Cut, Event, Sandbox};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Stored messages come at once; the clock of the cloud is ours.
fn sandbox() -> Sandbox {
    builder()
        .limit(|limits| limits.backlog_rate = None)
        .start()
        .unwrap()
}

struct Running {
    mqtt: Mqtt,
    task: JoinHandle<chariotd::mqtt::SessionEnd>,
}

/// One reader on the connection `handle_1`, or on the only one.
async fn start(sandbox: &Sandbox, options: ConnectionOptions, filter: &str) -> (Running, Durable) {
    let connection = options.connections - 1;
    let (mqtt, mut sessions) = open(sandbox, options);
    let mut reader = sessions.durable(connection, &[filter]).unwrap();
    let task = tokio::spawn(sessions.run());
    let active = reader
        .state
        .wait_for(|state| *state == SubscriptionState::Active);
    timeout(LONG, active)
        .await
        .expect("the SUBACK comes")
        .unwrap();
    (Running { mqtt, task }, reader)
}

fn two(sandbox: &Sandbox, version: Version) -> ConnectionOptions {
    ConnectionOptions {
        connections: 2,
        ..options(sandbox, version)
    }
}

async fn next(reader: &mut Durable) -> (String, Delivery) {
    let delivery = timeout(LONG, reader.next())
        .await
        .expect("a message")
        .unwrap();
    let text = String::from_utf8_lossy(&delivery.message.payload).into_owned();
    (text, delivery)
}

fn acknowledged(sandbox: &Sandbox) -> usize {
    let all = sandbox.record();
    let is_puback = |event: &Event| matches!(event, Event::PubackReceived { .. });
    all.iter().filter(|record| is_puback(&record.event)).count()
}

async fn wait_for_acknowledgements(sandbox: &Sandbox, count: usize) {
    wait_for_records(
        sandbox,
        |event| matches!(event, Event::PubackReceived { .. }),
        count,
    )
    .await;
}

#[tokio::test]
async fn a_message_is_acknowledged_when_its_reader_is_done() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let (running, mut reader) = start(&sandbox, two(&sandbox, version), "t").await;
        let mut other = subscribe(&running.mqtt, "other").await;
        active(&mut other).await;
        sandbox.publish("t", b"one", 1);
        let (_, one) = next(&mut reader).await;
        // What comes later on both connections is answered, so nothing is merely late.
        sandbox.publish("t", b"two", 1);
        next(&mut reader).await.1.done();
        wait_for_acknowledgements(&sandbox, 1).await;
        sandbox.publish("other", b"x", 1);
        received(&mut other).await;
        wait_for_acknowledgements(&sandbox, 2).await;
        one.done();
        wait_for_acknowledgements(&sandbox, 3).await;
        assert_eq!(sandbox.connected(), ["handle", "handle_1"]);
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_its_old_acknowledgement_is_not_sent() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let (_running, mut reader) = start(&sandbox, two(&sandbox, version), "t").await;
        for text in ["one", "two", "three"] {
            sandbox.publish("t", text.as_bytes(), 1);
        }
        let (_, old) = next(&mut reader).await;
        sandbox.cut("handle_1", Cut::Reset);
        timeout(LONG, reader.repeated())
            .await
            .expect("another connection");
        assert!(old.comes_again());
        old.done();
        let mut again = Vec::new();
        for _ in 0..3 {
            let (text, delivery) = next(&mut reader).await;
            again.push(text);
            delivery.done();
        }
        assert_eq!(
            again,
            ["one", "two", "three"],
            "the copies in the mailbox are gone"
        );
        wait_for_acknowledgements(&sandbox, 3).await;
        assert_eq!(acknowledged(&sandbox), 3);
    }
}

#[tokio::test]
async fn a_later_process_gets_what_an_earlier_one_did_not_acknowledge() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let (running, mut reader) = start(&sandbox, two(&sandbox, version), "t").await;
        sandbox.publish("t", b"unacknowledged", 1);
        next(&mut reader).await;
        running.task.abort();
        until("it is gone", || sandbox.connected().is_empty()).await;
        sandbox.publish("t", b"while away", 1);
        let (mqtt, mut sessions) = open(&sandbox, two(&sandbox, version));
        let mut reader = sessions.durable(1, &["t"]).unwrap();
        let _task = tokio::spawn(sessions.run());
        for text in ["unacknowledged", "while away"] {
            let (seen, delivery) = next(&mut reader).await;
            assert_eq!(seen, text);
            delivery.done();
        }
        wait_for_acknowledgements(&sandbox, 2).await;
        drop(mqtt);
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_up_neither_the_others_nor_the_keep_alive() {
    for version in VERSIONS {
        let sandbox = builder()
            .limit(|limits| limits.min_keep_alive = Duration::from_secs(1))
            .start()
            .unwrap();
        let options = ConnectionOptions {
            keep_alive: Duration::from_secs(5),
            ..two(&sandbox, version)
        };
        let (running, mut reader) = start(&sandbox, options, "t").await;
        let mut other = subscribe(&running.mqtt, "other").await;
        active(&mut other).await;
        for _ in 0..150 {
            sandbox.publish("t", b"x", 1);
        }
        sandbox.publish("other", b"y", 1);
        received(&mut other).await;
        // Twice on each connection: the first answer proves the second request.
        wait_for_records(&sandbox, |event| *event == Event::PingRequest, 4).await;
        assert_eq!(sandbox.connected(), ["handle", "handle_1"]);
        for _ in 0..150 {
            next(&mut reader).await.1.done();
        }
        wait_for_acknowledgements(&sandbox, 151).await;
    }
}

#[tokio::test]
async fn a_broker_has_no_more_on_the_way_than_its_window() {
    for (version, window) in [(Version::V5, 32), (Version::V311, 100)] {
        let sandbox = sandbox();
        let (_running, mut reader) = start(&sandbox, two(&sandbox, version), "t").await;
        for _ in 0..150 {
            sandbox.publish("t", b"x", 1);
        }
        let delivered = |event: &Event| matches!(event, Event::Delivered { .. });
        wait_for_records(&sandbox, delivered, window).await;
        next(&mut reader).await.1.done();
        wait_for_records(&sandbox, delivered, window + 1).await;
        let all = sandbox.record();
        assert_eq!(
            all.iter().filter(|record| delivered(&record.event)).count(),
            window + 1
        );
    }
}

#[tokio::test]
async fn a_broker_without_a_window_is_asked_again_for_what_there_was_no_room_for() {
    let sandbox = builder()
        .limit(|limits| {
            limits.backlog_rate = None;
            limits.outbound_window = 10_000;
        })
        .start()
        .unwrap();
    let (_running, mut reader) = start(&sandbox, two(&sandbox, Version::V311), "t").await;
    for n in 0..500 {
        sandbox.publish("t", n.to_string().as_bytes(), 1);
    }
    let delivered = |event: &Event| matches!(event, Event::Delivered { .. });
    wait_for_records(&sandbox, delivered, 500).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 500 {
        let (text, delivery) = next(&mut reader).await;
        seen.insert(text);
        delivery.done();
    }
}

#[tokio::test]
async fn a_message_for_two_readers_is_acknowledged_when_the_last_is_done() {
    let sandbox = sandbox();
    let (_mqtt, mut sessions) = open(&sandbox, two(&sandbox, Version::V5));
    let mut one = sessions.durable(1, &["a/#"]).unwrap();
    let mut two = sessions.durable(1, &["+/b"]).unwrap();
    let _task = tokio::spawn(sessions.run());
    for reader in [&mut one, &mut two] {
        let active = reader
            .state
            .wait_for(|state| *state == SubscriptionState::Active);
        timeout(LONG, active)
            .await
            .expect("the SUBACK comes")
            .unwrap();
    }
    sandbox.publish("a/b", b"both", 1);
    sandbox.publish("a/c", b"one", 1);
    let (_, first) = next(&mut one).await;
    first.done();
    next(&mut one).await.1.done();
    wait_for_acknowledgements(&sandbox, 1).await;
    assert_eq!(acknowledged(&sandbox), 1, "that of a/c");
    next(&mut two).await.1.done();
    wait_for_acknowledgements(&sandbox, 2).await;
}

#[tokio::test]
async fn a_message_that_nobody_wants_any_more_is_acknowledged_and_dropped() {
    let sandbox = sandbox();
    let (running, reader) = start(&sandbox, two(&sandbox, Version::V5), "old").await;
    running.task.abort();
    drop(reader);
    until("it is gone", || sandbox.connected().is_empty()).await;
    let (_running, mut reader) = start(&sandbox, two(&sandbox, Version::V5), "new").await;
    sandbox.publish("old", b"x", 1);
    wait_for_acknowledgements(&sandbox, 1).await;
    sandbox.publish("new", b"y", 1);
    assert_eq!(next(&mut reader).await.0, "y");
}

#[tokio::test]
async fn a_single_connection_serves_durable_and_other_readers() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let (running, mut reader) = start(&sandbox, options(&sandbox, version), "t").await;
        let mut other = subscribe(&running.mqtt, "other").await;
        active(&mut other).await;
        sandbox.publish("t", b"x", 1);
        sandbox.publish("other", b"y", 1);
        received(&mut other).await;
        wait_for_acknowledgements(&sandbox, 1).await;
        next(&mut reader).await.1.done();
        wait_for_acknowledgements(&sandbox, 2).await;
        let answer = running.mqtt.request("up", "z".into()).await;
        assert_eq!(answer, Ok(()));
    }
}

#[tokio::test]
async fn a_durable_subscription_needs_a_valid_filter_and_room() {
    let sandbox = sandbox();
    let (_mqtt, mut sessions) = open(&sandbox, two(&sandbox, Version::V5));
    assert!(
        sessions
            .durable(1, &["a/#/b"])
            .unwrap_err()
            .contains("last level")
    );
    assert!(
        sessions
            .durable(2, &["a"])
            .unwrap_err()
            .contains("no such connection")
    );
    let topics: Vec<String> = (0..50).map(|n| format!("t/{n}")).collect();
    let filters: Vec<&str> = topics.iter().map(String::as_str).collect();
    assert!(sessions.durable(1, &filters).is_ok());
    assert!(
        sessions
            .durable(1, &["one more"])
            .unwrap_err()
            .contains("no room")
    );
}
