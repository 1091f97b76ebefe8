//! Packets that are wrong in themselves, in the place of a PUBACK.

use super::act::{Act, At};
use super::packets::{packet, puback, publish, text, with_properties};
use super::trial::{Trial, in_groups, nothing_happens, run};

type Acts = Vec<(Act, &'static str)>;

const KINDS: [&str; 16] = [
    "reserved type 0",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "type 15, AUTH",
];
const VERSIONS: [u8; 2] = [4, 5];

/// With the flags that the standard asks for.
fn first(kind: u8) -> u8 {
    let flags = if [6, 8, 10].contains(&kind) { 2 } else { 0 };
    kind << 4 | flags
}

fn says(name: &str, bytes: Vec<u8>) -> Act {
    Act::new(name, At::Publish, move |_| bytes.clone())
}

fn ends(name: &str, bytes: Vec<u8>) -> (Act, &'static str) {
    (says(name, bytes), "protocol: ")
}

fn on_both(acts: impl Fn(u8) -> Acts) -> Vec<Trial> {
    let of = |version| in_groups(version, acts(version));
    VERSIONS.into_iter().flat_map(of).collect()
}

fn lengths(kind: u8) -> Acts {
    let (name, first) = (KINDS[usize::from(kind)], first(kind));
    let five = vec![first, 0xff, 0xff, 0xff, 0xff, 1];
    let above = vec![first, 0x81, 0x80, 0x10];
    vec![
        ends(&format!("{name} with a length of five bytes"), five),
        ends(&format!("{name} of 256 KiB and a byte"), above),
    ]
}

#[test]
fn a_length_that_cannot_be_ends_the_connection() {
    run(on_both(|_| (0..16).flat_map(lengths).collect()));
}

/// What the version allows without a body is not among these: PINGRESP, and DISCONNECT of MQTT 5.
fn bodies(version: u8) -> Acts {
    let mut acts = Vec::new();
    for kind in (0..16).filter(|kind| *kind != 13 && (*kind != 14 || version == 4)) {
        let (name, first) = (KINDS[usize::from(kind)], first(kind));
        acts.push(ends(&format!("{name} without a body"), vec![first, 0]));
        acts.push(ends(&format!("{name} of one byte"), vec![first, 1, 0]));
    }
    acts
}

#[test]
fn a_body_that_is_too_short_ends_the_connection() {
    run(on_both(bodies));
}

/// Their flags are reserved, and all of them set.
fn flags(version: u8) -> Acts {
    let id = vec![0, 99];
    let connect = [&text("MQTT")[..], &[version, 2, 0, 60], &text("x")].concat();
    let connect = match version {
        5 => [&text("MQTT")[..], &[5, 2, 0, 60, 0], &text("x")].concat(),
        _ => connect,
    };
    let subscribe = with_properties(version, id.clone(), &[], &[0, 1, b't', 1]);
    let unsubscribe = with_properties(version, id.clone(), &[], &[0, 1, b't']);
    let message = with_properties(version, text("t"), &[], b"x");
    [
        (0, id.clone()),
        (1, connect),
        (2, with_properties(version, vec![0, 0], &[], &[])),
        (3, message),
        (4, id.clone()),
        (5, id.clone()),
        (6, id.clone()),
        (7, id.clone()),
        (8, subscribe),
        (10, unsubscribe),
        (12, vec![]),
        (14, if version == 5 { vec![0, 0] } else { vec![] }),
        (15, id),
    ]
    .into_iter()
    .map(|(kind, body)| {
        let name = format!("{} with all flags", KINDS[usize::from(kind)]);
        ends(&name, packet(first(kind) | 0x0f, &body))
    })
    .collect()
}

#[test]
fn wrong_flags_and_packets_that_no_broker_sends_end_the_connection() {
    run(on_both(flags));
}

/// The client does not look at the flags of these, and they mean what they mean.
#[test]
fn flags_of_an_answer_are_not_looked_at() {
    for version in VERSIONS {
        let answer = |name: &str, before: Vec<u8>| {
            Act::new(name, At::Publish, move |id| {
                let mut answer = puback(id);
                answer[0] |= 0x0f;
                [before.clone(), answer].concat()
            })
            .accepts()
        };
        let suback = with_properties(version, vec![0, 99], &[], &[1]);
        let acts = vec![
            answer("PUBACK with all flags", vec![]),
            answer("PINGRESP with all flags", vec![0xdf, 0]),
            answer("PINGRESP with a body", vec![0xd0, 1, 0]),
            answer("SUBACK with all flags", packet(0x9f, &suback)),
        ];
        nothing_happens(version, acts);
    }
}

fn contents(version: u8) -> Acts {
    let mut acts = vec![
        ends("PUBLISH of QoS 3", {
            let mut bytes = publish(version, "t", Some(1), &[]);
            bytes[0] |= 0x06;
            bytes
        }),
        ends(
            "PUBLISH with packet id 0",
            publish(version, "t", Some(0), &[]),
        ),
        ends(
            "PUBLISH whose topic goes beyond it",
            packet(0x30, &[0xff, 0xff, b't']),
        ),
        ends("PUBLISH without a topic", publish(version, "", None, &[])),
        ends(
            "SUBACK with an unknown code",
            packet(0x90, &with_properties(version, vec![0, 1], &[], &[0x55])),
        ),
        ends(
            "SUBACK without codes",
            packet(0x90, &with_properties(version, vec![0, 1], &[], &[])),
        ),
        ends("PUBLISH of 256 MiB", vec![0x30, 0xff, 0xff, 0xff, 0x7f]),
        ends("PUBACK that nobody waits for", puback(0xffff)),
        ends("PUBACK with packet id 0", puback(0)),
        ends(
            "CONNACK for the second time",
            super::packets::connack(version, &[]),
        ),
    ];
    if version == 5 {
        acts.extend([
            ends(
                "PUBLISH with a topic alias that was never set",
                publish(5, "", Some(1), &[35, 0, 1]),
            ),
            ends(
                "PUBLISH with an unknown property",
                publish(5, "t", None, &[0x7f, 0]),
            ),
            ends(
                "PUBLISH whose property is cut",
                publish(5, "t", None, &[3, 0, 200]),
            ),
            ends(
                "PUBLISH with a text that is not UTF-8",
                publish(5, "t", None, &[3, 0, 1, 0xff]),
            ),
            ends(
                "PUBLISH whose properties have a length of five bytes",
                packet(0x30, &[0, 1, b't', 0xff, 0xff, 0xff, 0xff, 1]),
            ),
            ends(
                "PUBACK with an unknown reason",
                packet(0x40, &[0, 1, 0x55, 0]),
            ),
            ends(
                "DISCONNECT with an unknown reason",
                packet(0xe0, &[0x55, 0]),
            ),
        ]);
    }
    acts
}

#[test]
fn contents_that_cannot_be_end_the_connection() {
    run(on_both(contents));
}
