//! What happens to a PUBLISH: accepted, refused with an answer, or refused without one.

use crate::common::{BOTH, Device, SOON, Seen, builder, recorded, sandbox};
use iotcore_sandbox::{Deny, Event, Limits, Sandbox, Version};
use rumqttc::v5::mqttbytes::v5;

/// What a client sees of a publish that is refused.
#[derive(Clone, Copy)]
enum Refusal {
    Nothing,
    Puback(u8),
    /// The connection ends, on MQTT 5 with this reason.
    End(u8),
}

/// Publishes, and expects this answer of each version. Nothing may be recorded as accepted.
fn check(
    sandbox: impl Fn() -> Sandbox,
    topic: &str,
    payload: &[u8],
    qos: u8,
    v3: Refusal,
    v5: Refusal,
) {
    for (version, refusal) in [(Version::V311, v3), (Version::V5, v5)] {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        let packet_id = device.publish(topic, payload, qos);
        match refusal {
            Refusal::Nothing => device.sees_nothing(),
            Refusal::Puback(code) => assert_eq!(device.next(), Seen::Puback { packet_id, code }),
            Refusal::End(reason) => device.sees_end(reason),
        }
        assert!(sandbox.published().is_empty());
        recorded(&sandbox, |event| {
            matches!(event, Event::PublishRefused { .. })
        });
    }
}

#[test]
fn a_publish_is_accepted_and_then_acknowledged() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        let packet_id = device.publish("a/b", b"{\"t\":20}", 1);
        assert_eq!(device.next(), Seen::Puback { packet_id, code: 0 });
        device.publish("c", b"", 0);
        device.sees_nothing();

        let [first, second] = &sandbox.published()[..] else {
            panic!("two publishes")
        };
        assert_eq!(
            (first.topic.as_str(), first.text().as_str()),
            ("a/b", "{\"t\":20}")
        );
        assert_eq!(
            (first.qos, first.packet_id, first.client_id.as_str()),
            (1, Some(packet_id), "pump")
        );
        assert_eq!(
            (first.retain, first.dup, first.connection),
            (false, false, 1)
        );
        assert_eq!(
            (second.topic.as_str(), second.qos, second.packet_id),
            ("c", 0, None)
        );

        let seen = recorded(&sandbox, |event| matches!(event, Event::Publish(_)));
        let sent = recorded(&sandbox, |event| {
            matches!(event, Event::PubackSent { code: 0, .. })
        });
        assert!(seen.sequence < sent.sequence);
    }
}

#[test]
fn dup_is_recorded_and_not_honoured() {
    let sandbox = sandbox();
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    for _ in 0..2 {
        device.send_raw(&[0x3a, 0x05, 0x00, 0x01, b'a', 0x00, 0x07]);
        assert_eq!(
            device.next(),
            Seen::Puback {
                packet_id: 7,
                code: 0
            }
        );
    }
    assert_eq!(
        sandbox
            .published()
            .iter()
            .filter(|received| received.dup)
            .count(),
        2
    );
}

#[test]
fn qos_2_is_not_answered() {
    check(sandbox, "a", b"", 2, Refusal::Nothing, Refusal::End(0x9b));
}

#[test]
fn a_payload_of_128_kib_fits() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        let packet_id = device.publish("a", &vec![b'x'; 128 * 1024], 1);
        assert_eq!(device.next(), Seen::Puback { packet_id, code: 0 });
    }
}

#[test]
fn a_larger_payload_ends_the_connection() {
    check(
        sandbox,
        "a",
        &vec![b'x'; 128 * 1024 + 1],
        1,
        Refusal::End(0x97),
        Refusal::End(0x97),
    );
}

#[test]
fn a_packet_beyond_the_largest_ends_the_connection() {
    for version in BOTH {
        let sandbox = builder()
            .limit(|limits| limits.packet = 1000)
            .start()
            .unwrap();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.publish("a", &[b'x'; 1000], 1);
        if version == Version::V5 {
            assert_eq!(device.next(), Seen::Disconnect(0x95));
        }
        assert_eq!(device.next(), Seen::Closed);
    }
}

#[test]
fn a_topic_that_is_too_long_or_too_deep_or_no_topic_is_refused() {
    let check = |topic: &str| {
        check(
            sandbox,
            topic,
            b"",
            1,
            Refusal::End(0x90),
            Refusal::Puback(0x90),
        );
        check(
            sandbox,
            topic,
            b"",
            0,
            Refusal::End(0x90),
            Refusal::End(0x90),
        );
    };
    check(&"x".repeat(257));
    check("1/2/3/4/5/6/7/8/9");
    check("a/#");
}

#[test]
fn a_dollar_topic_that_does_not_exist_is_refused() {
    check(
        sandbox,
        "$SYS/uptime",
        b"",
        1,
        Refusal::End(0x90),
        Refusal::Puback(0x90),
    );
}

#[test]
fn a_denied_publish_ends_the_connection_or_is_answered() {
    let denying = || {
        let sandbox = sandbox();
        sandbox.policy("pump", vec![Deny::Publish("secret/#".to_owned())]);
        sandbox
    };
    check(
        denying,
        "secret/a",
        b"",
        1,
        Refusal::End(0x87),
        Refusal::Puback(0x87),
    );
    check(
        denying,
        "secret/a",
        b"",
        0,
        Refusal::End(0x87),
        Refusal::End(0x87),
    );
}

