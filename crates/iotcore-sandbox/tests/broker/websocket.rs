//! MQTT over WebSocket, with signed upgrades.

use bytes::Bytes;
use iotcore_sandbox::{
    Builder, CertificateKind, Cut, Deny, Event, Fault, Proof, Sandbox, Transport, Version, What,
    When,
};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::common::sigv4::{Key, key, target};
use crate::common::web::{Refused, exchange, head, head_without, open, upgrade};
use crate::common::{
    BOTH, ConnectPacket, Device, Seen, anonymous, builder, closed, code, recorded,
};

fn signing() -> Builder {
    let key = key();
    builder().access_key(&key.id, &key.secret, None)
}

/// Connected over WebSocket.
fn connect(sandbox: &Sandbox, version: Version, client_id: &str) -> Device {
    let mut device = open(sandbox, version, &target(&key(), 0), &[]).unwrap();
    device.send_connect(&ConnectPacket::new(version, client_id));
    let code = 0;
    let session_present = false;
    assert_eq!(
        device.next(),
        Seen::Connack {
            code,
            session_present
        }
    );
    device
}

fn refused(sandbox: &Sandbox, target: &str) -> Refused {
    let refused = open(sandbox, Version::V5, target, &[]).err();
    refused.expect("the upgrade is refused")
}

#[test]
fn it_is_the_same_broker_over_websocket() {
    for version in BOTH {
        let sandbox = signing().start().unwrap();
        let mut over_tls = Device::connect(&sandbox, version, "valve");
        let mut device = connect(&sandbox, version, "pump");
        assert_eq!(device.subscribe(&[("to/pump", 1)]), [1]);
        assert_eq!(over_tls.subscribe(&[("from/pump", 1)]), [1]);

        let packet_id = device.publish("from/pump", b"on", 1);
        assert_eq!(device.next(), Seen::Puback { packet_id, code: 0 });
        assert_eq!(over_tls.message(), ("from/pump".into(), "on".into()));
        over_tls.publish("to/pump", b"off", 0);
        assert_eq!(device.message(), ("to/pump".into(), "off".into()));

        recorded(&sandbox, |event| {
            *event
                == Event::Admitted {
                    transport: Transport::WebSocket,
                    proof: Proof::AccessKey,
                    identity: "AKIDEXAMPLE".to_owned(),
                }
        });
    }
}

#[test]
fn packets_and_messages_begin_and_end_apart() {
    let sandbox = signing().largest_frame(1).start().unwrap();
    let mut device = connect(&sandbox, Version::V311, "pump");
    // Two packets in one message, then one in messages of one byte.
    device.send_raw(&[0xc0, 0, 0xc0, 0]);
    assert_eq!(device.next(), Seen::PingResponse);
    assert_eq!(device.next(), Seen::PingResponse);
    for byte in [0x82, 0x06, 0x00, 0x01, 0x00, 0x01, b'a', 0x01] {
        device.send_raw(&[byte]);
    }
    assert_eq!(device.next(), Seen::Suback { codes: vec![1] });
    let payload = "x".repeat(1000);
    sandbox.publish("a", payload.as_bytes(), 0);
    assert_eq!(device.message(), ("a".to_owned(), payload));
}

#[test]
fn what_is_wrong_with_a_signed_upgrade_is_told() {
    let sandbox = signing().start().unwrap();
    let check = |key: Key, later: i64, why: &str| {
        let refused = refused(&sandbox, &target(&key, later));
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains(why), "{}", refused.body);
        assert!(refused.date.ends_with(" GMT"), "{}", refused.date);
    };
    let own = key();
    let id = "AKIDOTHER".to_owned();
    check(Key { id, ..own.clone() }, 0, "security token included");
    let secret = "other".to_owned();
    check(
        Key {
            secret,
            ..own.clone()
        },
        0,
        "does not match",
    );
    let token = Some("token".to_owned());
    check(
        Key {
            token,
            ..own.clone()
        },
        0,
        "token included",
    );
    check(own.clone(), -310, "Signature expired");
    check(own, 310, "Signature not yet current");
    assert!(
        closed(&sandbox)
            .iter()
            .all(|why| why.starts_with("the upgrade is refused: "))
    );
}

#[test]
fn the_clock_of_the_cloud_may_be_wrong() {
    let sandbox = signing().clock_skew(3600).start().unwrap();
    let now = refused(&sandbox, &target(&key(), 0));
    assert!(now.body.contains("Signature expired"), "{}", now.body);
    assert!(open(&sandbox, Version::V5, &target(&key(), 3600), &[]).is_ok());
    sandbox.clock_skew(0);
    assert!(open(&sandbox, Version::V5, &target(&key(), 0), &[]).is_ok());
}

