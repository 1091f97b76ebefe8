//! What is kept for a client that is not connected, and what it finds when it comes back.

use std::time::Duration;

use iotcore_sandbox::{Cut, Event, Limits, Sandbox, Version};

use crate::common::{BOTH, ConnectPacket, Device, Seen, builder, recorded, sandbox};

fn connack(session_present: bool) -> Seen {
    Seen::Connack {
        code: 0,
        session_present,
    }
}

/// A client with a session that subscribes to `a` and then loses its connection.
fn subscribed_and_gone(sandbox: &Sandbox, version: Version) {
    let (mut device, seen) =
        Device::connect_with(sandbox, &ConnectPacket::persistent(version, "pump"));
    assert_eq!(seen, connack(false));
    assert_eq!(device.subscribe(&[("a", 1)]), [1]);
    sandbox.cut("pump", Cut::Reset);
}

fn back(sandbox: &Sandbox, version: Version, session_present: bool) -> Device {
    let (device, seen) = Device::connect_with(sandbox, &ConnectPacket::persistent(version, "pump"));
    assert_eq!(seen, connack(session_present));
    device
}

#[test]
fn a_persistent_session_keeps_subscriptions_and_messages_of_qos_1() {
    for version in BOTH {
        let sandbox = sandbox();
        subscribed_and_gone(&sandbox, version);
        assert_eq!(sandbox.publish("a", b"lost", 0), 0);
        assert_eq!(
            sandbox.publish("a", b"stored", 1),
            1,
            "an offline session counts"
        );

        let mut device = back(&sandbox, version, true);
        assert_eq!(device.message().1, "stored");
        device.sees_nothing();
        sandbox.publish("a", b"live", 0);
        assert_eq!(device.message().1, "live");
    }
}

#[test]
fn a_clean_session_keeps_nothing() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.subscribe(&[("a", 1)]);
        sandbox.cut("pump", Cut::Reset);
        assert_eq!(sandbox.publish("a", b"", 1), 0);
        back(&sandbox, version, false).sees_nothing();
    }
}

#[test]
fn a_clean_start_forgets_the_session() {
    for version in BOTH {
        let sandbox = sandbox();
        subscribed_and_gone(&sandbox, version);
        sandbox.publish("a", b"stored", 1);
        let mut device = Device::connect(&sandbox, version, "pump");
        device.sees_nothing();
        assert_eq!(sandbox.publish("a", b"", 1), 0);
    }
}

#[test]
fn mqtt_5_keeps_no_session_unless_asked() {
    let sandbox = sandbox();
    let packet = ConnectPacket {
        clean: false,
        ..ConnectPacket::new(Version::V5, "pump")
    };
    drop(Device::connect_with(&sandbox, &packet));
    sandbox.cut("pump", Cut::Reset);
    assert_eq!(Device::connect_with(&sandbox, &packet).1, connack(false));
}

#[test]
fn what_was_not_acknowledged_comes_again_with_a_new_id_and_without_dup() {
    for version in BOTH {
        let sandbox = sandbox();
        let (mut device, _) =
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "pump"));
        device.subscribe(&[("a", 1)]);
        sandbox.publish("a", b"x", 1);
        let Seen::Publish {
            packet_id: first, ..
        } = device.next()
        else {
            panic!("no message")
        };
        sandbox.cut("pump", Cut::Reset);

        let mut device = back(&sandbox, version, true);
        let Seen::Publish {
            packet_id,
            dup,
            payload,
            ..
        } = device.next()
        else {
            panic!("no message")
        };
        assert_ne!(packet_id, first);
        assert_eq!((dup, payload.as_str()), (false, "x"));
        device.acknowledge(packet_id);
        recorded(&sandbox, |event| {
            *event == Event::PubackReceived { packet_id }
        });
        sandbox.cut("pump", Cut::Reset);
        back(&sandbox, version, true).sees_nothing();
    }
}

#[test]
fn a_session_expires() {
    for version in BOTH {
        let brief = |limits: &mut Limits| limits.session_expiry = Duration::from_nanos(1);
        let sandbox = builder().limit(brief).start().unwrap();
        subscribed_and_gone(&sandbox, version);
        assert_eq!(sandbox.publish("a", b"", 1), 0);
        back(&sandbox, version, false).sees_nothing();
    }
}

#[test]
fn a_session_of_one_version_is_not_resumed_over_the_other() {
    for (first, second) in [(Version::V311, Version::V5), (Version::V5, Version::V311)] {
        let sandbox = sandbox();
        subscribed_and_gone(&sandbox, first);
        back(&sandbox, second, false);
    }
}

#[test]
fn a_disconnect_of_mqtt_5_may_end_the_session_but_not_create_one() {
    let sandbox = sandbox();
    let disconnect = |expiry: u8| [0xe0, 0x07, 0x00, 0x05, 0x11, 0, 0, 0, expiry];

    let (mut device, _) =
        Device::connect_with(&sandbox, &ConnectPacket::persistent(Version::V5, "pump"));
    device.send_raw(&disconnect(0));
    assert_eq!(device.next(), Seen::Closed);
    let mut device = back(&sandbox, Version::V5, false);
    device.send_raw(&disconnect(60));
    assert_eq!(device.next(), Seen::Closed);
    back(&sandbox, Version::V5, true);

    let mut device = Device::connect(&sandbox, Version::V5, "valve");
    device.send_raw(&disconnect(60));
    assert_eq!(device.next(), Seen::Disconnect(0x82));
}

#[test]
fn a_session_survives_a_take_over() {
    for version in BOTH {
        let sandbox = sandbox();
        let (mut first, _) =
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "pump"));
        first.subscribe(&[("a", 1)]);
        let mut second = back(&sandbox, version, true);
        assert_eq!(sandbox.publish("a", b"x", 1), 1);
        assert_eq!(second.message().1, "x");
    }
}

#[test]
fn stored_messages_come_at_their_pace() {
    // Ten a second, on a clock that runs a hundred times faster; the pace itself is tested where it is decided.
    let limits = Limits {
        connect_interval: Duration::ZERO,
        ..Default::default()
    };
    let sandbox = Sandbox::builder()
        .limits(limits)
        .clock_speed(100.0)
        .start()
        .unwrap();
    subscribed_and_gone(&sandbox, Version::V311);
    (0..10).for_each(|n| {
        sandbox.publish("a", n.to_string().as_bytes(), 1);
    });
    let mut device = back(&sandbox, Version::V311, true);
    let stored: Vec<String> = (0..10).map(|_| device.message().1).collect();
    assert_eq!(stored, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn forgotten_sessions_are_not_there_when_their_clients_come_back() {
    for version in BOTH {
        let sandbox = sandbox();
        subscribed_and_gone(&sandbox, version);
        let mut other =
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "valve")).0;
        other.subscribe(&[("b", 1)]);
        sandbox.forget_sessions();
        assert_eq!(
            sandbox.publish("b", b"x", 1),
            1,
            "who is connected stays subscribed"
        );
        assert_eq!(other.message().1, "x");
        sandbox.cut("valve", Cut::Reset);
        assert_eq!(
            Device::connect_with(&sandbox, &ConnectPacket::persistent(version, "valve")).1,
            connack(false)
        );
        back(&sandbox, version, false);
    }
}
