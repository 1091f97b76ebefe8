//! Subscriptions on the handle of the connection, which features stand on.

mod common;

use std::time::Duration;

use chariotd::mqtt::{ConnectionOptions, QoS, SessionEnd, SubscriptionState, Version};
use chariotd::net::Class;
use common::handle::{
    CLEAN, VERSIONS, active, connect, open, options, packets, received, refused, subscribe,
    subscribers, wait_for_packets, wait_for_records,
};
use common::{LONG, builder, sandbox};
use iotcore_sandbox::{Cut, DeniedSubscription, Deny, Event, Fault, What, When};
use tokio::time::timeout;

#[tokio::test]
async fn a_message_reaches_the_readers_whose_filters_it_fits() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let (mqtt, _session) = connect(&sandbox, version, CLEAN);
        let (mut all, mut one) = (
            subscribe(&mqtt, "a/#").await,
            subscribe(&mqtt, "a/+/c").await,
        );
        active(&mut all).await;
        active(&mut one).await;
        sandbox.publish("a/b", b"first", 1);
        sandbox.publish("a/b/c", b"second", 0);
        assert_eq!(received(&mut all).await, ("a/b".into(), "first".into()));
        assert_eq!(received(&mut one).await, ("a/b/c".into(), "second".into()));
    }
}

#[tokio::test]
async fn no_packet_has_more_than_eight_filters() {
    let sandbox = sandbox();
    let (mqtt, _session) = connect(&sandbox, Version::V5, CLEAN);
    let mut subscriptions = Vec::new();
    for n in 0..20 {
        subscriptions.push(subscribe(&mqtt, &format!("t/{n}")).await);
    }
    for subscription in &mut subscriptions {
        active(subscription).await;
    }
    let packets = packets(&sandbox);
    assert!(
        packets.iter().all(|filters| filters.len() <= 8),
        "{packets:?}"
    );
    assert_eq!(packets.concat().len(), 20, "each filter once");
}

#[tokio::test]
async fn everything_is_subscribed_again_after_a_lost_session() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let (mqtt, _session) = connect(&sandbox, version, CLEAN);
        let mut subscription = subscribe(&mqtt, "a").await;
        active(&mut subscription).await;
        sandbox.cut("handle", Cut::Close);
        let pending = subscription
            .state
            .wait_for(|state| *state == SubscriptionState::Pending);
        timeout(LONG, pending)
            .await
            .expect("the loss is seen")
            .unwrap();
        active(&mut subscription).await;
        sandbox.publish("a", b"again", 1);
        assert_eq!(received(&mut subscription).await.1, "again");
    }
}

#[tokio::test]
async fn a_kept_session_is_not_subscribed_again() {
    for version in VERSIONS {
        let sandbox = builder()
            .limit(|limits| limits.backlog_rate = None)
            .start()
            .unwrap();
        let (mqtt, _session) = connect(&sandbox, version, Duration::from_secs(600));
        let mut subscription = subscribe(&mqtt, "a").await;
        active(&mut subscription).await;
        sandbox.pause();
        sandbox.publish("a", b"while away", 1);
        sandbox.resume();
        assert_eq!(received(&mut subscription).await.1, "while away");
        assert_eq!(packets(&sandbox).len(), 1);
        sandbox.restart();
        // A session that the broker lost is subscribed again.
        wait_for_packets(&sandbox, 2).await;
    }
}

#[tokio::test]
async fn a_refused_filter_disables_only_its_own_feature() {
    for version in VERSIONS {
        let sandbox = sandbox();
        sandbox.policy("handle", vec![Deny::Subscribe("secret/#".into())]);
        let (mqtt, _session) = connect(&sandbox, version, CLEAN);
        let (mut secret, mut open) = (
            subscribe(&mqtt, "secret/a").await,
            subscribe(&mqtt, "open").await,
        );
        assert!(
            refused(&mut secret)
                .await
                .contains("policy of the certificate")
        );
        active(&mut open).await;
        sandbox.publish("open", b"x", 1);
        received(&mut open).await;
    }
}

