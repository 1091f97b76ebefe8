//! Decodes the bytes of a client to packets.

use bytes::{Buf, Bytes, BytesMut};
use mqtt_protocol_core::mqtt::packet::{
    self as wire, DecodeResult, PacketType, VariableByteInteger, v3_1_1 as v3, v5_0 as v5,
};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use super::properties::{
    has_subscription_identifier, properties, receive_maximum, session_expiry, topic_alias,
};
use crate::packet::{CloudMessage, Connect, Incoming, Properties, Publish, Subscribe, Version};

/// Why the bytes of a client are not a packet: the reason code of MQTT 5, and a text for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecodeError {
    pub code: u8,
    pub reason: String,
}

/// Decodes the packets of one connection. The CONNECT tells their protocol version.
pub(crate) struct Decoder {
    version: Version,
    largest: usize,
}

impl Decoder {
    pub(crate) fn new(largest: u32) -> Decoder {
        Decoder {
            version: Version::V311,
            largest: largest as usize,
        }
    }

    /// Takes one packet off the front of `input`; `None` while it is incomplete.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, DecodeError> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(None);
        };
        let (length, size) = match VariableByteInteger::decode_stream(rest) {
            DecodeResult::Ok(length, size) => (length.to_u32() as usize, size),
            DecodeResult::Incomplete => return Ok(None),
            DecodeResult::Err(reason) => {
                return Err(DecodeError {
                    code: 0x81,
                    reason: reason.to_owned(),
                });
            }
        };
        if 1 + size + length > self.largest {
            return Err(DecodeError {
                code: 0x95,
                reason: format!("a packet of {length} bytes"),
            });
        }
        if input.len() < 1 + size + length {
            return Ok(None);
        }
        input.advance(1 + size);
        let packet = self
            .parse(first, &input.split_to(length))
            .map_err(decode_error)?;
        if packet.packet_id() == Some(0) {
            return Err(DecodeError {
                code: 0x81,
                reason: "a packet id of zero".to_owned(),
            });
        }
        Ok(Some(packet))
    }

    fn parse(&mut self, first: u8, body: &[u8]) -> Result<Incoming, MqttError> {
        let kind = PacketType::try_from(first >> 4).map_err(|_| MqttError::MalformedPacket)?;
        Ok(match kind {
            PacketType::Connect => Incoming::Connect(self.connect(body)?),
            PacketType::Publish => Incoming::Publish(self.publish(first & 0x0f, body)?),
            PacketType::Puback => Incoming::Puback {
                packet_id: self.puback(body)?,
            },
            PacketType::Subscribe => Incoming::Subscribe(self.subscribe(body)?),
            PacketType::Unsubscribe => self.unsubscribe(body)?,
            PacketType::Pingreq => Incoming::PingRequest,
            PacketType::Disconnect => self.disconnect(body)?,
            PacketType::Connack
            | PacketType::Suback
            | PacketType::Unsuback
            | PacketType::Pingresp
            | PacketType::Pubrec
            | PacketType::Pubrel
            | PacketType::Pubcomp
            | PacketType::Auth => Incoming::Unsupported(kind.as_str()),
        })
    }

    fn connect(&mut self, body: &[u8]) -> Result<Connect, MqttError> {
        // The protocol level follows the name, which is always four letters and their length.
        if body.get(6) == Some(&5) {
            self.version = Version::V5;
            return v5::Connect::parse(body).map(|(packet, _)| connect_v5(&packet));
        }
        v3::Connect::parse(body).map(|(packet, _)| connect_v3(&packet))
    }

    fn publish(&self, flags: u8, body: &[u8]) -> Result<Publish, MqttError> {
        match self.version {
            Version::V311 => {
                v3::Publish::parse(flags, body.into()).map(|(packet, _)| publish_v3(&packet))
            }
            Version::V5 => {
                v5::Publish::parse(flags, body.into()).map(|(packet, _)| publish_v5(&packet))
            }
        }
    }

    fn puback(&self, body: &[u8]) -> Result<u16, MqttError> {
        Ok(match self.version {
            Version::V311 => v3::Puback::parse(body)?.0.packet_id(),
            Version::V5 => v5::Puback::parse(body)?.0.packet_id(),
        })
    }

    fn subscribe(&self, body: &[u8]) -> Result<Subscribe, MqttError> {
        let (packet_id, entries, identifier) = match self.version {
            Version::V311 => {
                let packet = v3::Subscribe::parse(body)?.0;
                (packet.packet_id(), packet.entries().clone(), false)
            }
            Version::V5 => {
                let packet = v5::Subscribe::parse(body)?.0;
                let identifier = has_subscription_identifier(packet.props());
                (packet.packet_id(), packet.entries().clone(), identifier)
            }
        };
        let filter = |entry: &wire::SubEntry| {
            (
                entry.topic_filter().to_owned(),
                entry.sub_opts().qos() as u8,
            )
        };
        Ok(Subscribe {
            packet_id,
            identifier,
            filters: entries.iter().map(filter).collect(),
        })
    }

    fn unsubscribe(&self, body: &[u8]) -> Result<Incoming, MqttError> {
        let texts = |entries: &[wire::MqttString]| {
            entries
                .iter()
                .map(|entry| entry.as_str().to_owned())
                .collect()
        };
        Ok(match self.version {
            Version::V311 => {
                let packet = v3::Unsubscribe::parse(body)?.0;
                Incoming::Unsubscribe {
                    packet_id: packet.packet_id(),
                    filters: texts(packet.entries()),
                }
            }
            Version::V5 => {
                let packet = v5::Unsubscribe::parse(body)?.0;
                Incoming::Unsubscribe {
                    packet_id: packet.packet_id(),
                    filters: texts(packet.entries()),
                }
            }
        })
    }

    fn disconnect(&self, body: &[u8]) -> Result<Incoming, MqttError> {
        if self.version == Version::V311 {
            return Ok(Incoming::Disconnect {
                reason: 0,
                session_expiry: None,
            });
        }
        let packet = v5::Disconnect::parse(body)?.0;
        let reason = packet.reason_code().map_or(0, |code| code as u8);
        let session_expiry = packet.props().as_ref().and_then(session_expiry);
        Ok(Incoming::Disconnect {
            reason,
            session_expiry,
        })
    }
}

