//! Subscriptions: what is granted, what is not, and what is delivered to whom.

use crate::common::{BOTH, ConnectPacket, Device, Seen, builder, code, recorded, sandbox};
use iotcore_sandbox::{CloudMessage, DeniedSubscription, Deny, Event, Sandbox, Version};
use rumqttc::v5::mqttbytes::{QoS, v5};

/// Publishes from the cloud and expects the client to get it or not.
fn delivers(sandbox: &Sandbox, device: &mut Device, topic: &str, expected: bool) {
    assert_eq!(
        sandbox.publish(topic, b"x", 1),
        usize::from(expected),
        "{topic}"
    );
    if expected {
        assert_eq!(device.message(), (topic.to_owned(), "x".to_owned()));
    }
    device.sees_nothing();
}

#[test]
fn messages_come_to_matching_filters_as_on_aws() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        assert_eq!(
            device.subscribe(&[("a/#", 1), ("b/+", 1), ("+/c", 1)]),
            [1, 1, 1]
        );
        delivers(&sandbox, &mut device, "a/b/c", true);
        delivers(&sandbox, &mut device, "a", false);
        delivers(&sandbox, &mut device, "b/x", true);
        delivers(&sandbox, &mut device, "$aws/c", false);
    }
}

#[test]
fn the_rules_of_the_specification_can_be_switched_on() {
    let sandbox = builder()
        .limit(|limits| limits.hash_matches_parent = true)
        .start()
        .unwrap();
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.subscribe(&[("a/#", 1)]);
    delivers(&sandbox, &mut device, "a", true);
}

#[test]
fn the_lower_qos_counts() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        assert_eq!(device.subscribe(&[("zero", 0), ("one", 1)]), [0, 1]);
        sandbox.publish("zero", b"", 1);
        assert!(matches!(device.next(), Seen::Publish { qos: 0, .. }));
        sandbox.publish("one", b"", 0);
        assert!(matches!(device.next(), Seen::Publish { qos: 0, .. }));
        sandbox.publish("one", b"", 1);
        assert!(matches!(
            device.next(),
            Seen::Publish {
                qos: 1,
                dup: false,
                retain: false,
                ..
            }
        ));
    }
}

#[test]
fn clients_of_both_versions_reach_each_other() {
    let sandbox = sandbox();
    let mut three = Device::connect(&sandbox, Version::V311, "three");
    let mut five = Device::connect(&sandbox, Version::V5, "five");
    three.subscribe(&[("from/five", 1)]);
    five.subscribe(&[("from/three", 1)]);
    three.publish("from/three", b"3", 0);
    five.publish("from/five", b"5", 0);
    assert_eq!(three.message().1, "5");
    assert_eq!(five.message().1, "3");
}

#[test]
fn an_unsubscribed_filter_gets_nothing() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.subscribe(&[("a", 1)]);
        device.unsubscribe("a");
        delivers(&sandbox, &mut device, "a", false);
    }
}

#[test]
fn qos_2_gets_no_suback() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.ask_for(&[("a", 2)]);
        match version {
            Version::V311 => device.sees_nothing(),
            Version::V5 => assert_eq!(device.next(), Seen::Disconnect(0x9b)),
        }
    }
}

#[test]
fn nine_filters_in_one_subscribe_end_the_connection() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        let topics: Vec<String> = (0..9).map(|n| format!("a/{n}")).collect();
        let filters: Vec<(&str, u8)> = topics.iter().map(|topic| (topic.as_str(), 1)).collect();
        assert_eq!(device.subscribe(&filters[..8]), [1; 8]);
        device.ask_for(&filters);
        device.sees_end(0x97);
    }
}

#[test]
fn the_51st_subscription_fails() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        for n in 0..50 {
            assert_eq!(device.subscribe(&[(&format!("a/{n}"), 1)]), [1]);
        }
        assert_eq!(
            device.subscribe(&[("a/50", 1)]),
            [code(version, 0x80, 0x97)]
        );
        assert_eq!(
            device.subscribe(&[("a/49", 0)]),
            [0],
            "one that is there already may change"
        );
    }
}

#[test]
fn a_filter_that_is_too_long_or_too_deep_or_no_filter_is_refused() {
    let check = |filter: &str| {
        for version in BOTH {
            let sandbox = sandbox();
            let mut device = Device::connect(&sandbox, version, "pump");
            device.ask_for(&[(filter, 1)]);
            match version {
                Version::V311 => assert_eq!(device.next(), Seen::Closed, "{filter}"),
                Version::V5 => assert_eq!(
                    device.next(),
                    Seen::Suback { codes: vec![0x8f] },
                    "{filter}"
                ),
            }
        }
    };
    check(&"x".repeat(257));
    check("1/2/3/4/5/6/7/8/9");
    check("a/#/b");
    check("$SYS/#");
    check("$aws/rules/rule/a");
}

