//! Pure: the record of what the broker has received and done, for tests and for people.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::access::{AuthorizerCall, Proof, Transport};
use crate::cloud::provisioning::ProvisioningEvent;
use crate::cloud::shadow::ShadowEvent;
use crate::packet::{CloudMessage, Properties, Version};

/// One event. The events of one sandbox are in order.
#[derive(Clone, Debug)]
pub struct Record {
    /// Counts from 1, without gaps.
    pub sequence: u64,
    pub at: Instant,
    /// Which connection since the start, counting from 1; `None` if the event belongs to none.
    pub connection: Option<u64>,
    /// The client id, once the connection has sent its CONNECT.
    pub client_id: Option<Arc<str>>,
    pub event: Event,
}

/// What happened. Events named "sent" are recorded right before the packet is written to the socket, so that nothing
/// that a client does because of a packet can be recorded before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    ConnectionOpened,
    TlsFailed {
        reason: String,
    },
    TlsEstablished {
        sni: Option<String>,
        alpn: Option<String>,
        /// `None` if the client was not asked for one.
        certificate_id: Option<String>,
    },
    /// A request to upgrade to WebSocket was answered.
    Upgrade {
        path: String,
        /// The names of the parameters in the query, in order. Their values are left out: they are secrets.
        parameters: Vec<String>,
        /// 101 if it was accepted.
        status: u16,
        /// Why it was refused.
        refused: Option<String>,
    },
    /// A custom authoriser was asked about a client.
    Authorizer(AuthorizerCall),
    /// The credential provider was asked for a temporary access key.
    CredentialsRequested {
        /// `None` if the path names none.
        alias: Option<String>,
        thing: Option<String>,
        certificate_id: String,
        /// 200 if it was given.
        status: u16,
        /// Why it was not given.
        refused: Option<String>,
        access_key_id: Option<String>,
    },
    /// A client has proved who it is: after the TLS handshake, the upgrade to WebSocket, or the CONNECT.
    Admitted {
        transport: Transport,
        proof: Proof,
        /// For whom policies are made.
        identity: String,
    },
    Connect {
        version: Version,
        clean_start: bool,
        /// Seconds, as the client requested.
        keep_alive: u16,
        /// Seconds, as the client requested.
        session_expiry: Option<u32>,
        will: Option<CloudMessage>,
        /// Without what follows a question mark, if an authoriser decides: that may be secret.
        username: Option<String>,
    },
    ConnackSent {
        code: u8,
        session_present: bool,
    },
    /// A publish was accepted. Its PUBACK is another event.
    Publish(Received),
    PublishRefused {
        topic: String,
        reason: String,
    },
    PubackSent {
        packet_id: u16,
        code: u8,
    },
    /// No PUBACK will be sent for this publish on this connection.
    PubackWithheld {
        packet_id: u16,
        reason: String,
    },
    Subscribe {
        /// Filters and requested QoS.
        filters: Vec<(String, u8)>,
    },
    SubackSent {
        codes: Vec<u8>,
    },
    Unsubscribe {
        filters: Vec<String>,
    },
    UnsubackSent {
        codes: Vec<u8>,
    },
    Delivered {
        topic: String,
        packet_id: Option<u16>,
        qos: u8,
    },
    PubackReceived {
        packet_id: u16,
    },
    PingRequest,
    PingResponse,
    DisconnectReceived {
        reason: u8,
    },
    DisconnectSent {
        reason: u8,
    },
    WillPublished {
        topic: String,
        payload: Bytes,
    },
    Closed {
        why: String,
    },
    /// A request to a shadow, or something published about one.
    Shadow(ShadowEvent),
    /// A request to fleet provisioning, or a result of one.
    Provisioning(ProvisioningEvent),
    /// A file of a shadow is invalid, or cannot be written. It is not replaced until it is corrected.
    ShadowFile {
        file: PathBuf,
        why: String,
    },
}

/// A publish of a client that the broker accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    /// `None` for QoS 0.
    pub packet_id: Option<u16>,
    pub client_id: String,
    pub properties: Properties,
    pub connection: u64,
}

impl Received {
    /// The payload as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.event)?;
        match (&self.client_id, self.connection) {
            _ if self.event.names_its_client() => Ok(()),
            (Some(client), Some(connection)) => write!(f, " [{client}, connection {connection}]"),
            (None, Some(connection)) => write!(f, " [connection {connection}]"),
            (_, None) => Ok(()),
        }
    }
}