fn connect_v3(packet: &v3::Connect) -> Connect {
    let will = packet.will_topic().map(|topic| CloudMessage {
        topic: topic.to_owned(),
        payload: Bytes::copy_from_slice(packet.will_payload().unwrap_or_default()),
        qos: packet.will_qos() as u8,
        retain: packet.will_retain(),
        properties: Properties::default(),
        only_to: None,
    });
    Connect {
        version: Version::V311,
        client_id: packet.client_id().to_owned(),
        clean_start: packet.clean_session(),
        keep_alive: packet.keep_alive(),
        session_expiry: None,
        receive_maximum: None,
        username: packet.user_name().map(str::to_owned),
        password: packet.password().map(Bytes::copy_from_slice),
        will,
    }
}

fn connect_v5(packet: &v5::Connect) -> Connect {
    let will = packet.will_topic().map(|topic| CloudMessage {
        topic: topic.to_owned(),
        payload: Bytes::copy_from_slice(packet.will_payload().unwrap_or_default()),
        qos: packet.will_qos() as u8,
        retain: packet.will_retain(),
        properties: properties(packet.will_props()),
        only_to: None,
    });
    Connect {
        version: Version::V5,
        client_id: packet.client_id().to_owned(),
        clean_start: packet.clean_start(),
        keep_alive: packet.keep_alive(),
        session_expiry: session_expiry(packet.props()),
        receive_maximum: receive_maximum(packet.props()),
        username: packet.user_name().map(str::to_owned),
        password: packet.password().map(Bytes::copy_from_slice),
        will,
    }
}

