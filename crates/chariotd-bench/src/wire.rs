//! The bare wire: the daemon's own client, without files.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use chariotd::certstore::{Certstore, read_credentials};
use chariotd::identity::Endpoint;
use chariotd::mqtt::{
    Access, ConnectionOptions, Link, Mqtt, Properties, Publish, QoS, Rates, Sessions, Version,
};
use chariotd::net::{Roots, Route, Tls};
use tokio::runtime;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::files;

/// A connection of the daemon's client.
pub struct Wire;

impl Wire {
    /// Publishes so many payloads from memory, so many at a time, and waits for all acknowledgements.
    pub fn drain(broker: &Broker, topic: &str, count: usize, window: usize) -> Result<Duration> {
        let topic = topic.to_owned();
        run(broker, async move |mqtt| {
            let start = Instant::now();
            let mut flying = JoinSet::new();
            for _ in 0..count {
                if flying.len() >= window {
                    flying.join_next().await.context("one of them")???;
                }
                let (mqtt, topic) = (mqtt.clone(), topic.clone());
                flying.spawn(async move { publish(&mqtt, topic).await });
            }
            while let Some(ended) = flying.join_next().await {
                ended??;
            }
            Ok(start.elapsed())
        })
    }

    /// Milliseconds from each of so many publishes, one at a time, to its acknowledgement, and to the moment that
    /// `seen` tells.
    pub fn latency(
        broker: &Broker,
        topic: &str,
        count: usize,
        seen: impl Fn() -> Result<Instant>,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        run(broker, async move |mqtt| {
            let (mut acknowledged, mut arrived) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let start = Instant::now();
                publish(&mqtt, topic.to_owned()).await?;
                acknowledged.push(start.elapsed().as_secs_f64() * 1000.0);
                // Nothing else is to be done on this thread until then.
                let end = seen()?.saturating_duration_since(start);
                arrived.push(end.as_secs_f64() * 1000.0);
            }
            Ok((acknowledged, arrived))
        })
    }
}

async fn publish(mqtt: &Mqtt, topic: String) -> Result<()> {
    let publish = Publish {
        topic,
        payload: Bytes::from(files::payload()),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::default(),
    };
    let place = mqtt.place(files::PAYLOAD as u64).await;
    let answer = mqtt.publish(publish, place, false).await;
    answer.map_err(|error| anyhow!("{error:?}"))
}

fn run<T>(broker: &Broker, work: impl AsyncFnOnce(Mqtt) -> Result<T>) -> Result<T> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mqtt, sessions) = open(broker)?;
        let sessions = tokio::spawn(sessions.run());
        let mut link = mqtt.link();
        link.wait_for(|link| *link != Link::Down).await?;
        let result = work(mqtt.clone()).await;
        mqtt.disconnect().await;
        sessions.await?;
        result
    })
}

fn open(broker: &Broker) -> Result<(Mqtt, Sessions)> {
    let dir = tempfile::tempdir()?;
    let certs = dir.path().join("certs");
    broker.pki().write_certstore(&certs, broker.port());
    let contents = Certstore::new(&certs).contents()?;
    let certificate = contents.certificates.first().context("a certificate")?;
    let credentials = read_credentials(
        &certificate.certificate_file,
        &certificate.key_file,
        &chariotd::net::keyring(None),
    )?;
    let tls = Tls::mutual(&Roots::read(broker.pki().ca_file())?, &credentials, &[])?;
    let options = ConnectionOptions {
        client_id: "wire".into(),
        endpoint: Endpoint {
            host: "localhost".into(),
            port: broker.port(),
        },
        route: Route::default(),
        version: Version::V5,
        keep_alive: Duration::from_secs(1200),
        session_expiry: Duration::ZERO,
        last_will: None,
        birth: None,
        connections: 1,
        attempts: 1,
        rates: Rates::default(),
        clock_floor: std::time::UNIX_EPOCH,
    };
    Ok(Mqtt::new(options, Access::Certificate(tls)))
}
