//! Who may connect, with which properties, and how connections end.

use std::time::Duration;

use crate::common::{
    BOTH, ConnectPacket, Device, SOON, Seen, builder, closed, code, recorded, sandbox,
};
use iotcore_sandbox::{Cut, Deny, Event, Version};
use rumqttc::v5::mqttbytes::v5;

fn refused(code: u8) -> Seen {
    Seen::Connack {
        code,
        session_present: false,
    }
}

#[test]
fn a_client_connects_and_is_recorded() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        assert_eq!(sandbox.connected(), ["pump"]);
        device.send_disconnect();
        assert_eq!(device.next(), Seen::Closed);
        recorded(&sandbox, |event| matches!(event, Event::Closed { .. }));

        let kinds: Vec<String> = sandbox
            .record()
            .iter()
            .map(|r| r.event.to_string())
            .collect();
        assert_eq!(kinds[0], "connection opened");
        assert!(kinds[1].starts_with("TLS established"), "{kinds:?}");
        assert!(kinds[2].ends_with(" by certificate over TLS"), "{kinds:?}");
        assert!(kinds[3].starts_with("CONNECT"), "{kinds:?}");
        assert_eq!(kinds[4], "CONNACK 0x00, session present false");
        assert_eq!(kinds[5], "DISCONNECT 0x00 received");
        assert_eq!(kinds[6], "connection closed: the client disconnected");
        assert!(sandbox.connected().is_empty());
    }
}

#[test]
fn mqtt_5_gets_the_properties_of_the_connection() {
    let sandbox = sandbox();
    let packet = ConnectPacket {
        session_expiry: Some(86_400),
        keep_alive: 5,
        ..ConnectPacket::new(Version::V5, "pump")
    };
    let (device, _) = Device::connect_with(&sandbox, &packet);
    let Ok(v5::Packet::ConnAck(connack)) = v5::Packet::read(&mut device.frame.clone(), None) else {
        panic!("no CONNACK");
    };
    let properties = connack.properties.expect("properties");
    assert_eq!(
        properties.session_expiry_interval,
        Some(3600),
        "an hour at most"
    );
    assert_eq!(properties.receive_max, Some(100));
    assert_eq!(properties.max_qos, Some(1));
    assert_eq!(properties.retain_available, Some(1));
    assert_eq!(properties.max_packet_size, Some(149_504));
    assert_eq!(properties.topic_alias_max, Some(8));
    assert_eq!(properties.wildcard_subscription_available, Some(1));
    assert_eq!(properties.subscription_identifiers_available, Some(0));
    assert_eq!(properties.shared_subscription_available, Some(1));
    assert_eq!(
        properties.server_keep_alive,
        Some(30),
        "no shorter than half a minute"
    );
    assert_eq!(properties.assigned_client_identifier, None);
}

#[test]
fn a_client_without_an_id_is_given_one_that_it_cannot_use_again() {
    for version in BOTH {
        let sandbox = sandbox();
        let _device = Device::connect(&sandbox, version, "");
        let [assigned] = &sandbox.connected()[..] else {
            panic!("one client")
        };
        assert!(assigned.starts_with("$GEN/"), "{assigned}");

        let (_, connack) = Device::connect_with(&sandbox, &ConnectPacket::new(version, assigned));
        assert_eq!(connack, refused(code(version, 2, 0x85)));
    }
}

#[test]
fn a_session_cannot_be_kept_for_nobody() {
    let packet = ConnectPacket {
        clean: false,
        ..ConnectPacket::new(Version::V311, "")
    };
    assert_eq!(Device::connect_with(&sandbox(), &packet).1, refused(2));
}

#[test]
fn a_client_id_has_128_bytes_at_most() {
    for version in BOTH {
        let sandbox = sandbox();
        let _fits = Device::connect(&sandbox, version, &"x".repeat(128));
        let (mut device, connack) =
            Device::connect_with(&sandbox, &ConnectPacket::new(version, &"x".repeat(129)));
        assert_eq!(connack, refused(code(version, 2, 0x85)));
        assert_eq!(device.next(), Seen::Closed);
    }
}

#[test]
fn a_denied_client_is_refused() {
    for version in BOTH {
        let sandbox = sandbox();
        sandbox.policy("pump", vec![Deny::Connect]);
        let (_, connack) = Device::connect_with(&sandbox, &ConnectPacket::new(version, "pump"));
        assert_eq!(connack, refused(code(version, 5, 0x87)));
        let _other = Device::connect(&sandbox, version, "valve");
    }
}

#[test]
fn a_client_that_connects_too_often_is_refused() {
    for version in BOTH {
        let sandbox = builder()
            .limit(|limits| limits.connect_interval = SOON * 100)
            .start()
            .unwrap();
        let _first = Device::connect(&sandbox, version, "pump");
        let (_, connack) = Device::connect_with(&sandbox, &ConnectPacket::new(version, "pump"));
        assert_eq!(connack, refused(code(version, 3, 0x97)));
        let _other = Device::connect(&sandbox, version, "valve");
    }
}

#[test]
fn a_second_connection_takes_over() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut first = Device::connect(&sandbox, version, "pump");
        let mut second = Device::connect(&sandbox, version, "pump");
        first.sees_end(0x8e);
        second.sees_nothing();
        assert_eq!(sandbox.connected(), ["pump"]);
    }
}

#[test]
fn a_second_connect_ends_the_connection() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.send_connect(&ConnectPacket::new(version, "pump"));
        device.sees_end(0x82);
    }
}

#[test]
fn a_packet_before_connect_ends_the_connection() {
    let sandbox = sandbox();
    let mut device = Device::open(&sandbox, Version::V311);
    device.ping();
    assert_eq!(device.next(), Seen::Closed);
}