fn publish_v3(packet: &v3::Publish) -> Publish {
    let message = CloudMessage {
        topic: packet.topic_name().to_owned(),
        payload: Bytes::copy_from_slice(packet.payload().as_slice()),
        qos: packet.qos() as u8,
        retain: packet.retain(),
        properties: Properties::default(),
        only_to: None,
    };
    Publish {
        message,
        dup: packet.dup(),
        packet_id: packet.packet_id(),
        alias: None,
    }
}

fn publish_v5(packet: &v5::Publish) -> Publish {
    let message = CloudMessage {
        topic: packet.topic_name().to_owned(),
        payload: Bytes::copy_from_slice(packet.payload().as_slice()),
        qos: packet.qos() as u8,
        retain: packet.retain(),
        properties: properties(packet.props()),
        only_to: None,
    };
    let alias = topic_alias(packet.props());
    Publish {
        message,
        dup: packet.dup(),
        packet_id: packet.packet_id(),
        alias,
    }
}

fn decode_error(error: MqttError) -> DecodeError {
    let code = match error {
        MqttError::ProtocolError => 0x82,
        MqttError::UnsupportedProtocolVersion => 0x84,
        MqttError::ClientIdentifierNotValid => 0x85,
        _ => 0x81,
    };
    DecodeError {
        code,
        reason: format!("not MQTT: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<Incoming>, DecodeError> {
        Decoder::new(1024).decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn a_packet_that_is_not_all_there_is_waited_for() {
        assert_eq!(decode(&[]), Ok(None));
        assert_eq!(decode(&[0xc0]), Ok(None));
        assert_eq!(decode(&[0x30, 0x05, 0x00]), Ok(None));
        assert_eq!(decode(&[0xc0, 0x00]), Ok(Some(Incoming::PingRequest)));
    }

    #[test]
    fn a_packet_that_will_be_too_large_is_refused_before_it_is_there() {
        assert_eq!(decode(&[0x30, 0xff, 0x7f]).unwrap_err().code, 0x95);
    }

    /// Packets of both versions, to be damaged.
    const SOUND: [&[u8]; 9] = [
        b"\x10\x1d\x00\x04MQTT\x04\x06\x00\x3c\x00\x04pump\x00\x04will\x00\x03off",
        b"\x10\x26\x00\x04MQTT\x05\x06\x00\x3c\x08\x11\x00\x00\x0e\x10\x21\x00\x0a\x00\x04pump\x00\x00\x04will\x00\x03off",
        b"\x32\x08\x00\x03a/b\x00\x01x",
        b"\x32\x15\x00\x03a/b\x00\x01\x0c\x01\x01\x23\x00\x01\x26\x00\x01k\x00\x01vx",
        b"\x82\x09\x00\x01\x00\x04a/+b\x01",
        b"\x82\x0c\x00\x01\x02\x0b\x01\x00\x04a/#b\x01",
        b"\xa2\x07\x00\x01\x00\x03a/b",
        b"\x40\x03\x00\x01\x00",
        b"\xe0\x07\x00\x05\x11\x00\x00\x00\x3c",
    ];

    #[test]
    fn damaged_packets_do_not_make_it_panic() {
        // A small linear congruential generator: the same damage in every run.
        let mut state = 1_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        for _ in 0..20_000 {
            let mut bytes = SOUND[random(SOUND.len())].to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            for version in [Version::V311, Version::V5] {
                let mut decoder = Decoder {
                    version,
                    largest: 1024,
                };
                let _ = decoder.decode(&mut BytesMut::from(&bytes[..]));
            }
        }
    }

    #[test]
    fn a_packet_id_is_never_zero() {
        assert_eq!(
            decode(b"\x32\x06\x00\x01a\x00\x00x").unwrap_err().code,
            0x81
        );
    }
}
