//! Pure: the few packets that a broker must know, and bytes that no broker should say.

use std::io::{self, Read};

/// What a client says.
#[derive(Debug)]
pub enum Packet {
    /// The protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5.
    Connect(u8),
    /// With packet id 0 if it is QoS 0.
    Publish {
        topic: String,
        id: u16,
    },
    Subscribe {
        id: u16,
        filters: usize,
    },
    Puback(u16),
    PingRequest,
    Disconnect,
    Other,
}

impl Packet {
    pub fn read(stream: &mut impl Read) -> io::Result<Packet> {
        let first = byte(stream)?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let next = byte(stream)?;
            length |= usize::from(next & 0x7f) << shift;
            shift += 7;
            if next & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(match first >> 4 {
            1 => Packet::Connect(body[6]),
            3 => published(first, &body),
            4 => Packet::Puback(u16_at(&body, 0)),
            8 => Packet::Subscribe {
                id: u16_at(&body, 0),
                filters: filters(&body),
            },
            12 => Packet::PingRequest,
            14 => Packet::Disconnect,
            _ => Packet::Other,
        })
    }

    /// The packet id that an answer must have.
    pub fn id(&self) -> u16 {
        match self {
            Packet::Publish { id, .. } | Packet::Subscribe { id, .. } | Packet::Puback(id) => *id,
            Packet::Connect(_) | Packet::PingRequest | Packet::Disconnect | Packet::Other => 0,
        }
    }
}

fn byte(stream: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn published(first: u8, body: &[u8]) -> Packet {
    let end = 2 + usize::from(u16_at(body, 0));
    Packet::Publish {
        topic: String::from_utf8_lossy(&body[2..end]).into_owned(),
        id: if first & 0x06 == 0 {
            0
        } else {
            u16_at(body, end)
        },
    }
}

/// Each ends with a byte of options; MQTT 5 has properties before them, which the daemon never sends: 0.
fn filters(body: &[u8]) -> usize {
    let filters = |mut at: usize| {
        let mut count = 0;
        while at + 2 < body.len() {
            at += 2 + usize::from(u16_at(body, at)) + 1;
            count += 1;
        }
        (at == body.len()).then_some(count)
    };
    filters(3).or(filters(2)).unwrap_or(1)
}

/// First byte, remaining length, body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(variable(body.len()));
    bytes.extend(body);
    bytes
}

/// A variable byte integer.
pub fn variable(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = number >= 0x80;
        bytes.push((number % 0x80) as u8 | if more { 0x80 } else { 0 });
        number /= 0x80;
        if !more {
            return bytes;
        }
    }
}

pub fn with_properties(version: u8, mut head: Vec<u8>, properties: &[u8], rest: &[u8]) -> Vec<u8> {
    if version == 5 {
        head.extend(variable(properties.len()));
        head.extend(properties);
    }
    head.extend(rest);
    head
}

pub fn connack(version: u8, properties: &[u8]) -> Vec<u8> {
    packet(0x20, &with_properties(version, vec![0, 0], properties, &[]))
}

pub fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

pub fn suback(version: u8, id: u16, codes: usize) -> Vec<u8> {
    let id = id.to_be_bytes().to_vec();
    packet(0x90, &with_properties(version, id, &[], &vec![1; codes]))
}

/// A message for the client; QoS 0 has no packet id.
pub fn publish(version: u8, topic: &str, id: Option<u16>, properties: &[u8]) -> Vec<u8> {
    let mut head = text(topic);
    head.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    let payload = id.map_or("none".to_owned(), |id| id.to_string());
    let first = if id.is_some() { 0x32 } else { 0x30 };
    packet(
        first,
        &with_properties(version, head, properties, payload.as_bytes()),
    )
}

/// A text as MQTT writes it.
pub fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}
