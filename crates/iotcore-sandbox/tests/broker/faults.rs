//! Each fault of the script, as a device sees it.

use std::time::Duration;

use iotcore_sandbox::{Event, Fault, Sandbox, Version, What, When};

use crate::common::{BOTH, ConnectPacket, Device, SOON, Seen, code, recorded, sandbox};

fn with(fault: Fault) -> Sandbox {
    let sandbox = sandbox();
    sandbox.faults(vec![fault]);
    sandbox
}

fn puback(packet_id: u16) -> Seen {
    Seen::Puback { packet_id, code: 0 }
}

/// For each version, a device that publishes three times under this fault of the second publish, which is accepted.
fn three_publishes(what: What, check: impl Fn(&Sandbox, &mut Device)) {
    for version in BOTH {
        let sandbox = with(Fault::once(When::Publish(2), what.clone()));
        let mut device = Device::connect(&sandbox, version, "pump");
        for payload in ["1", "2", "3"] {
            device.publish("a", payload.as_bytes(), 1);
        }
        check(&sandbox, &mut device);
        let second = recorded(
            &sandbox,
            |event| matches!(event, Event::Publish(received) if received.text() == "2"),
        );
        assert_eq!(second.client_id.as_deref(), Some("pump"));
    }
}

#[test]
fn a_connection_is_refused_and_the_next_one_is_not() {
    let sandbox = with(Fault::once(When::Connection(1), What::RefuseConnection));
    let mut device = Device::open(&sandbox, Version::V311);
    device.send_connect(&ConnectPacket::new(Version::V311, "pump"));
    assert!(matches!(device.next(), Seen::Closed | Seen::Reset));
    Device::connect(&sandbox, Version::V311, "pump");
}

#[test]
fn tls_stalls_until_the_client_gives_up() {
    let sandbox = with(Fault::once(When::Always, What::StallTls));
    let socket = std::net::TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
    recorded(&sandbox, |event| matches!(event, Event::ConnectionOpened));
    drop(socket);
    recorded(
        &sandbox,
        |event| matches!(event, Event::Closed { why } if why == "the client gave up"),
    );
}

#[test]
fn connack_stalls() {
    for version in BOTH {
        let sandbox = with(Fault::once(
            When::Client("pump".to_owned()),
            What::StallConnack,
        ));
        let mut device = Device::open(&sandbox, version);
        device.send_connect(&ConnectPacket::new(version, "pump"));
        recorded(&sandbox, |event| matches!(event, Event::Connect { .. }));
        assert!(sandbox.connected().is_empty());
        sandbox.pause();
        assert_eq!(device.next(), Seen::Closed, "nothing came before the end");
    }
}

#[test]
fn connack_refuses() {
    for version in BOTH {
        let refusal = code(version, 3, 0x88);
        let sandbox = with(Fault::once(When::Always, What::RefuseConnack(refusal)));
        let (mut device, connack) =
            Device::connect_with(&sandbox, &ConnectPacket::new(version, "pump"));
        assert_eq!(
            connack,
            Seen::Connack {
                code: refusal,
                session_present: false
            }
        );
        assert_eq!(device.next(), Seen::Closed);
        Device::connect(&sandbox, version, "pump");
    }
}

#[test]
fn a_puback_is_swallowed() {
    three_publishes(What::SwallowPuback, |sandbox, device| {
        assert_eq!([device.next(), device.next()], [puback(1), puback(3)]);
        device.sees_nothing();
        recorded(sandbox, |event| {
            matches!(event, Event::PubackWithheld { packet_id: 2, .. })
        });
    });
}

#[test]
fn a_delayed_puback_is_overtaken() {
    three_publishes(What::DelayPuback(Duration::from_millis(20)), |_, device| {
        assert_eq!(
            [device.next(), device.next(), device.next()],
            [puback(1), puback(3), puback(2)]
        );
    });
}

#[test]
fn a_puback_comes_twice() {
    three_publishes(What::DuplicatePuback, |_, device| {
        assert_eq!([device.next(), device.next()], [puback(1), puback(2)]);
        assert_eq!([device.next(), device.next()], [puback(2), puback(3)]);
    });
}

#[test]
fn pubacks_come_in_reverse() {
    three_publishes(What::ReorderPubacks(2), |_, device| {
        assert_eq!(
            [device.next(), device.next(), device.next()],
            [puback(1), puback(3), puback(2)]
        );
    });
}