#[test]
fn keys_come_and_go() {
    let sandbox = builder().start().unwrap();
    assert_eq!(refused(&sandbox, &target(&key(), 0)).status, 403);
    let mut temporary = key();
    temporary.token = Some("/+= token".to_owned());
    sandbox.add_access_key(&temporary.id, &temporary.secret, temporary.token.as_deref());
    assert_eq!(refused(&sandbox, &target(&key(), 0)).status, 403);
    assert!(open(&sandbox, Version::V5, &target(&temporary, 0), &[]).is_ok());
    sandbox.remove_access_key(&temporary.id);
    assert_eq!(refused(&sandbox, &target(&temporary, 0)).status, 403);
}

#[test]
fn upgrades_are_for_one_region() {
    let key = key();
    let other = builder()
        .access_key(&key.id, &key.secret, None)
        .region("eu-west-2");
    let refused = refused(&other.start().unwrap(), &target(&key, 0));
    assert!(refused.body.contains("scoped to"), "{}", refused.body);
}

#[test]
fn a_policy_is_for_an_access_key() {
    for version in BOTH {
        let sandbox = signing().start().unwrap();
        sandbox.identity_policy("AKIDEXAMPLE", vec![Deny::Connect]);
        let mut device = open(&sandbox, version, &target(&key(), 0), &[]).unwrap();
        device.send_connect(&ConnectPacket::new(version, "pump"));
        let code = code(version, 5, 0x87);
        let session_present = false;
        assert_eq!(
            device.next(),
            Seen::Connack {
                code,
                session_present
            }
        );
        assert_eq!(device.next(), Seen::Closed);
        Device::connect(&sandbox, version, "pump");
    }
}

#[test]
fn only_a_right_upgrade_to_mqtt_is_answered_with_101() {
    let sandbox = signing().start().unwrap();
    let check = |request: &str, status: u16, why: &str| {
        let answer = exchange(
            sandbox.wss_port(),
            anonymous(&sandbox, &["http/1.1"]),
            request,
        );
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains("\r\nDate: "), "{answer}");
        assert!(answer.contains(why), "{answer}");
        recorded(
            &sandbox,
            |event| matches!(event, Event::Upgrade { status: recorded, .. } if *recorded == status),
        );
    };
    let good = target(&key(), 0);
    check(
        &head_without(&good, "Sec-WebSocket-Protocol"),
        400,
        "Sec-WebSocket-Protocol must be mqtt",
    );
    check(
        &head_without(&good, "Upgrade"),
        400,
        "not an upgrade to WebSocket",
    );
    check(
        &head(&good.replace("/mqtt", "/")),
        404,
        "the path of MQTT is /mqtt",
    );
    check(&head("/mqtt"), 403, "Missing Authentication Token");
    let bare = exchange(
        sandbox.wss_port(),
        anonymous(&sandbox, &[]),
        "no HTTP\r\n\r\n",
    );
    assert!(bare.starts_with("HTTP/1.1 400 "), "{bare}");
}

#[test]
fn the_parameters_of_an_upgrade_are_recorded_without_their_values() {
    let sandbox = signing().start().unwrap();
    connect(&sandbox, Version::V5, "pump");
    let record = recorded(&sandbox, |event| matches!(event, Event::Upgrade { .. }));
    let names = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    let expected = Event::Upgrade {
        path: "/mqtt".to_owned(),
        parameters: names.map(str::to_owned).to_vec(),
        status: 101,
        refused: None,
    };
    assert_eq!(record.event, expected);
    recorded(&sandbox, |event| {
        matches!(
            event,
            Event::TlsEstablished {
                certificate_id: None,
                ..
            }
        )
    });
}

#[test]
fn a_text_message_ends_the_connection() {
    let sandbox = signing().start().unwrap();
    let mut socket = upgrade(&sandbox, &target(&key(), 0), &[]).unwrap();
    socket.send(Message::text("CONNECT")).unwrap();
    match socket.read().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Unsupported),
        other => panic!("{other:?} instead of the end"),
    }
    recorded(
        &sandbox,
        |event| matches!(event, Event::Closed { why } if why == "connection lost: a text frame"),
    );
}

