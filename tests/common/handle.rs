//! The handle of the connection, without a program around it.

use std::collections::BTreeSet;
use std::time::Duration;

use chariotd::certstore::{Certstore, read_credentials};
use chariotd::identity::Endpoint;
use chariotd::mqtt::{
    Access, ConnectionOptions, Mqtt, QoS, Rates, SessionEnd, Sessions, Subscription,
    SubscriptionState, Version, certificate_alpn,
};
use chariotd::net::{Roots, Route, Tls};
use iotcore_sandbox::{Event, Record, Sandbox};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::LONG;

pub const VERSIONS: [Version; 2] = [Version::V5, Version::V311];
pub const CLEAN: Duration = Duration::ZERO;

/// A handle with the client id `handle`, and its sessions at work.
pub fn connect(
    sandbox: &Sandbox,
    version: Version,
    session_expiry: Duration,
) -> (Mqtt, JoinHandle<SessionEnd>) {
    let options = ConnectionOptions {
        session_expiry,
        ..options(sandbox, version)
    };
    let (mqtt, sessions) = open(sandbox, options);
    (mqtt, tokio::spawn(sessions.run()))
}

/// With a clean session on a single connection.
pub fn options(sandbox: &Sandbox, version: Version) -> ConnectionOptions {
    ConnectionOptions {
        rates: Rates::default(),
        client_id: "handle".into(),
        endpoint: Endpoint {
            host: sandbox.host().to_owned(),
            port: sandbox.port(),
        },
        route: Route::default(),
        version,
        keep_alive: Duration::from_secs(1200),
        session_expiry: Duration::ZERO,
        last_will: None,
        birth: None,
        connections: 1,
        attempts: 0,
        clock_floor: std::time::UNIX_EPOCH,
    }
}

/// A handle, and its sessions before they run.
pub fn open(sandbox: &Sandbox, options: ConnectionOptions) -> (Mqtt, Sessions) {
    let dir = tempfile::tempdir().unwrap();
    sandbox
        .pki()
        .write_certstore(&dir.path().join("certs"), sandbox.port());
    let store = Certstore::new(&dir.path().join("certs"));
    let certificate = &store.contents().unwrap().certificates[0];
    let credentials = read_credentials(
        &certificate.certificate_file,
        &certificate.key_file,
        &chariotd::net::keyring(None),
    )
    .unwrap();
    let roots = Roots::read(sandbox.pki().ca_file()).unwrap();
    let tls = Tls::mutual(&roots, &credentials, certificate_alpn(&options.endpoint)).unwrap();
    Mqtt::new(options, Access::Certificate(tls))
}

pub async fn subscribe(mqtt: &Mqtt, filter: &str) -> Subscription {
    mqtt.subscribe(filter, QoS::AtLeastOnce, 16).await.unwrap()
}

pub async fn active(subscription: &mut Subscription) {
    let active = subscription
        .state
        .wait_for(|state| *state == SubscriptionState::Active);
    timeout(LONG, active)
        .await
        .expect("the SUBACK comes")
        .unwrap();
}

pub async fn refused(subscription: &mut Subscription) -> String {
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

pub async fn received(subscription: &mut Subscription) -> (String, String) {
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
pub fn packets(sandbox: &Sandbox) -> Vec<Vec<String>> {
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

/// The clients that subscribed to something that begins so.
pub fn subscribers(sandbox: &Sandbox, beginning: &str) -> BTreeSet<String> {
    let subscribed = |record: Record| match record.event {
        Event::Subscribe { filters } => filters
            .iter()
            .any(|(filter, _)| filter.starts_with(beginning))
            .then(|| record.client_id.map(|id| id.to_string()))?,
        _ => None,
    };
    sandbox
        .record()
        .into_iter()
        .filter_map(subscribed)
        .collect()
}

/// Waits for so many SUBSCRIBE packets without holding up the session.
pub async fn wait_for_packets(sandbox: &Sandbox, count: usize) {
    wait_for_records(
        sandbox,
        |event| matches!(event, Event::Subscribe { .. }),
        count,
    )
    .await;
}

/// Waits for so many events without holding up the session.
pub async fn wait_for_records(sandbox: &Sandbox, fits: impl Fn(&Event) -> bool, count: usize) {
    let enough = || {
        let all = sandbox.record();
        all.iter().filter(|record| fits(&record.event)).count() >= count
    };
    until("the events come", enough).await;
}

/// Waits for a condition without holding up the session.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, reached).await.expect(what);
}
