//! What a broker may say in CONNACK, and should not; what it says instead of it; and its DISCONNECT.

use std::sync::atomic::Ordering;

use super::act::{Act, At};
use super::broker::Broker;
use super::common::{LONG, sandbox, wait_for};
use super::packets::{connack, packet, publish, suback, text, with_properties};
use super::trial::{Trial, device, endings, in_groups, leaves_well, nothing_happens, run};

type Acts = Vec<(Act, &'static str)>;

fn says(name: &str, bytes: Vec<u8>) -> Act {
    Act::new(name, At::Connect, move |_| bytes.clone())
}

/// CONNACK with these properties.
fn accepts(name: &str, properties: &[u8]) -> Act {
    says(name, connack(5, properties))
}

/// So many user properties, of a name and a value of 100 bytes.
fn users(count: usize) -> Vec<u8> {
    let one = [&[38][..], &text(&"n".repeat(100)), &text(&"v".repeat(100))].concat();
    one.repeat(count)
}

fn instead(version: u8) -> Acts {
    let ends = |name: &str, bytes| (says(name, bytes), "protocol: ");
    // The whole reason: nothing of the packet goes into the log.
    let other = |name: &str, bytes| {
        let line = "protocol: the broker's first packet is no CONNACK";
        (says(name, bytes), line)
    };
    let good = connack(version, &[]);
    let mut acts = vec![
        other(
            "a message instead of CONNACK",
            publish(version, "secret", Some(1), &[]),
        ),
        other("PINGRESP instead of CONNACK", vec![0xd0, 0]),
        ends("AUTH instead of CONNACK", packet(0xf0, &[0x18, 0])),
        other("SUBACK instead of CONNACK", suback(version, 1, 1)),
        ends("type 0 instead of CONNACK", vec![0, 0]),
        ends("CONNACK of 256 MiB", vec![0x20, 0xff, 0xff, 0xff, 0x7f]),
        (
            says("half a CONNACK and the end", good[..3].to_vec()).and_closes(),
            "refused: closed before CONNACK",
        ),
        (
            says("the end instead of CONNACK", vec![]).and_closes(),
            "refused: closed before CONNACK",
        ),
    ];
    if version == 5 {
        acts.extend([
            ends("CONNACK with an unknown code", packet(0x20, &[0, 0x55, 0])),
            ends("CONNACK with an unknown property", connack(5, &[0x7f, 0])),
            ends(
                "CONNACK whose properties are cut",
                packet(0x20, &[0, 0, 100, 38]),
            ),
            ends(
                "CONNACK with 1,300 user properties, above 256 KiB",
                connack(5, &users(1_300)),
            ),
            ends(
                "CONNACK with a Receive Maximum of 0",
                connack(5, &[33, 0, 0]),
            ),
            ends(
                "CONNACK with a Maximum Packet Size of 0",
                connack(5, &[39, 0, 0, 0, 0]),
            ),
        ]);
    }
    acts
}

/// They are failures in a row, without progress: so few for each device, or it would give up.
#[test]
fn what_is_no_connack_is_the_end_of_the_attempt() {
    let one_each = |version| {
        instead(version)
            .into_iter()
            .map(move |act| Trial::new(version, vec![act]))
    };
    run([4, 5].into_iter().flat_map(one_each).collect());
}

#[test]
fn odd_properties_of_connack_are_taken_as_they_are() {
    let twice = [33, 0, 5].repeat(2);
    let acts = vec![
        accepts("CONNACK with 1,000 user properties", &users(1_000)),
        accepts("CONNACK with a property twice", &twice),
        accepts("CONNACK with a Receive Maximum of 1", &[33, 0, 1]),
        accepts("CONNACK with a Receive Maximum of 65535", &[33, 0xff, 0xff]),
        accepts("CONNACK with a keep-alive of 1 s", &[19, 0, 1]),
        accepts("CONNACK with a keep-alive of 65535 s", &[19, 0xff, 0xff]),
        accepts(
            "CONNACK with a Topic Alias Maximum of 65535",
            &[34, 0xff, 0xff],
        ),
        accepts(
            "CONNACK with a session that never ends",
            &[17, 0xff, 0xff, 0xff, 0xff],
        ),
        accepts(
            "CONNACK with a Maximum Packet Size of 4 GiB",
            &[39, 0xff, 0xff, 0xff, 0xff],
        ),
    ];
    nothing_happens(5, acts);
}

/// What fits is published, what does not is given up with the reason, and nothing goes round in circles.
#[test]
fn a_message_that_is_too_large_for_the_broker_has_a_named_end() {
    let sandbox = sandbox();
    let small = accepts(
        "CONNACK with a Maximum Packet Size of 30",
        &[39, 0, 0, 0, 30],
    );
    let broker = Broker::start(sandbox.pki(), vec![small]);
    let mut device = device(sandbox.pki(), &broker, 5);
    device.drop_message("1-large", "t", &"x".repeat(100));
    device.start();
    let reason = device.wait_for_failure("1-large");
    assert!(
        reason.contains("larger than the 30 bytes that the broker takes"),
        "{reason}"
    );
    std::fs::remove_file(device.messages().join("failed/1-large")).unwrap();
    leaves_well(&mut device, &broker);
    assert_eq!(broker.connections(), 1);
}

/// Where nothing fits, nothing is given up: another broker may take it.
#[test]
fn a_broker_for_which_everything_is_too_large_costs_no_message() {
    let sandbox = sandbox();
    let script = vec![accepts(
        "CONNACK with a Maximum Packet Size of 5",
        &[39, 0, 0, 0, 5],
    )];
    let broker = Broker::start(sandbox.pki(), script);
    let mut device = device(sandbox.pki(), &broker, 5);
    device.start();
    device.wait_for_log("larger than the 5 bytes that the broker takes");
    assert_eq!(device.stop(), Some(0), "DISCONNECT does not need more");
    assert_eq!((device.waiting().len(), device.failed().len()), (3, 0));
    device.start();
    leaves_well(&mut device, &broker);
    assert_eq!(endings(&device), [""; 0]);
}

#[test]
fn a_disconnect_says_why_in_a_hundred_characters() {
    let long = [&[31][..], &text(&"r".repeat(1_024))].concat();
    let body = with_properties(5, vec![0x8b], &long, &[]);
    let bytes = packet(0xe0, &body);
    let act = Act::new("DISCONNECT with 1 KiB of reason", At::Publish, move |_| {
        bytes.clone()
    });
    let end = "server: DISCONNECT ServerShuttingDown (\"rrrr";
    run(in_groups(5, vec![(act, end)]));
}

/// A DISCONNECT without properties is good MQTT 5, and what some brokers send.
#[test]
fn an_end_says_why_as_far_as_the_broker_does() {
    let act = |name: &str, bytes: &'static [u8]| {
        Act::new(name, At::Publish, move |_| bytes.to_vec()).and_closes()
    };
    let alone = act("DISCONNECT with a reason alone", &[0xe0, 1, 0x8b]);
    let nothing = act("DISCONNECT with nothing", &[0xe0, 0]);
    let half = act("half a PUBLISH and the end", &[0x30, 9, 0]);
    let acts = vec![
        (half, "server: closed by the broker"),
        (alone, "server: DISCONNECT ServerShuttingDown"),
        (nothing, "server: DISCONNECT NormalDisconnection"),
    ];
    run(in_groups(5, acts));
}

#[test]
fn a_keep_alive_of_a_second_is_no_flood_of_pings() {
    let sandbox = sandbox();
    let broker = Broker::start(sandbox.pki(), vec![accepts("1 s", &[19, 0, 1])]);
    let mut device = device(sandbox.pki(), &broker, 5);
    device.start();
    wait_for("it pings twice", LONG, || {
        broker.seen.pings.load(Ordering::SeqCst) == 2
    });
    leaves_well(&mut device, &broker);
    assert_eq!(
        (
            broker.connections(),
            broker.seen.pings.load(Ordering::SeqCst)
        ),
        (1, 2)
    );
}