#[test]
fn a_ping_is_answered_and_a_close_too() {
    let sandbox = signing().start().unwrap();
    let mut socket = upgrade(&sandbox, &target(&key(), 0), &[]).unwrap();
    let payload = Bytes::from_static(b"are you there?");
    socket.send(Message::Ping(payload.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(payload));
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    assert!(matches!(
        socket.read(),
        Err(tungstenite::Error::ConnectionClosed)
    ));
    recorded(
        &sandbox,
        |event| matches!(event, Event::Closed { why } if why == "closed by the client"),
    );
}

#[test]
fn connections_are_cut_and_silenced_over_websocket_too() {
    let sandbox = signing().start().unwrap();
    let mut device = connect(&sandbox, Version::V5, "pump");
    sandbox.cut("pump", Cut::Close);
    assert_eq!(device.next(), Seen::Closed);
    let mut device = connect(&sandbox, Version::V5, "pump");
    sandbox.cut("pump", Cut::Disconnect(0x8b));
    device.sees_end(0x8b);
    let mut device = connect(&sandbox, Version::V5, "pump");
    let mut over_tls = Device::connect(&sandbox, Version::V5, "valve");
    sandbox.cut_all(Cut::Reset);
    assert_eq!(device.next(), Seen::Reset);
    assert_eq!(over_tls.next(), Seen::Reset);

    sandbox.faults(vec![Fault::once(When::Publish(1), What::SwallowPuback)]);
    let mut device = connect(&sandbox, Version::V5, "pump");
    device.publish("a", b"", 1);
    device.sees_nothing();
    sandbox.pause();
    assert_eq!(device.next(), Seen::Closed);
    let refused = std::net::TcpStream::connect(("127.0.0.1", sandbox.wss_port()));
    assert!(refused.is_err());
    sandbox.resume();
    connect(&sandbox, Version::V5, "pump");
}

#[test]
fn an_upgrade_may_fail() {
    let sandbox = signing().start().unwrap();
    let answer = |what| {
        sandbox.add_fault(Fault::once(When::Always, what));
        let request = head(&target(&key(), 0));
        exchange_start(&sandbox, &request)
    };
    assert!(answer(What::RefuseUpgrade(503)).starts_with("HTTP/1.1 503 "));
    let right = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let wrong = answer(What::WrongAccept);
    assert!(
        wrong.starts_with("HTTP/1.1 101 ") && !wrong.contains(right),
        "{wrong}"
    );
    let without = answer(What::OmitProtocol);
    assert!(
        without.contains(right) && !without.contains("-Protocol"),
        "{without}"
    );

    sandbox.add_fault(Fault::once(When::Always, What::StallUpgrade));
    let mut stalled = crate::common::tls(sandbox.wss_port(), anonymous(&sandbox, &[]));
    let request = head(&target(&key(), 0));
    std::io::Write::write_all(&mut stalled, request.as_bytes()).unwrap();
    let upgrades = || {
        let records = sandbox.record();
        let upgrade = |event: &Event| matches!(event, Event::Upgrade { .. });
        records
            .iter()
            .filter(|record| upgrade(&record.event))
            .count()
    };
    drop(stalled);
    recorded(
        &sandbox,
        |event| matches!(event, Event::Closed { why } if why == "the client gave up"),
    );
    assert_eq!(upgrades(), 3, "the last one was not answered");
}

/// The first bytes that come back, as text.
fn exchange_start(sandbox: &Sandbox, request: &str) -> String {
    let mut stream = crate::common::tls(sandbox.wss_port(), anonymous(sandbox, &[]));
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut bytes = [0; 4096];
    let count = std::io::Read::read(&mut stream, &mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[test]
fn alpn_decides_on_the_port_that_is_as_443() {
    let sandbox = signing().start().unwrap();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let mut config = crate::common::config(&sandbox, &issued);
    config.alpn_protocols = vec![b"x-amzn-mqtt-ca".to_vec()];
    let mut device = Device::open_at(sandbox.wss_port(), Version::V5, config);
    device.send_connect(&ConnectPacket::new(Version::V5, "pump"));
    assert!(matches!(device.next(), Seen::Connack { code: 0, .. }));
    recorded(&sandbox, |event| {
        *event
            == Event::Admitted {
                transport: Transport::Tls,
                proof: Proof::Certificate,
                identity: issued.id.clone(),
            }
    });
    let mut lost = Device::open_at(
        sandbox.wss_port(),
        Version::V5,
        anonymous(&sandbox, &["mqtt", "http/1.0"]),
    );
    lost.send_connect(&ConnectPacket::new(Version::V5, "pump"));
    assert!(matches!(lost.next(), Seen::Alert(_)));
}
