//! What an error of the MQTT client means, in our own words.

use rumqttc::v5::mqttbytes::v5::DisconnectReasonCode;

use crate::net::{Class, Ending};
use crate::text::shortened;
use crate::transient;

/// What the cloud says goes to the log in one short line.
const LONGEST_REASON: usize = 100;

/// What the client knows of an end.
#[derive(Debug)]
pub enum Fault {
    Ended(Ending),
    /// Its socket was closed: the relay knows why.
    Cut,
}

pub fn v4(error: &rumqttc::ConnectionError) -> Fault {
    use rumqttc::mqttbytes::Error as CodecError;
    use rumqttc::{ConnectReturnCode, ConnectionError, StateError};
    Fault::Ended(match error {
        ConnectionError::MqttState(
            StateError::ConnectionAborted
            | StateError::Io(_)
            | StateError::Deserialization(CodecError::Io(_)),
        ) => return Fault::Cut,
        ConnectionError::ConnectionRefused(code) => {
            refused(code, [ConnectReturnCode::ServiceUnavailable].contains(code))
        }
        ConnectionError::MqttState(StateError::Deserialization(
            CodecError::InvalidConnectReturnCode(code),
        )) => refused(&format_args!("return code {code}"), false),
        ConnectionError::MqttState(StateError::AwaitPingResp) => no_ping_response(),
        ConnectionError::NetworkTimeout => no_connack(),
        ConnectionError::FlushTimeout => stalled(),
        ConnectionError::NotConnAck(_) => no_connack_but_another(),
        ConnectionError::Io(error) => no_relay(error),
        error => Ending::new(Class::Protocol, error.to_string()),
    })
}

pub fn v5(error: &rumqttc::v5::ConnectionError) -> Fault {
    use rumqttc::v5::mqttbytes::Error as CodecError;
    use rumqttc::v5::mqttbytes::v5::ConnectReturnCode::{
        ConnectionRateExceeded, QuotaExceeded, ServerBusy, ServerMoved, ServerUnavailable,
        UseAnotherServer,
    };
    use rumqttc::v5::{ConnectionError, StateError};
    Fault::Ended(match error {
        ConnectionError::MqttState(
            StateError::ConnectionAborted
            | StateError::Io(_)
            | StateError::Deserialization(CodecError::Io(_)),
        ) => return Fault::Cut,
        ConnectionError::ConnectionRefused(code) => {
            let of_the_server = [
                ConnectionRateExceeded,
                QuotaExceeded,
                ServerBusy,
                ServerMoved,
                ServerUnavailable,
                UseAnotherServer,
            ];
            refused(code, of_the_server.contains(code))
        }
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code,
            reason_string,
        }) => disconnected(*reason_code, reason_string.as_deref()),
        ConnectionError::MqttState(StateError::AwaitPingResp) => no_ping_response(),
        ConnectionError::Timeout(_) => no_connack(),
        ConnectionError::NotConnAck(_) => no_connack_but_another(),
        ConnectionError::Io(error) => no_relay(error),
        error => Ending::new(Class::Protocol, error.to_string()),
    })
}

/// `of_the_server`: the refusal is about its own state, and would meet any certificate.
fn refused(code: &impl std::fmt::Debug, of_the_server: bool) -> Ending {
    let ending = Ending::new(Class::Refused, format!("CONNACK {code:?}"));
    Ending {
        certificate: !of_the_server,
        ..ending
    }
}

fn no_connack() -> Ending {
    // TLS stands, so the broker has seen our certificate.
    Ending {
        certificate: true,
        ..Ending::new(Class::Timeout, "no CONNACK within 30 s")
    }
}

/// The client's own words for it hold the whole packet, payload and all.
fn no_connack_but_another() -> Ending {
    Ending::new(Class::Protocol, "the broker's first packet is no CONNACK")
}

fn no_ping_response() -> Ending {
    Ending::new(Class::KeepAlive, "PINGREQ was not answered")
}

pub fn stalled() -> Ending {
    Ending::new(Class::Network, "nothing could be written for 30 s")
}

/// The client did not reach the relay, which is on this machine.
pub fn no_relay(error: &std::io::Error) -> Ending {
    let class = if transient::is_transient(error) {
        Class::Shortage
    } else {
        Class::Network
    };
    Ending::new(class, format!("no socket for the MQTT client: {error}"))
}

fn disconnected(code: DisconnectReasonCode, text: Option<&str>) -> Ending {
    let text = text
        .map(|text| format!(" ({:?})", shortened(text, LONGEST_REASON)))
        .unwrap_or_default();
    match code {
        DisconnectReasonCode::SessionTakenOver => Ending::new(
            Class::TakenOver,
            format!("another client connected with our client id{text}"),
        ),
        DisconnectReasonCode::KeepAliveTimeout => Ending::new(
            Class::KeepAlive,
            format!("the broker did not hear from us in time{text}"),
        ),
        code => {
            let ending = Ending::new(Class::Server, format!("DISCONNECT {code:?}{text}"));
            if is_about_a_packet(code) {
                ending.blaming_us()
            } else {
                ending
            }
        }
    }
}

/// Whether MQTT 5 gives this reason for a packet that the client sent.
fn is_about_a_packet(code: DisconnectReasonCode) -> bool {
    use DisconnectReasonCode::{
        ImplementationSpecificError, MalformedPacket, NotAuthorized, PacketTooLarge,
        PayloadFormatInvalid, ProtocolError, QoSNotSupported, QuotaExceeded, RetainNotSupported,
        TopicNameInvalid, UnspecifiedError,
    };
    [
        ImplementationSpecificError,
        MalformedPacket,
        NotAuthorized,
        PacketTooLarge,
        PayloadFormatInvalid,
        ProtocolError,
        QoSNotSupported,
        QuotaExceeded,
        RetainNotSupported,
        TopicNameInvalid,
        UnspecifiedError,
    ]
    .contains(&code)
}
