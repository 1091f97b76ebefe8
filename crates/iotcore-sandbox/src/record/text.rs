//! Pure: the record as lines for people.

use std::fmt;

use super::{Event, Received, Record};

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
    use bytes::Bytes;

    use super::*;
    use crate::packet::Properties;

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
