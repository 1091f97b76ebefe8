//! What a device sees: frames of the broker, checked by another codec than the broker's, with their codes as numbers.

use bytes::BytesMut;
use iotcore_sandbox::Version;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

/// The next thing that a device sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Connack {
        code: u8,
        session_present: bool,
    },
    Publish {
        topic: String,
        payload: String,
        qos: u8,
        retain: bool,
        dup: bool,
        packet_id: u16,
    },
    Puback {
        packet_id: u16,
        code: u8,
    },
    Suback {
        codes: Vec<u8>,
    },
    Unsuback,
    PingResponse,
    Disconnect(u8),
    /// The end of the connection, in order.
    Closed,
    Reset,
    /// TLS ended with this.
    Alert(String),
}

/// Takes a frame off the front of `input`, if it is all there.
pub fn frame(input: &mut BytesMut) -> Option<BytesMut> {
    let mut length = 0;
    for (at, byte) in input.iter().skip(1).take(4).enumerate() {
        length += usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let whole = 2 + at + length;
            return (input.len() >= whole).then(|| input.split_to(whole));
        }
    }
    None
}

/// Reads a frame of the broker twice: as numbers, and with the other codec, which must not object.
pub fn seen(version: Version, frame: &BytesMut) -> Seen {
    let head = 1
        + frame[1..]
            .iter()
            .position(|byte| byte & 0x80 == 0)
            .expect("a length")
        + 1;
    let body = &frame[head..];
    let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    match frame[0] >> 4 {
        2 => Seen::Connack {
            code: body[1],
            session_present: body[0] == 1,
        },
        3 => publish(version, frame),
        4 => Seen::Puback {
            packet_id: id(0),
            code: body.get(2).copied().unwrap_or(0),
        },
        9 => Seen::Suback {
            codes: body[if version == Version::V5 { 3 } else { 2 }..].to_vec(),
        },
        11 => Seen::Unsuback,
        13 => Seen::PingResponse,
        14 => Seen::Disconnect(body.first().copied().unwrap_or(0)),
        other => panic!("the broker sent a packet of type {other}"),
    }
}

/// Whether the other codec takes the frame.
pub fn conforms(version: Version, frame: &BytesMut) -> bool {
    match version {
        Version::V311 => v4::Packet::read(&mut frame.clone(), usize::MAX).is_ok(),
        Version::V5 => v5::Packet::read(&mut frame.clone(), None).is_ok(),
    }
}

fn publish(version: Version, frame: &BytesMut) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    match version {
        Version::V311 => match v4::Packet::read(&mut frame.clone(), usize::MAX) {
            Ok(v4::Packet::Publish(p)) => Seen::Publish {
                topic: p.topic,
                payload: text(&p.payload),
                qos: p.qos as u8,
                retain: p.retain,
                dup: p.dup,
                packet_id: p.pkid,
            },
            other => panic!("not a PUBLISH: {other:?}"),
        },
        Version::V5 => match v5::Packet::read(&mut frame.clone(), None) {
            Ok(v5::Packet::Publish(p)) => Seen::Publish {
                topic: text(&p.topic),
                payload: text(&p.payload),
                qos: p.qos as u8,
                retain: p.retain,
                dup: p.dup,
                packet_id: p.pkid,
            },
            other => panic!("not a PUBLISH: {other:?}"),
        },
    }
}
