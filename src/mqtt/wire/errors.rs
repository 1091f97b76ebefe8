//! What an error of the MQTT client or of TLS means, in our own words.

use std::error::Error;
use std::io;

use rumqttc::v5::mqttbytes::v5::DisconnectReasonCode;
use rustls::{AlertDescription, CertificateError};

use crate::mqtt::failure::{Class, Ending};

/// MQTT 3.1.1 has no word for a refused publish: the broker ends the connection. So every end by the
/// broker may be about a packet of ours.
pub fn v4(error: &rumqttc::ConnectionError, connected: bool) -> Ending {
    let ending = v4_ending(error, connected);
    if ending.class == Class::Server {
        ending.blaming_us()
    } else {
        ending
    }
}

fn v4_ending(error: &rumqttc::ConnectionError, connected: bool) -> Ending {
    use rumqttc::{ConnectionError, StateError};
    match error {
        ConnectionError::ConnectionRefused(code) => refused(format!("{code:?}")),
        ConnectionError::NetworkTimeout => timeout("no CONNACK within 30 s"),
        ConnectionError::FlushTimeout => {
            Ending::new(Class::Network, "nothing could be written for 30 s")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => no_ping_response(),
        ConnectionError::MqttState(StateError::ConnectionAborted) => closed(connected),
        ConnectionError::MqttState(StateError::Deserialization(
            rumqttc::mqttbytes::Error::InvalidConnectReturnCode(code),
        )) => refused(format!("return code {code}")),
        ConnectionError::Tls(_) => by_cause(error, connected, Class::Tls),
        ConnectionError::Io(_) => by_cause(error, connected, Class::Tcp),
        error => by_cause(error, connected, Class::Protocol),
    }
}

pub fn v5(error: &rumqttc::v5::ConnectionError, connected: bool) -> Ending {
    use rumqttc::v5::mqttbytes::Error as CodecError;
    use rumqttc::v5::{ConnectionError, StateError};
    match error {
        ConnectionError::ConnectionRefused(code) => refused(format!("{code:?}")),
        ConnectionError::Timeout(_) => timeout("no CONNACK within 30 s"),
        ConnectionError::MqttState(StateError::AwaitPingResp) => no_ping_response(),
        ConnectionError::MqttState(StateError::ConnectionAborted) => closed(connected),
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code,
            reason_string,
        }) => disconnected(*reason_code, reason_string.as_deref()),
        // The client cuts the chain of causes here, so look behind it.
        ConnectionError::MqttState(StateError::Deserialization(CodecError::Io(cause))) => {
            by_io(cause, connected, Class::Protocol)
        }
        ConnectionError::Tls(_) => by_cause(error, connected, Class::Tls),
        ConnectionError::Io(_) => by_cause(error, connected, Class::Tcp),
        error => by_cause(error, connected, Class::Protocol),
    }
}

fn refused(code: String) -> Ending {
    Ending::new(Class::Refused, format!("CONNACK {code}"))
}

fn timeout(reason: &str) -> Ending {
    Ending::new(Class::Timeout, reason)
}

fn no_ping_response() -> Ending {
    Ending::new(Class::KeepAlive, "PINGREQ was not answered")
}

fn closed(connected: bool) -> Ending {
    if connected {
        Ending::new(Class::Server, "closed by the broker")
    } else {
        Ending::new(
            Class::Refused,
            "closed before CONNACK, the certificate may be inactive or its policy may forbid this client id",
        )
    }
}

fn disconnected(code: DisconnectReasonCode, text: Option<&str>) -> Ending {
    let text = text
        .map(|text| format!(" ({:?})", shortened(text)))
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

/// What the cloud says goes to the log in one short line.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn by_cause(error: &(dyn Error + 'static), connected: bool, otherwise: Class) -> Ending {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return by_io(io, connected, otherwise);
        }
        cause = current.source();
    }
    Ending::new(otherwise, error.to_string())
}

fn by_io(error: &io::Error, connected: bool, otherwise: Class) -> Ending {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    if let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return by_tls(tls);
    }
    match error.kind() {
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
            if otherwise == Class::Tls =>
        {
            Ending::new(Class::Tls, "closed during the TLS handshake")
        }
        UnexpectedEof | ConnectionAborted if otherwise != Class::Tcp => closed(connected),
        ConnectionReset | BrokenPipe if otherwise != Class::Tcp && connected => {
            Ending::new(Class::Server, "reset by the broker")
        }
        ConnectionReset | BrokenPipe if otherwise != Class::Tcp => closed(false),
        TimedOut if connected => Ending::new(Class::Network, error.to_string()),
        TimedOut => Ending::new(Class::Timeout, error.to_string()),
        _ if connected => Ending::new(Class::Network, error.to_string()),
        _ => Ending::new(otherwise, error.to_string()),
    }
}

fn by_tls(error: &rustls::Error) -> Ending {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Ending::new(
            Class::TlsClock,
            "the broker's certificate is not valid yet, is our clock set?",
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Ending::new(Class::TlsCa, "the broker's certificate has expired"),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Ending::new(
            Class::TlsCa,
            "the broker's certificate is not signed by a CA in --cacert",
        ),
        rustls::Error::InvalidCertificate(why) => Ending::new(
            Class::TlsCa,
            format!("the broker's certificate is not accepted: {why}"),
        ),
        rustls::Error::AlertReceived(alert) => by_alert(*alert),
        error => Ending::new(Class::Tls, error.to_string()),
    }
}

fn by_alert(alert: AlertDescription) -> Ending {
    match alert {
        AlertDescription::CertificateExpired => Ending::new(
            Class::TlsCert,
            "the broker says that our certificate has expired",
        ),
        AlertDescription::CertificateRevoked => Ending::new(
            Class::TlsCert,
            "the broker says that our certificate is revoked",
        ),
        AlertDescription::UnknownCA => Ending::new(
            Class::TlsCert,
            "the broker does not know the CA of our certificate",
        ),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError
        | AlertDescription::HandshakeFailure => Ending::new(
            Class::TlsCert,
            format!("the broker refused our certificate: alert {alert:?}"),
        ),
        AlertDescription::NoApplicationProtocol => Ending::new(
            Class::Tls,
            "the broker does not offer x-amzn-mqtt-ca on this port",
        ),
        alert => Ending::new(Class::Tls, format!("alert {alert:?}")),
    }
}
