//! What a test can do with a running sandbox.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use iotcore_sandbox::{CertificateKind, CloudMessage, Event, Moment, Sandbox, Service, Version};
use rumqttc::{Client, MqttOptions, QoS, TlsConfiguration, Transport};

use crate::common::{BOTH, ConnectPacket, Device, SOON, Seen, builder, config, recorded, sandbox};

fn refuses(sandbox: &Sandbox) -> bool {
    TcpStream::connect(("127.0.0.1", sandbox.port()))
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_paused_sandbox_refuses_connections_and_keeps_sessions() {
    for version in BOTH {
        let sandbox = sandbox();
        let (mut device, _) =
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "pump"));
        sandbox.pause();
        assert!(refuses(&sandbox));
        assert!(sandbox.connected().is_empty());
        assert_eq!(device.next(), Seen::Closed);
        sandbox.pause();

        sandbox.resume();
        sandbox.resume();
        let (_, connack) =
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "pump"));
        assert_eq!(
            connack,
            Seen::Connack {
                code: 0,
                session_present: true
            }
        );
    }
}

#[test]
fn a_restarted_sandbox_has_lost_its_sessions() {
    for version in BOTH {
        let sandbox = sandbox();
        let (mut device, _) =
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "pump"));
        sandbox.restart();
        assert_eq!(device.next(), Seen::Closed);
        let (_, connack) =
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "pump"));
        assert_eq!(
            connack,
            Seen::Connack {
                code: 0,
                session_present: false
            }
        );
    }
}

#[test]
fn a_dropped_sandbox_is_gone() {
    let sandbox = sandbox();
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    let port = sandbox.port();
    drop(sandbox);
    assert_eq!(device.next(), Seen::Closed);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn waiting_gives_up_in_time() {
    let sandbox = sandbox();
    assert!(sandbox.wait_for_publishes(1, Duration::ZERO).is_empty());
    assert_eq!(sandbox.wait_for(Duration::ZERO, |_| None::<()>), None);
    assert!(sandbox.records_after(0, Duration::ZERO).is_empty());
}

#[test]
fn records_are_numbered_without_gaps() {
    let sandbox = sandbox();
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.sees_nothing();
    let numbers: Vec<u64> = sandbox
        .record()
        .iter()
        .map(|record| record.sequence)
        .collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(sandbox.records_after(2, SOON)[0].sequence, 3);
}

/// Answers on the topic `<topic>/accepted`.
struct Echo;

impl Service for Echo {
    fn published(
        &mut self,
        client_id: &str,
        message: &CloudMessage,
        _: Moment,
    ) -> Vec<CloudMessage> {
        let ours = message.topic.starts_with("$aws/things/");
        let answer = CloudMessage::new(
            format!("{}/accepted", message.topic),
            format!("hello {client_id}"),
        );
        ours.then(|| answer.qos(1)).into_iter().collect()
    }
}

#[test]
fn a_service_of_the_cloud_answers() {
    for version in BOTH {
        let sandbox = builder().service(Echo).start().unwrap();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.subscribe(&[("$aws/things/t/shadow/get/accepted", 1)]);
        device.publish("$aws/things/t/shadow/get", b"", 0);
        let (topic, payload) = device.message();
        assert_eq!(
            (topic.as_str(), payload.as_str()),
            ("$aws/things/t/shadow/get/accepted", "hello pump")
        );
    }
}

#[test]
fn an_ordinary_client_publishes_twenty_thousand_messages() {
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let mut options = MqttOptions::new("pump", sandbox.host(), sandbox.port());
    let tls = TlsConfiguration::Rustls(std::sync::Arc::new(config(&sandbox, &issued)));
    options.set_transport(Transport::Tls(tls));
    let (client, mut connection) = Client::new(options, 100);
    let network = std::thread::spawn(move || connection.iter().take_while(Result::is_ok).count());
    for n in 0..20_000 {
        client
            .publish(format!("a/{n}"), QoS::AtLeastOnce, false, vec![b'x'; 200])
            .unwrap();
    }
    assert_eq!(sandbox.wait_for_publishes(20_000, SOON * 2).len(), 20_000);
    client.disconnect().unwrap();
    network.join().unwrap();
    recorded(&sandbox, |event| {
        matches!(event, Event::DisconnectReceived { .. })
    });
}

#[test]
fn an_ordinary_client_of_mqtt_5_subscribes_and_gets_messages() {
    use rumqttc::v5;
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let mut options = v5::MqttOptions::new("pump", sandbox.host(), sandbox.port());
    let tls = TlsConfiguration::Rustls(std::sync::Arc::new(config(&sandbox, &issued)));
    options.set_transport(Transport::Tls(tls));
    let (client, mut connection) = v5::Client::new(options, 100);
    client
        .subscribe("a/+", v5::mqttbytes::QoS::AtLeastOnce)
        .unwrap();
    client
        .publish("a/b", v5::mqttbytes::QoS::AtLeastOnce, false, "x")
        .unwrap();
    let got = connection
        .iter()
        .find_map(|event| match event.expect("no error") {
            v5::Event::Incoming(v5::mqttbytes::v5::Packet::Publish(publish)) => {
                Some(publish.payload)
            }
            _ => None,
        });
    assert_eq!(got.as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_sandbox_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&sandbox());
}
