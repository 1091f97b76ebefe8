//! Encodes the packets of the broker to bytes.

use mqtt_protocol_core::mqtt::packet::{Qos, v3_1_1 as v3, v5_0 as v5};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, MqttError, PubackReasonCode,
    SubackReasonCode, SubackReturnCode, UnsubackReasonCode,
};

use super::properties::{connack_properties, publish_properties};
use crate::packet::{Outgoing, Version};

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
            // AWS is known to send codes that the specification does not have.
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
            properties,
        } => {
            let code =
                ConnectReasonCode::try_from(*code).unwrap_or(ConnectReasonCode::UnspecifiedError);
            let connack = v5::Connack::builder()
                .session_present(*session_present)
                .reason_code(code);
            connack
                .props(
                    properties
                        .as_ref()
                        .map_or(Ok(Vec::new()), connack_properties)?,
                )
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
        Outgoing::Puback { packet_id, code: 0 } => v5::Puback::builder()
            .packet_id(*packet_id)
            .build()?
            .to_continuous_buffer(),
        Outgoing::Puback { packet_id, code } => {
            let code =
                PubackReasonCode::try_from(*code).unwrap_or(PubackReasonCode::UnspecifiedError);
            let puback = v5::Puback::builder()
                .packet_id(*packet_id)
                .reason_code(code);
            // The specification lets an empty list of properties be left out; some clients need it.
            puback.props(Vec::new()).build()?.to_continuous_buffer()
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
                .props(Vec::new())
                .build()?
                .to_continuous_buffer()
        }
    })
}

fn qos(level: u8) -> Qos {
    if level == 0 {
        Qos::AtMostOnce
    } else {
        Qos::AtLeastOnce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_of_connack_is_sent_as_it_is() {
        let connack = Outgoing::Connack {
            code: 7,
            session_present: false,
            properties: None,
        };
        assert_eq!(encode(Version::V311, &connack), [0x20, 0x02, 0x00, 0x07]);
    }

    #[test]
    fn mqtt_3_has_no_disconnect() {
        assert!(encode(Version::V311, &Outgoing::Disconnect { reason: 0x8e }).is_empty());
        assert_eq!(
            encode(Version::V5, &Outgoing::Disconnect { reason: 0x8e }),
            [0xe0, 0x02, 0x8e, 0x00]
        );
    }

    #[test]
    fn a_puback_of_mqtt_5_is_short_when_all_is_well() {
        let puback = |code| encode(Version::V5, &Outgoing::Puback { packet_id: 7, code });
        assert_eq!(puback(0), [0x40, 0x02, 0x00, 0x07]);
        assert_eq!(puback(0x87), [0x40, 0x04, 0x00, 0x07, 0x87, 0x00]);
    }
}