#[tokio::test]
async fn two_hundred_topics_are_spread_over_four_connections() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let options = ConnectionOptions {
            connections: 4,
            ..options(&sandbox, version)
        };
        let (mqtt, sessions) = open(&sandbox, options);
        let _running = tokio::spawn(sessions.run());
        let mut subscriptions = Vec::new();
        for n in 0..200 {
            subscriptions.push(subscribe(&mqtt, &format!("t/{n}")).await);
        }
        for subscription in &mut subscriptions {
            active(subscription).await;
        }
        let clients = sandbox.connected();
        assert_eq!(clients, ["handle", "handle_1", "handle_2", "handle_3"]);
        let packets = packets(&sandbox);
        assert!(packets.iter().all(|filters| filters.len() <= 8));
        assert_eq!(packets.concat().len(), 200, "each filter once");
        for n in [0, 50, 199] {
            sandbox.publish(&format!("t/{n}"), b"x", 1);
            received(&mut subscriptions[n]).await;
        }
        let why = mqtt.subscribe("t/200", QoS::AtLeastOnce, 1).await;
        assert!(why.unwrap_err().contains("--max-connections"));
    }
}

#[tokio::test]
async fn the_topics_of_one_subscription_stay_on_one_connection() {
    let sandbox = sandbox();
    let options = ConnectionOptions {
        connections: 2,
        ..options(&sandbox, Version::V5)
    };
    let (mqtt, sessions) = open(&sandbox, options);
    let _running = tokio::spawn(sessions.run());
    let mut groups = Vec::new();
    for thing in 0..10 {
        let topics: Vec<String> = (0..8).map(|n| format!("{thing}/{n}")).collect();
        let filters: Vec<&str> = topics.iter().map(String::as_str).collect();
        let group = mqtt.subscribe_all(&filters, QoS::AtLeastOnce, 16).await;
        groups.push(group.unwrap());
    }
    for group in &mut groups {
        active(group).await;
    }
    for (thing, group) in groups.iter_mut().enumerate() {
        let clients = subscribers(&sandbox, &format!("{thing}/"));
        assert_eq!(clients.len(), 1, "{thing} is on {clients:?}");
        assert_eq!(clients.contains("handle"), thing < 6, "{thing}");
        sandbox.publish(&format!("{thing}/7"), b"x", 1);
        received(group).await;
    }
}

#[tokio::test]
async fn a_further_connection_comes_back_by_itself_and_its_readers_can_see_it() {
    let sandbox = sandbox();
    let options = ConnectionOptions {
        connections: 2,
        ..options(&sandbox, Version::V5)
    };
    let (mqtt, sessions) = open(&sandbox, options);
    let _running = tokio::spawn(sessions.run());
    let topics: Vec<String> = (0..51).map(|n| format!("t/{n}")).collect();
    let filters: Vec<&str> = topics.iter().map(String::as_str).collect();
    let _first = mqtt
        .subscribe_all(&filters[..50], QoS::AtLeastOnce, 1)
        .await;
    let mut further = subscribe(&mqtt, filters[50]).await;
    active(&mut further).await;
    let link = mqtt.link();
    let before = *link.borrow();
    sandbox.cut("handle_1", Cut::Close);
    let connection = further.connection.wait_for(|number| *number == 2);
    timeout(LONG, connection)
        .await
        .expect("another one")
        .unwrap();
    active(&mut further).await;
    sandbox.publish("t/50", b"x", 1);
    received(&mut further).await;
    assert_eq!(
        *link.borrow(),
        before,
        "the first connection knows nothing of it"
    );
}

#[tokio::test]
async fn a_policy_that_forbids_further_client_ids_disables_what_is_on_them_only() {
    for version in VERSIONS {
        let sandbox = sandbox();
        sandbox.policy("handle_1", vec![Deny::Connect]);
        let options = ConnectionOptions {
            connections: 2,
            attempts: 1,
            ..options(&sandbox, version)
        };
        let (mqtt, sessions) = open(&sandbox, options);
        let running = tokio::spawn(sessions.run());
        let mut subscriptions = Vec::new();
        for n in 0..51 {
            subscriptions.push(subscribe(&mqtt, &format!("t/{n}")).await);
        }
        active(&mut subscriptions[0]).await;
        let refusals = |count| {
            wait_for_records(
                &sandbox,
                move |event| matches!(event, Event::ConnackSent { code, .. } if *code != 0),
                count,
            )
        };
        refusals(3).await;
        assert!(!running.is_finished(), "more than the attempts allow");
        sandbox.publish("t/0", b"x", 1);
        received(&mut subscriptions[0]).await;
        sandbox.policy("handle_1", vec![]);
        active(&mut subscriptions[50]).await;
    }
}