#[test]
fn an_unknown_protocol_level_is_refused() {
    let sandbox = sandbox();
    let mut device = Device::open(&sandbox, Version::V311);
    device.send_raw(b"\x10\x10\x00\x04MQTT\x03\x02\x00\x3c\x00\x04pump");
    assert_eq!(device.next(), refused(1));
    assert_eq!(device.next(), Seen::Closed);
}

#[test]
fn what_is_no_mqtt_ends_the_connection() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.send_raw(&[0x82, 0x01, 0x00]);
        device.sees_end(0x81);
    }
}

#[test]
fn the_qos_2_handshake_ends_the_connection() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.send_raw(&[0x62, 0x02, 0x00, 0x01]);
        device.sees_end(0x82);
    }
}

#[test]
fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    for version in BOTH {
        // An hour takes two seconds: a keep-alive of 1200 s (0 asks for the longest) one.
        let sandbox = builder().clock_speed(1800.0).start().unwrap();
        let packet = ConnectPacket {
            keep_alive: 0,
            ..ConnectPacket::new(version, "pump")
        }
        .with_will("wills", 0);
        let (mut device, _) = Device::connect_with(&sandbox, &packet);
        device.sees_end(0x8d);
        recorded(&sandbox, |event| {
            matches!(event, Event::WillPublished { .. })
        });
    }
}

#[test]
fn tests_may_allow_shorter_keep_alives() {
    let sandbox = builder()
        .limit(|limits| limits.min_keep_alive = Duration::ZERO)
        .start()
        .unwrap();
    let packet = ConnectPacket {
        keep_alive: 1,
        ..ConnectPacket::new(Version::V311, "pump")
    };
    let (mut device, _) = Device::connect_with(&sandbox, &packet);
    assert_eq!(device.next(), Seen::Closed);
}

#[test]
fn a_will_is_published_on_every_end_but_a_disconnect() {
    for version in BOTH {
        let wills = |end: &dyn Fn(&iotcore_sandbox::Sandbox, Device)| {
            let sandbox = sandbox();
            let mut watcher = Device::connect(&sandbox, version, "watcher");
            watcher.subscribe(&[("wills", 1)]);
            let (device, _) = Device::connect_with(
                &sandbox,
                &ConnectPacket::new(version, "pump").with_will("wills", 1),
            );
            end(&sandbox, device);
            recorded(&sandbox, |event| matches!(event, Event::Closed { .. }));
            let count = sandbox
                .record()
                .iter()
                .filter(|r| matches!(r.event, Event::WillPublished { .. }))
                .count();
            if count > 0 {
                assert_eq!(watcher.message(), ("wills".to_owned(), "gone".to_owned()));
            }
            watcher.sees_nothing();
            count
        };
        assert_eq!(wills(&|_, mut device| device.send_disconnect()), 0);
        assert_eq!(wills(&|_, device| drop(device)), 1);
        assert_eq!(wills(&|sandbox, _| sandbox.cut("pump", Cut::Reset)), 1);
        assert_eq!(wills(&|_, mut device| device.send_raw(&[0xff, 0xff])), 1);
        assert_eq!(
            wills(&|sandbox, _| drop(Device::connect(sandbox, version, "pump"))),
            1
        );
    }
}

#[test]
fn a_disconnect_with_will_publishes_the_will() {
    let sandbox = sandbox();
    let (mut device, _) = Device::connect_with(
        &sandbox,
        &ConnectPacket::new(Version::V5, "pump").with_will("wills", 0),
    );
    device.send_raw(&[0xe0, 0x01, 0x04]);
    recorded(&sandbox, |event| {
        matches!(event, Event::WillPublished { .. })
    });
}

#[test]
fn a_will_of_qos_2_or_to_a_bad_topic_is_refused() {
    let check = |topic: &str, qos, code| {
        let sandbox = sandbox();
        let packet = ConnectPacket::new(Version::V5, "pump").with_will(topic, qos);
        assert_eq!(Device::connect_with(&sandbox, &packet).1, refused(code));
        let packet = ConnectPacket::new(Version::V311, "pump").with_will(topic, qos);
        assert_eq!(Device::connect_with(&sandbox, &packet).1, Seen::Closed);
    };
    check("wills", 2, 0x9b);
    check("a/#", 1, 0x90);
}

#[test]
fn a_test_can_cut_a_client_in_each_way() {
    for version in BOTH {
        let sandbox = sandbox();
        let cut = |how| {
            let device = Device::connect(&sandbox, version, "pump");
            sandbox.cut("pump", how);
            assert!(sandbox.connected().is_empty(), "gone at once");
            device
        };
        assert_eq!(cut(Cut::Reset).next(), Seen::Reset);
        assert_eq!(cut(Cut::Close).next(), Seen::Closed);
        cut(Cut::Disconnect(0x8b)).sees_end(0x8b);
        sandbox.cut("nobody", Cut::Reset);
    }
}

#[test]
fn a_connection_that_is_gone_says_why() {
    let sandbox = sandbox();
    drop(Device::connect(&sandbox, Version::V311, "pump"));
    recorded(&sandbox, |event| matches!(event, Event::Closed { .. }));
    assert!(
        closed(&sandbox)[0].starts_with("connection lost"),
        "{:?}",
        closed(&sandbox)
    );
}

#[test]
fn a_connection_has_no_name_before_its_client_id_is_known() {
    let sandbox = sandbox();
    sandbox.policy("*", vec![Deny::Connect]);
    let mut device = Device::open(&sandbox, Version::V5);
    device.send_connect(&ConnectPacket::new(Version::V5, ""));
    assert!(matches!(device.next(), Seen::Connack { code: 0x87, .. }));
    let record = recorded(&sandbox, |event| matches!(event, Event::Closed { .. }));
    assert_eq!(record.client_id, None);
}