#[test]
fn a_puback_comes_for_no_publish() {
    three_publishes(What::UnsolicitedPuback, |_, device| {
        assert_eq!([device.next(), device.next()], [puback(1), puback(2)]);
        assert_eq!([device.next(), device.next()], [puback(0x8002), puback(3)]);
    });
}

#[test]
fn the_connection_closes_instead_of_the_puback() {
    three_publishes(What::CloseBeforePuback, |sandbox, device| {
        assert_eq!([device.next(), device.next()], [puback(1), Seen::Closed]);
        assert_eq!(
            sandbox.published().len(),
            2,
            "what comes after the end is not read"
        );
    });
}

#[test]
fn the_connection_closes_after_the_puback() {
    three_publishes(What::CloseAfterPuback, |_, device| {
        assert_eq!(
            [device.next(), device.next(), device.next()],
            [puback(1), puback(2), Seen::Closed]
        );
    });
}

#[test]
fn a_publish_is_refused_with_any_code() {
    let sandbox = with(Fault::once(
        When::Topic("a/#".to_owned()),
        What::PubackReason(0x80),
    ));
    let mut device = Device::connect(&sandbox, Version::V5, "pump");
    device.publish("b", b"", 1);
    device.publish("a/b", b"", 1);
    assert_eq!(
        [device.next(), device.next()],
        [
            puback(1),
            Seen::Puback {
                packet_id: 2,
                code: 0x80
            }
        ]
    );
    assert_eq!(sandbox.published().len(), 1);
}

#[test]
fn a_refused_publish_of_mqtt_3_is_not_answered() {
    let sandbox = with(Fault::once(When::Always, What::PubackReason(0x80)));
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.publish("a", b"", 1);
    device.sees_nothing();
    assert!(sandbox.published().is_empty());
}

#[test]
fn a_suback_is_swallowed_and_the_subscription_made() {
    for version in BOTH {
        let sandbox = with(Fault::once(
            When::Topic("b".to_owned()),
            What::SwallowSuback,
        ));
        let mut device = Device::connect(&sandbox, version, "pump");
        device.ask_for(&[("a", 1), ("b", 1)]);
        device.sees_nothing();
        assert_eq!(sandbox.publish("b", b"", 1), 1);
    }
}

#[test]
fn a_filter_is_refused() {
    for version in BOTH {
        let sandbox = with(Fault::once(
            When::Topic("b".to_owned()),
            What::RefuseFilter(0x97),
        ));
        let mut device = Device::connect(&sandbox, version, "pump");
        assert_eq!(
            device.subscribe(&[("a", 1), ("b", 1)]),
            [1, code(version, 0x80, 0x97)]
        );
        assert_eq!(sandbox.publish("b", b"", 1), 0);
    }
}

#[test]
fn a_ping_is_not_answered() {
    for version in BOTH {
        let sandbox = with(Fault::once(When::Always, What::SwallowPingresp));
        let mut device = Device::connect(&sandbox, version, "pump");
        device.ping();
        device.publish("a", b"", 1);
        assert_eq!(device.next(), puback(1));
        device.sees_nothing();
    }
}

#[test]
fn the_broker_falls_silent() {
    for version in BOTH {
        let sandbox = with(Fault::once(
            When::Connection(1),
            What::SilentAfterPackets(2),
        ));
        let mut device = Device::connect(&sandbox, version, "pump");
        device.publish("a", b"1", 1);
        assert_eq!(device.next(), puback(1));
        device.publish("a", b"2", 1);
        device.ping();
        // The first connection is not read any more; another one is served as usual, and takes over the client id.
        let mut second = Device::connect(&sandbox, version, "pump");
        second.sees_nothing();
        assert_eq!(device.next(), Seen::Closed);
        assert_eq!(sandbox.published().len(), 1);
    }
}

#[test]
fn the_broker_is_silent_from_the_start() {
    let sandbox = with(Fault::once(When::Always, What::SilentAfterPackets(0)));
    let mut device = Device::open(&sandbox, Version::V5);
    device.send_connect(&ConnectPacket::new(Version::V5, "pump"));
    recorded(&sandbox, |event| {
        matches!(event, Event::TlsEstablished { .. })
    });
    sandbox.pause();
    assert_eq!(device.next(), Seen::Closed);
}

