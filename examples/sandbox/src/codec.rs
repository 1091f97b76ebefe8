//! Bytes to packets and back. The only file that knows the MQTT library, of which it uses nothing but the packet types:
//! what a session is, the broker decides.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use mqtt_protocol_core::mqtt::packet::{
    self as wire, DecodeResult, PacketType, Property, Qos, VariableByteInteger, v3_1_1 as v3,
    v5_0 as v5,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, MqttError, PubackReasonCode,
    SubackReasonCode, SubackReturnCode, UnsubackReasonCode,
};

use crate::packet::{
    CloudMessage, Connect, Incoming, Outgoing, Properties, Publish, Subscribe, Terms, Version,
};

/// Why the bytes of a client are no packet: the reason code of MQTT 5, and words for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub code: u8,
    pub reason: String,
}

/// Takes the packets of one connection apart. The CONNECT tells which version they have.
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

    /// Takes one packet off the front of `input`; `None` if it is not all there yet.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, Broken> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(None);
        };
        let (length, size) = match VariableByteInteger::decode_stream(rest) {
            DecodeResult::Ok(length, size) => (length.to_u32() as usize, size),
            DecodeResult::Incomplete => return Ok(None),
            DecodeResult::Err(reason) => {
                return Err(Broken {
                    code: 0x81,
                    reason: reason.to_owned(),
                });
            }
        };
        if 1 + size + length > self.largest {
            return Err(Broken {
                code: 0x95,
                reason: format!("a packet of {length} bytes"),
            });
        }
        if input.len() < 1 + size + length {
            return Ok(None);
        }
        input.advance(1 + size);
        self.parse(first, &input.split_to(length))
            .map(Some)
            .map_err(broken)
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
        let (packet, _) = v3::Connect::parse(body)?;
        let will = packet.will_topic().map(|topic| CloudMessage {
            topic: topic.to_owned(),
            payload: Bytes::copy_from_slice(packet.will_payload().unwrap_or_default()),
            qos: packet.will_qos() as u8,
            retain: packet.will_retain(),
            properties: Properties::default(),
        });
        Ok(Connect {
            version: Version::V311,
            client_id: packet.client_id().to_owned(),
            clean_start: packet.clean_session(),
            keep_alive: packet.keep_alive(),
            session_expiry: None,
            receive_maximum: None,
            username: packet.user_name().map(str::to_owned),
            will,
        })
    }

    fn publish(&self, flags: u8, body: &[u8]) -> Result<Publish, MqttError> {
        let body: Arc<[u8]> = body.into();
        Ok(match self.version {
            Version::V311 => {
                let (packet, _) = v3::Publish::parse(flags, body)?;
                let message = CloudMessage::new(
                    packet.topic_name(),
                    Bytes::copy_from_slice(packet.payload().as_slice()),
                );
                published(
                    message,
                    packet.qos(),
                    packet.retain(),
                    packet.dup(),
                    packet.packet_id(),
                    None,
                )
            }
            Version::V5 => {
                let (packet, _) = v5::Publish::parse(flags, body)?;
                let mut message = CloudMessage::new(
                    packet.topic_name(),
                    Bytes::copy_from_slice(packet.payload().as_slice()),
                );
                message.properties = properties(packet.props());
                let alias = find(packet.props(), |p| {
                    if let Property::TopicAlias(p) = p {
                        Some(p.val())
                    } else {
                        None
                    }
                });
                published(
                    message,
                    packet.qos(),
                    packet.retain(),
                    packet.dup(),
                    packet.packet_id(),
                    alias,
                )
            }
        })
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
                let identifier = packet
                    .props()
                    .iter()
                    .any(|p| matches!(p, Property::SubscriptionIdentifier(_)));
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

/// The bytes of a packet for a client that speaks `version`.
pub(crate) fn encode(version: Version, packet: &Outgoing) -> Vec<u8> {
    let built = match version {
        Version::V311 => encode_v3(packet),
        Version::V5 => encode_v5(packet),
    };
    built.expect("the broker sends only what it has checked")
}

fn encode_v3(packet: &Outgoing) -> Result<Vec<u8>, MqttError> {
    Ok(match packet {
        Outgoing::Connack {
            code,
            session_present,
            ..
        } => {
            let known =
                ConnectReturnCode::try_from(*code).unwrap_or(ConnectReturnCode::NotAuthorized);
            let built = v3::Connack::builder()
                .session_present(*session_present)
                .return_code(known)
                .build()?;
            let mut bytes = built.to_continuous_buffer();
            // AWS has been seen to send codes that the specification does not have.
            *bytes.last_mut().expect("a CONNACK has four bytes") = *code;
            bytes
        }
        Outgoing::Publish { packet_id, message } => {
            let topic = v3::Publish::builder().topic_name(message.topic.as_str())?;
            let sized = topic
                .qos(qos(message.qos))
                .retain(message.retain)
                .payload(&message.payload[..]);
            sized.packet_id(*packet_id).build()?.to_continuous_buffer()
        }
        Outgoing::Puback { packet_id, .. } => v3::Puback::builder()
            .packet_id(*packet_id)
            .build()?
            .to_continuous_buffer(),
        Outgoing::Suback { packet_id, codes } => {
            let code =
                |code: &u8| SubackReturnCode::try_from(*code).unwrap_or(SubackReturnCode::Failure);
            let codes = codes.iter().map(code).collect();
            v3::Suback::builder()
                .packet_id(*packet_id)
                .return_codes(codes)
                .build()?
                .to_continuous_buffer()
        }
        Outgoing::Unsuback { packet_id, .. } => v3::Unsuback::builder()
            .packet_id(*packet_id)
            .build()?
            .to_continuous_buffer(),
        Outgoing::PingResponse => v3::Pingresp::new().to_continuous_buffer(),
        // A server of MQTT 3.1.1 has no DISCONNECT: it closes the connection.
        Outgoing::Disconnect { .. } => Vec::new(),
    })
}

fn encode_v5(packet: &Outgoing) -> Result<Vec<u8>, MqttError> {
    Ok(match packet {
        Outgoing::Connack {
            code,
            session_present,
            terms,
        } => {
            let code =
                ConnectReasonCode::try_from(*code).unwrap_or(ConnectReasonCode::UnspecifiedError);
            let connack = v5::Connack::builder()
                .session_present(*session_present)
                .reason_code(code);
            connack
                .props(terms.as_ref().map_or(Ok(Vec::new()), connack_properties)?)
                .build()?
                .to_continuous_buffer()
        }
        Outgoing::Publish { packet_id, message } => {
            let topic = v5::Publish::builder().topic_name(message.topic.as_str())?;
            let sized = topic
                .qos(qos(message.qos))
                .retain(message.retain)
                .payload(&message.payload[..]);
            sized
                .packet_id(*packet_id)
                .props(publish_properties(&message.properties)?)
                .build()?
                .to_continuous_buffer()
        }
        Outgoing::Puback { packet_id, code } => {
            let code =
                PubackReasonCode::try_from(*code).unwrap_or(PubackReasonCode::UnspecifiedError);
            v5::Puback::builder()
                .packet_id(*packet_id)
                .reason_code(code)
                .build()?
                .to_continuous_buffer()
        }
        Outgoing::Suback { packet_id, codes } => {
            let code = |code: &u8| {
                SubackReasonCode::try_from(*code).unwrap_or(SubackReasonCode::UnspecifiedError)
            };
            let codes = codes.iter().map(code).collect();
            v5::Suback::builder()
                .packet_id(*packet_id)
                .reason_codes(codes)
                .build()?
                .to_continuous_buffer()
        }
        Outgoing::Unsuback { packet_id, codes } => {
            let code = |code: &u8| {
                UnsubackReasonCode::try_from(*code).unwrap_or(UnsubackReasonCode::UnspecifiedError)
            };
            let codes = codes.iter().map(code).collect();
            v5::Unsuback::builder()
                .packet_id(*packet_id)
                .reason_codes(codes)
                .build()?
                .to_continuous_buffer()
        }
        Outgoing::PingResponse => v5::Pingresp::new().to_continuous_buffer(),
        Outgoing::Disconnect { reason } => {
            let code = DisconnectReasonCode::try_from(*reason)
                .unwrap_or(DisconnectReasonCode::UnspecifiedError);
            v5::Disconnect::builder()
                .reason_code(code)
                .build()?
                .to_continuous_buffer()
        }
    })
}

fn connect_v5(packet: &v5::Connect) -> Connect {
    let will = packet.will_topic().map(|topic| CloudMessage {
        topic: topic.to_owned(),
        payload: Bytes::copy_from_slice(packet.will_payload().unwrap_or_default()),
        qos: packet.will_qos() as u8,
        retain: packet.will_retain(),
        properties: properties(packet.will_props()),
    });
    let receive_maximum = |p: &Property| {
        if let Property::ReceiveMaximum(p) = p {
            Some(p.val())
        } else {
            None
        }
    };
    Connect {
        version: Version::V5,
        client_id: packet.client_id().to_owned(),
        clean_start: packet.clean_start(),
        keep_alive: packet.keep_alive(),
        session_expiry: session_expiry(packet.props()),
        receive_maximum: find(packet.props(), receive_maximum),
        username: packet.user_name().map(str::to_owned),
        will,
    }
}

fn published(
    message: CloudMessage,
    qos: Qos,
    retain: bool,
    dup: bool,
    packet_id: Option<u16>,
    alias: Option<u16>,
) -> Publish {
    Publish {
        message: CloudMessage {
            qos: qos as u8,
            retain,
            ..message
        },
        dup,
        packet_id,
        alias,
    }
}

fn connack_properties(terms: &Terms) -> Result<wire::Properties, MqttError> {
    let mut properties = vec![
        Property::SessionExpiryInterval(wire::SessionExpiryInterval::new(terms.session_expiry)?),
        Property::ReceiveMaximum(wire::ReceiveMaximum::new(terms.receive_maximum)?),
        Property::MaximumQos(wire::MaximumQos::new(1)?),
        Property::RetainAvailable(wire::RetainAvailable::new(1)?),
        Property::MaximumPacketSize(wire::MaximumPacketSize::new(terms.maximum_packet)?),
        Property::TopicAliasMaximum(wire::TopicAliasMaximum::new(terms.topic_aliases)?),
        Property::WildcardSubscriptionAvailable(wire::WildcardSubscriptionAvailable::new(1)?),
        Property::SubscriptionIdentifierAvailable(wire::SubscriptionIdentifierAvailable::new(0)?),
        Property::SharedSubscriptionAvailable(wire::SharedSubscriptionAvailable::new(1)?),
        Property::ServerKeepAlive(wire::ServerKeepAlive::new(terms.keep_alive)?),
    ];
    if let Some(id) = &terms.assigned_client_id {
        properties.push(Property::AssignedClientIdentifier(
            wire::AssignedClientIdentifier::new(id)?,
        ));
    }
    Ok(properties)
}

fn publish_properties(from: &Properties) -> Result<wire::Properties, MqttError> {
    let mut properties = wire::Properties::new();
    if let Some(format) = from.payload_format {
        let format = if format == 1 {
            wire::PayloadFormat::String
        } else {
            wire::PayloadFormat::Binary
        };
        properties.push(Property::PayloadFormatIndicator(
            wire::PayloadFormatIndicator::new(format)?,
        ));
    }
    if let Some(seconds) = from.message_expiry {
        properties.push(Property::MessageExpiryInterval(
            wire::MessageExpiryInterval::new(seconds)?,
        ));
    }
    if let Some(content) = &from.content_type {
        properties.push(Property::ContentType(wire::ContentType::new(content)?));
    }
    if let Some(topic) = &from.response_topic {
        properties.push(Property::ResponseTopic(wire::ResponseTopic::new(topic)?));
    }
    if let Some(data) = &from.correlation_data {
        properties.push(Property::CorrelationData(wire::CorrelationData::new(
            data.to_vec(),
        )?));
    }
    for (key, value) in &from.user {
        properties.push(Property::UserProperty(wire::UserProperty::new(key, value)?));
    }
    Ok(properties)
}

fn properties(from: &wire::Properties) -> Properties {
    let mut properties = Properties::default();
    for property in from {
        match property {
            Property::PayloadFormatIndicator(p) => properties.payload_format = Some(p.val()),
            Property::MessageExpiryInterval(p) => properties.message_expiry = Some(p.val()),
            Property::ContentType(p) => properties.content_type = Some(p.val().to_owned()),
            Property::ResponseTopic(p) => properties.response_topic = Some(p.val().to_owned()),
            Property::CorrelationData(p) => {
                properties.correlation_data = Some(Bytes::copy_from_slice(p.val()))
            }
            Property::UserProperty(p) => properties
                .user
                .push((p.key().to_owned(), p.val().to_owned())),
            _ => {}
        }
    }
    properties
}

fn session_expiry(properties: &wire::Properties) -> Option<u32> {
    find(properties, |p| {
        if let Property::SessionExpiryInterval(p) = p {
            Some(p.val())
        } else {
            None
        }
    })
}

fn find<T>(properties: &wire::Properties, which: impl Fn(&Property) -> Option<T>) -> Option<T> {
    properties.iter().find_map(which)
}

fn qos(level: u8) -> Qos {
    if level == 0 {
        Qos::AtMostOnce
    } else {
        Qos::AtLeastOnce
    }
}

fn broken(error: MqttError) -> Broken {
    let code = match error {
        MqttError::ProtocolError => 0x82,
        MqttError::UnsupportedProtocolVersion => 0x84,
        MqttError::ClientIdentifierNotValid => 0x85,
        _ => 0x81,
    };
    Broken {
        code,
        reason: format!("not MQTT: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<Incoming>, Broken> {
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

    #[test]
    fn no_bytes_make_it_panic() {
        // A small linear congruential generator: the same bytes in every run.
        let mut state = 1_u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|at| if at == 1 { 20 } else { byte() })
                .collect();
            let _ = decode(&bytes);
            let mut five = Decoder {
                version: Version::V5,
                largest: 1024,
            };
            let _ = five.decode(&mut BytesMut::from(&bytes[..]));
        }
    }

    #[test]
    fn an_unknown_code_of_connack_is_sent_as_it_is() {
        let connack = Outgoing::Connack {
            code: 7,
            session_present: false,
            terms: None,
        };
        assert_eq!(encode(Version::V311, &connack), [0x20, 0x02, 0x00, 0x07]);
    }
}