impl Event {
    /// Whether the text of the event names its client.
    fn names_its_client(&self) -> bool {
        matches!(
            self,
            Event::Publish(_) | Event::Shadow(_) | Event::Provisioning(_)
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::ConnectionOpened => write!(f, "connection opened"),
            Event::TlsFailed { reason } => write!(f, "TLS failed: {reason}"),
            Event::TlsEstablished {
                sni,
                alpn,
                certificate_id,
            } => {
                match certificate_id {
                    Some(id) => write!(f, "TLS established with certificate {id}")?,
                    None => write!(f, "TLS established without a certificate")?,
                }
                write!(f, " (name {}, ALPN {})", or_none(sni), or_none(alpn))
            }
            Event::Upgrade {
                path,
                status,
                refused,
                ..
            } => {
                write!(f, "upgrade of {path} to WebSocket: {status}")?;
                refused.as_ref().map_or(Ok(()), |why| write!(f, ", {why}"))
            }
            Event::Authorizer(call) => call.fmt(f),
            Event::CredentialsRequested {
                alias,
                status,
                refused,
                access_key_id,
                ..
            } => {
                write!(
                    f,
                    "credentials of role alias {} requested: ",
                    or_none(alias)
                )?;
                match (access_key_id, refused) {
                    (Some(id), _) => write!(f, "access key {id}"),
                    (None, Some(why)) => write!(f, "{status}, {why}"),
                    (None, None) => write!(f, "{status}"),
                }
            }
            Event::Admitted {
                transport,
                proof,
                identity,
            } => write!(f, "admitted {identity} by {proof} over {transport}"),
            Event::Connect {
                version,
                clean_start,
                keep_alive,
                will,
                ..
            } => {
                write!(
                    f,
                    "CONNECT {version}, clean {clean_start}, keep-alive {keep_alive} s"
                )?;
                will.as_ref()
                    .map_or(Ok(()), |will| write!(f, ", will on {}", will.topic))
            }
            Event::ConnackSent {
                code,
                session_present,
            } => {
                write!(f, "CONNACK {code:#04x}, session present {session_present}")
            }
            Event::Publish(received) => received.fmt(f),
            Event::PublishRefused { topic, reason } => {
                write!(f, "refused to publish to {topic}: {reason}")
            }
            Event::PubackSent { packet_id, code } => {
                write!(f, "PUBACK {packet_id} with {code:#04x}")
            }
            Event::PubackWithheld { packet_id, reason } => {
                write!(f, "no PUBACK {packet_id}: {reason}")
            }
            Event::Subscribe { filters } => {
                let filters: Vec<String> = filters
                    .iter()
                    .map(|(filter, qos)| format!("{filter} (QoS {qos})"))
                    .collect();
                write!(f, "SUBSCRIBE {}", filters.join(", "))
            }
            Event::SubackSent { codes } => write!(f, "SUBACK {codes:02x?}"),
            Event::Unsubscribe { filters } => write!(f, "UNSUBSCRIBE {}", filters.join(", ")),
            Event::UnsubackSent { codes } => write!(f, "UNSUBACK {codes:02x?}"),
            Event::Delivered { topic, qos, .. } => write!(f, "delivered {topic} (QoS {qos})"),
            Event::PubackReceived { packet_id } => write!(f, "PUBACK {packet_id} received"),
            Event::PingRequest => write!(f, "PINGREQ"),
            Event::PingResponse => write!(f, "PINGRESP"),
            Event::DisconnectReceived { reason } => write!(f, "DISCONNECT {reason:#04x} received"),
            Event::DisconnectSent { reason } => write!(f, "DISCONNECT {reason:#04x} sent"),
            Event::WillPublished { topic, payload } => {
                write!(f, "will published to {topic}: {}", PayloadText(payload))
            }
            Event::Shadow(event) => event.fmt(f),
            Event::Provisioning(event) => event.fmt(f),
            Event::ShadowFile { file, why } => write!(f, "ignored {}: {why}", file.display()),
            Event::Closed { why } => write!(f, "connection closed: {why}"),
        }
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Received {
            topic,
            payload,
            qos,
            client_id,
            ..
        } = self;
        write!(
            f,
            "published to {topic}: {} (QoS {qos}, from {client_id})",
            PayloadText(payload)
        )
    }
}

/// A payload on one line: text unchanged, anything else as its length.
struct PayloadText<'a>(&'a [u8]);

impl fmt::Display for PayloadText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if !text.contains(|c: char| c.is_control()) => write!(f, "{text}"),
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => write!(f, "{} bytes", self.0.len()),
        }
    }
}

fn or_none(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_one_plain_line() {
        let received = Received {
            topic: "a/b".to_owned(),
            payload: Bytes::from_static(b"{\"t\":20}"),
            qos: 1,
            retain: false,
            dup: false,
            packet_id: Some(1),
            client_id: "pump".to_owned(),
            properties: Properties::default(),
            connection: 1,
        };
        assert_eq!(
            received.to_string(),
            "published to a/b: {\"t\":20} (QoS 1, from pump)"
        );
    }

    #[test]
    fn a_payload_that_is_no_text_is_its_length() {
        assert_eq!(PayloadText(&[0xff, 0xfe]).to_string(), "2 bytes");
        assert_eq!(PayloadText(b"two\nlines").to_string(), "\"two\\nlines\"");
    }
}
