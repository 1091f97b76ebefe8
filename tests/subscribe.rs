//! Subscriptions on the handle of the connection, which the features to come stand on.

mod common;

use std::time::Duration;

use chariotd::certstore::{Certstore, read_credentials};
use chariotd::mqtt::{
    Class, End, Mqtt, Options, QoS, Roots, Subscription, SubscriptionState, Tls, Version,
};
use common::{LONG, builder, sandbox};
use iotcore_sandbox::{Cut, DeniedSubscription, Deny, Event, Fault, Sandbox, What, When};
use tokio::task::JoinHandle;
use tokio::time::timeout;

fn connect(
    sandbox: &Sandbox,
    version: Version,
    session_expiry: Duration,
) -> (Mqtt, JoinHandle<End>) {
    let dir = tempfile::tempdir().unwrap();
    sandbox
        .pki()
        .write_certstore(&dir.path().join("certs"), sandbox.port());
    let store = Certstore::new(&dir.path().join("certs"));
    let endpoint = store.endpoint().unwrap();
    let certificate = &store.contents().unwrap().certificates[0];
    let credentials =
        read_credentials(&certificate.certificate_file, &certificate.key_file).unwrap();
    let roots = Roots::read(sandbox.pki().ca_file()).unwrap();
    let tls = Tls::new(&roots, &credentials, &endpoint).unwrap();
    let options = Options {
        client_id: "handle".into(),
        endpoint,
        version,
        keep_alive: Duration::from_secs(1200),
        session_expiry,
        last_will: None,
        attempts: 0,
        clock_floor: std::time::UNIX_EPOCH,
    };
    let (mqtt, session) = Mqtt::new(options, tls);
    (mqtt, tokio::spawn(session.run()))
}

async fn subscribe(mqtt: &Mqtt, filter: &str) -> Subscription {
    mqtt.subscribe(filter, QoS::AtLeastOnce, 16).await.unwrap()
}

async fn active(subscription: &mut Subscription) {
    let active = subscription
        .state
        .wait_for(|state| *state == SubscriptionState::Active);
    timeout(LONG, active)
        .await
        .expect("the SUBACK comes")
        .unwrap();
}

async fn refused(subscription: &mut Subscription) -> String {
    let refused = subscription
        .state
        .wait_for(|state| matches!(state, SubscriptionState::Refused(_)));
    match &*timeout(LONG, refused)
        .await
        .expect("the SUBACK comes")
        .unwrap()
    {
        SubscriptionState::Refused(why) => why.clone(),
        other => panic!("{other:?}"),
    }
}

async fn received(subscription: &mut Subscription) -> (String, String) {
    let message = timeout(LONG, subscription.messages.recv())
        .await
        .expect("a message")
        .unwrap();
    (
        message.topic,
        String::from_utf8_lossy(&message.payload).into_owned(),
    )
}

/// SUBSCRIBE packets: the filters of each.
fn packets(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let subscribe = |event: Event| match event {
        Event::Subscribe { filters } => {
            Some(filters.into_iter().map(|(filter, _)| filter).collect())
        }
        _ => None,
    };
    sandbox
        .record()
        .into_iter()
        .filter_map(|record| subscribe(record.event))
        .collect()
}

/// Waits for so many SUBSCRIBE packets without holding up the session.
async fn wait_for_packets(sandbox: &Sandbox, count: usize) {
    let enough = async {
        while packets(sandbox).len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, enough)
        .await
        .expect("the SUBSCRIBE packets come");
}

const VERSIONS: [Version; 2] = [Version::V5, Version::V311];
const CLEAN: Duration = Duration::ZERO;

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
async fn filters_beyond_the_quota_are_refused_and_the_others_work() {
    let sandbox = sandbox();
    let (mqtt, _session) = connect(&sandbox, Version::V5, CLEAN);
    let mut subscriptions = Vec::new();
    for n in 0..51 {
        subscriptions.push(subscribe(&mqtt, &format!("t/{n}")).await);
    }
    for subscription in &mut subscriptions[..50] {
        active(subscription).await;
    }
    refused(&mut subscriptions[50]).await;
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
async fn a_session_ends_when_told_to_or_when_every_handle_is_gone() {
    let sandbox = sandbox();
    let (mqtt, session) = connect(&sandbox, Version::V5, CLEAN);
    let subscription = subscribe(&mqtt, "a").await;
    mqtt.disconnect().await;
    assert_eq!(timeout(LONG, session).await.unwrap().unwrap(), End::Stopped);
    drop(subscription);
    let (mqtt, session) = connect(&sandbox, Version::V5, CLEAN);
    drop(mqtt);
    assert_eq!(timeout(LONG, session).await.unwrap().unwrap(), End::Stopped);
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