#[test]
fn a_denied_subscription_is_answered_or_ends_the_connection() {
    for version in BOTH {
        let sandbox = sandbox();
        sandbox.policy("*", vec![Deny::Subscribe("secret/#".to_owned())]);
        let mut device = Device::connect(&sandbox, version, "pump");
        let refused = code(version, 0x80, 0x87);
        assert_eq!(device.subscribe(&[("a", 1), ("secret/b", 1)]), [1, refused]);
    }
    let close = |limits: &mut iotcore_sandbox::Limits| {
        limits.denied_subscription = DeniedSubscription::Close
    };
    let sandbox = builder().limit(close).start().unwrap();
    sandbox.policy("*", vec![Deny::Subscribe("secret/#".to_owned())]);
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.ask_for(&[("secret/b", 1)]);
    assert_eq!(device.next(), Seen::Closed);
}

#[test]
fn what_a_client_may_not_receive_is_left_out_silently() {
    let sandbox = sandbox();
    sandbox.policy("pump", vec![Deny::Receive("secret/#".to_owned())]);
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.subscribe(&[("#", 1)]);
    delivers(&sandbox, &mut device, "secret/a", false);
    delivers(&sandbox, &mut device, "a", true);
}

#[test]
fn subscription_identifiers_end_the_connection() {
    let sandbox = sandbox();
    let mut device = Device::connect(&sandbox, Version::V5, "pump");
    let properties = v5::SubscribeProperties {
        id: Some(1),
        user_properties: Vec::new(),
    };
    let mut subscribe =
        v5::Subscribe::new(v5::Filter::new("a", QoS::AtLeastOnce), Some(properties));
    subscribe.pkid = 1;
    let mut bytes = bytes::BytesMut::new();
    subscribe.write(&mut bytes).unwrap();
    device.send_raw(&bytes);
    assert_eq!(device.next(), Seen::Disconnect(0xa1));
}

#[test]
fn a_retained_message_comes_to_its_exact_filter_only() {
    for version in BOTH {
        let sandbox = sandbox();
        sandbox.publish_with(CloudMessage::new("a/b", "kept").qos(1).retained());
        let mut device = Device::connect(&sandbox, version, "pump");
        device.subscribe(&[("a/+", 1), ("a/#", 1)]);
        device.sees_nothing();
        device.subscribe(&[("$share/s/a/b", 1)]);
        device.sees_nothing();
        device.subscribe(&[("a/b", 1)]);
        assert!(
            matches!(device.next(), Seen::Publish { retain: true, qos: 1, payload, .. } if payload == "kept")
        );
        device.sees_nothing();
    }
}

#[test]
fn retained_messages_come_to_wildcards_if_the_specification_is_wanted() {
    let sandbox = builder()
        .limit(|limits| limits.retained_on_wildcards = true)
        .start()
        .unwrap();
    sandbox.publish_with(CloudMessage::new("a/b", "kept").retained());
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.subscribe(&[("a/+", 1)]);
    assert_eq!(device.message().1, "kept");
}

#[test]
fn a_client_keeps_and_deletes_a_retained_message() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.subscribe(&[("a", 0)]);
        device.publish_retained("a", b"kept", 0);
        assert!(
            matches!(device.next(), Seen::Publish { retain: false, .. }),
            "live messages are not marked"
        );
        device.subscribe(&[("a", 0)]);
        assert!(matches!(device.next(), Seen::Publish { retain: true, .. }));
        device.publish_retained("a", b"", 0);
        assert_eq!(device.message().1, "", "the deletion is forwarded");
        device.subscribe(&[("a", 0)]);
        device.sees_nothing();
    }
}

#[test]
fn members_of_a_shared_subscription_take_turns() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut first = Device::connect(&sandbox, version, "first");
        let mut second = Device::connect(&sandbox, version, "second");
        assert_eq!(first.subscribe(&[("$share/pool/jobs/#", 1)]), [1]);
        assert_eq!(second.subscribe(&[("$share/pool/jobs/#", 1)]), [1]);
        for n in 0..4 {
            assert_eq!(sandbox.publish("jobs/a", n.to_string().as_bytes(), 1), 1);
        }
        assert_eq!([first.message().1, first.message().1], ["0", "2"]);
        assert_eq!([second.message().1, second.message().1], ["1", "3"]);
    }
}

#[test]
fn at_most_a_hundred_deliveries_are_unacknowledged() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut device = Device::connect(&sandbox, version, "pump");
        device.subscribe(&[("a", 1)]);
        (0..101).for_each(|_| {
            sandbox.publish("a", b"", 1);
        });
        for id in 1..=100 {
            assert!(matches!(device.next(), Seen::Publish { packet_id, .. } if packet_id == id));
        }
        device.sees_nothing();
        device.acknowledge(50);
        assert!(matches!(
            device.next(),
            Seen::Publish { packet_id: 101, .. }
        ));
        recorded(&sandbox, |event| {
            matches!(event, Event::PubackReceived { packet_id: 50 })
        });
    }
}

#[test]
fn a_client_of_mqtt_5_may_want_fewer_deliveries_at_a_time() {
    let sandbox = sandbox();
    let packet = ConnectPacket {
        receive_maximum: Some(1),
        ..ConnectPacket::new(Version::V5, "pump")
    };
    let (mut device, _) = Device::connect_with(&sandbox, &packet);
    device.subscribe(&[("a", 1)]);
    sandbox.publish("a", b"1", 1);
    sandbox.publish("a", b"2", 1);
    let Seen::Publish { packet_id, .. } = device.next() else {
        panic!("no message")
    };
    device.sees_nothing();
    device.acknowledge(packet_id);
    assert_eq!(device.message().1, "2");
}