#[test]
fn the_connection_closes_after_some_packets() {
    for version in BOTH {
        let sandbox = with(Fault::once(When::Always, What::CloseAfterPackets(3)));
        let mut device = Device::connect(&sandbox, version, "pump");
        (0..3).for_each(|_| {
            device.publish("a", b"", 1);
        });
        assert_eq!(
            [device.next(), device.next(), device.next()],
            [puback(1), puback(2), Seen::Closed]
        );
        Device::connect(&sandbox, version, "pump").sees_nothing();
    }
}

#[test]
fn the_connection_is_reset_after_some_packets() {
    for version in BOTH {
        let sandbox = with(Fault::once(When::Always, What::ResetAfterPackets(2)));
        let mut device = Device::connect(&sandbox, version, "pump");
        device.publish("a", b"", 1);
        let seen = [device.next(), device.next()];
        assert!(seen.contains(&Seen::Reset), "{seen:?}");
        assert_eq!(sandbox.published().len(), 1);
    }
}

#[test]
fn a_client_is_taken_over() {
    for when in [When::PublishOnConnection(2), When::Topic("b".to_owned())] {
        for version in BOTH {
            let sandbox = with(Fault::once(when.clone(), What::TakeOver));
            let mut device = Device::connect(&sandbox, version, "pump");
            device.publish("a", b"", 1);
            device.publish("b", b"", 1);
            assert_eq!([device.next(), device.next()], [puback(1), puback(2)]);
            device.sees_end(0x8e);
        }
    }
}

#[test]
fn a_script_may_change_while_it_runs() {
    let sandbox = with(Fault::always(When::Always, What::SwallowPuback));
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.publish("a", b"", 1);
    device.sees_nothing();
    sandbox.clear_faults();
    let id = device.publish("a", b"", 1);
    assert_eq!(device.next(), puback(id));
    sandbox.add_fault(Fault::once(When::Publish(3), What::SwallowPuback));
    device.publish("a", b"", 1);
    device.sees_nothing();
    assert_eq!(sandbox.wait_for_publishes(3, SOON).len(), 3);
}

/// What a device that publishes a request sees, and whether the cloud took it.
fn cut_at_a_request(what: What, qos: u8) -> (Vec<Seen>, bool) {
    let sandbox = with(Fault::once(
        When::Topic("$aws/things/+/shadow/update".to_owned()),
        what,
    ));
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.subscribe(&[("$aws/things/t/shadow/update/accepted", 0)]);
    let request = br#"{"state":{"reported":{"a":1}}}"#;
    device.publish("$aws/things/t/shadow/update", request, qos);
    let mut seen = vec![device.next()];
    while seen.last() != Some(&Seen::Closed) {
        seen.push(device.next());
    }
    (seen, sandbox.shadow("t").version().is_some())
}

#[test]
fn a_connection_is_cut_at_each_point_of_a_request() {
    let check = |what: What, answered: bool, acknowledged: bool, taken: bool| {
        for qos in [0, 1] {
            let (seen, took) = cut_at_a_request(what.clone(), qos);
            let heard = seen.iter().any(|seen| matches!(seen, Seen::Publish { .. }));
            let puback = seen.iter().any(|seen| matches!(seen, Seen::Puback { .. }));
            let expected = (answered, acknowledged && qos == 1, taken);
            assert_eq!((heard, puback, took), expected, "{what:?} {qos}");
        }
    };
    check(What::CloseBeforeAccepting, false, false, false);
    check(What::CloseBeforeAnswer, false, false, true);
    check(What::CloseBeforePuback, true, false, true);
    check(What::CloseAfterPuback, true, true, true);
}

#[test]
fn an_answer_waits_in_a_persistent_session_that_was_cut_before_it() {
    let sandbox = with(Fault::once(When::Always, What::CloseBeforeAnswer));
    let packet = ConnectPacket::persistent(Version::V5, "pump");
    let (mut device, _) = Device::connect_with(&sandbox, &packet);
    device.subscribe(&[("$aws/things/t/shadow/get/rejected", 1)]);
    device.publish("$aws/things/t/shadow/get", b"", 0);
    assert_eq!(device.next(), Seen::Closed);
    let (mut device, _) = Device::connect_with(&sandbox, &packet);
    assert_eq!(device.message().0, "$aws/things/t/shadow/get/rejected");
}