#[test]
fn publishes_beyond_the_rate_are_not_taken() {
    let rate = |rate| {
        builder()
            .limit(|limits| limits.publish_rate = Some(rate))
            .start()
            .unwrap()
    };
    check(
        || rate(0),
        "a",
        b"",
        1,
        Refusal::Nothing,
        Refusal::Puback(0x97),
    );

    let sandbox = rate(u32::MAX);
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    let packet_id = device.publish("a", b"", 1);
    assert_eq!(device.next(), Seen::Puback { packet_id, code: 0 });
}

#[test]
fn there_is_no_rate_limit_by_default() {
    assert_eq!(Limits::default().publish_rate, None);
}

#[test]
fn basic_ingest_has_a_longer_topic_and_no_subscribers() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        assert_eq!(device.subscribe(&[("#", 1)]), [1]);
        let packet_id = device.publish("$aws/rules/rule/1/2/3/4/5/6/7/8", b"", 1);
        assert_eq!(device.next(), Seen::Puback { packet_id, code: 0 });
        device.sees_nothing();
    }
}

#[test]
fn properties_of_mqtt_5_travel_with_the_message() {
    let sandbox = sandbox();
    let mut device = Device::connect(&sandbox, Version::V5, "pump");
    let mut watcher = Device::connect(&sandbox, Version::V5, "watcher");
    watcher.subscribe(&[("a", 1)]);
    let properties = v5::PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(60),
        response_topic: Some("answers".to_owned()),
        correlation_data: Some("7".into()),
        content_type: Some("application/json".to_owned()),
        user_properties: vec![
            ("k".to_owned(), "1".to_owned()),
            ("k".to_owned(), "2".to_owned()),
        ],
        ..v5::PublishProperties::default()
    };
    device.publish_with("a", 1, properties.clone());
    assert!(matches!(device.next(), Seen::Puback { code: 0, .. }));

    let received = &sandbox.published()[0].properties;
    assert_eq!(received.content_type.as_deref(), Some("application/json"));
    assert_eq!(received.correlation_data.as_deref(), Some(&b"7"[..]));
    assert_eq!(
        received.user,
        [
            ("k".to_owned(), "1".to_owned()),
            ("k".to_owned(), "2".to_owned())
        ]
    );

    watcher.message();
    let Ok(v5::Packet::Publish(delivered)) = v5::Packet::read(&mut watcher.frame.clone(), None)
    else {
        panic!("no PUBLISH");
    };
    assert_eq!(delivered.properties, Some(properties));
}

fn alias(number: u16) -> v5::PublishProperties {
    v5::PublishProperties {
        topic_alias: Some(number),
        ..v5::PublishProperties::default()
    }
}

#[test]
fn a_topic_alias_stands_for_its_topic() {
    let sandbox = sandbox();
    let mut device = Device::connect(&sandbox, Version::V5, "pump");
    for topic in ["a/b", ""] {
        device.publish_with(topic, 1, alias(8));
        assert!(matches!(device.next(), Seen::Puback { code: 0, .. }));
    }
    let topics: Vec<String> = sandbox
        .published()
        .into_iter()
        .map(|received| received.topic)
        .collect();
    assert_eq!(topics, ["a/b", "a/b"]);
}

#[test]
fn a_topic_alias_that_stands_for_nothing_ends_the_connection() {
    for (topic, number) in [("a", 9), ("", 1)] {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, Version::V5, "pump");
        device.publish_with(topic, 1, alias(number));
        assert_eq!(device.next(), Seen::Disconnect(0x94));
    }
}

#[test]
fn at_most_a_hundred_publishes_are_unacknowledged() {
    use iotcore_sandbox::{Fault, What, When};
    for version in BOTH {
        let sandbox = sandbox();
        sandbox.faults(vec![Fault::always(When::Always, What::SwallowPuback)]);
        let mut device = Device::connect(&sandbox, version, "pump");
        (0..101).for_each(|_| {
            device.publish("a", b"", 1);
        });
        match version {
            Version::V311 => device.sees_nothing(),
            Version::V5 => assert_eq!(device.next(), Seen::Disconnect(0x93)),
        }
        assert_eq!(sandbox.published().len(), 100);
    }
}

#[test]
fn no_packet_makes_the_broker_fail() {
    let packets: [&[u8]; 6] = [
        b"\x32\x06\x00\x01a\x00\x00x",
        b"\x82\x06\x00\x00\x00\x01a\x01",
        b"\xa2\x05\x00\x00\x00\x01a",
        b"\x30\x02\x00\x00",
        b"\x32\x05\x00\x01\x00\x00\x01",
        b"\xf0\x00",
    ];
    for version in BOTH {
        let sandbox = sandbox();
        for packet in packets {
            let mut device = Device::connect(&sandbox, version, "pump");
            device.send_raw(packet);
            device.ping();
            while !matches!(device.next(), Seen::Closed | Seen::PingResponse) {}
        }
        sandbox.cut("pump", iotcore_sandbox::Cut::Close);
        let opened = packets.len();
        let closed = sandbox.wait_for(SOON, |records| {
            let closed = records
                .iter()
                .filter(|record| matches!(record.event, Event::Closed { .. }));
            (closed.count() == opened).then_some(())
        });
        assert!(closed.is_some(), "each connection came to its end");
    }
}