#[tokio::test]
async fn every_connection_sends_disconnect() {
    let sandbox = sandbox();
    let options = ConnectionOptions {
        connections: 3,
        ..options(&sandbox, Version::V5)
    };
    let (mqtt, sessions) = open(&sandbox, options);
    let running = tokio::spawn(sessions.run());
    let mut subscriptions = Vec::new();
    for n in 0..51 {
        subscriptions.push(subscribe(&mqtt, &format!("t/{n}")).await);
    }
    active(&mut subscriptions[50]).await;
    mqtt.disconnect().await;
    assert_eq!(
        timeout(LONG, running).await.unwrap().unwrap(),
        SessionEnd::Stopped
    );
    wait_for_records(
        &sandbox,
        |event| matches!(event, Event::DisconnectReceived { .. }),
        2,
    )
    .await;
}

#[tokio::test]
async fn a_missing_suback_replaces_the_connection() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::once(When::Always, What::SwallowSuback)]);
    let (mqtt, _session) = connect(&sandbox, Version::V5, CLEAN);
    let mut subscription = subscribe(&mqtt, "a").await;
    let state = subscription
        .state
        .wait_for(|state| *state == SubscriptionState::Active);
    timeout(Duration::from_secs(90), state)
        .await
        .expect("it is asked again after a minute")
        .unwrap();
    assert_eq!(packets(&sandbox).len(), 2);
}

#[tokio::test]
async fn a_broker_that_closes_over_a_denied_filter_does_not_end_the_program() {
    let sandbox = builder()
        .limit(|limits| limits.denied_subscription = DeniedSubscription::Close)
        .start()
        .unwrap();
    sandbox.policy("handle", vec![Deny::Subscribe("secret".into())]);
    let (mqtt, session) = connect(&sandbox, Version::V311, CLEAN);
    let _secret = subscribe(&mqtt, "secret").await;
    wait_for_packets(&sandbox, 2).await;
    assert!(!session.is_finished());
}

#[tokio::test]
async fn a_slow_reader_misses_messages_and_holds_up_nobody() {
    let sandbox = sandbox();
    let (mqtt, _session) = connect(&sandbox, Version::V5, CLEAN);
    let mut slow = mqtt.subscribe("a", QoS::AtLeastOnce, 2).await.unwrap();
    let mut quick = subscribe(&mqtt, "b").await;
    active(&mut slow).await;
    active(&mut quick).await;
    for _ in 0..5 {
        sandbox.publish("a", b"x", 1);
    }
    sandbox.publish("b", b"y", 1);
    received(&mut quick).await;
    assert_eq!(*slow.missed.borrow(), 3);
}

#[tokio::test]
async fn an_invalid_filter_is_an_error_at_once() {
    let sandbox = sandbox();
    let (mqtt, _session) = connect(&sandbox, Version::V5, CLEAN);
    assert!(
        mqtt.subscribe("a/#/b", QoS::AtLeastOnce, 1)
            .await
            .unwrap_err()
            .contains("last level")
    );
}

#[tokio::test]
async fn a_session_ends_when_asked_to_or_when_every_handle_is_gone() {
    let sandbox = sandbox();
    let (mqtt, session) = connect(&sandbox, Version::V5, CLEAN);
    let subscription = subscribe(&mqtt, "a").await;
    mqtt.disconnect().await;
    assert_eq!(
        timeout(LONG, session).await.unwrap().unwrap(),
        SessionEnd::Stopped
    );
    drop(subscription);
    let (mqtt, session) = connect(&sandbox, Version::V5, CLEAN);
    drop(mqtt);
    assert_eq!(
        timeout(LONG, session).await.unwrap().unwrap(),
        SessionEnd::Stopped
    );
}

#[test]
fn words_for_endings_are_those_of_the_manual() {
    let manual =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/chariotd.8.md"))
            .unwrap();
    let words = [
        Class::Dns,
        Class::Tcp,
        Class::TlsCa,
        Class::TlsCert,
        Class::TlsClock,
        Class::Tls,
        Class::Refused,
        Class::Timeout,
        Class::TakenOver,
        Class::KeepAlive,
        Class::Server,
        Class::Network,
        Class::Protocol,
    ];
    for word in words.map(Class::word) {
        assert!(manual.contains(&format!("`{word}`")), "{word}");
    }
}
