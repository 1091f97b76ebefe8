//! Pure: MQTT packets as the broker uses them, the same for both protocol versions.

use std::fmt;

use bytes::Bytes;

/// The protocol versions that AWS IoT Core speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    V5,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::V311 => write!(f, "MQTT 3.1.1"),
            Version::V5 => write!(f, "MQTT 5"),
        }
    }
}

/// The MQTT 5 properties of a message. Empty for every message of MQTT 3.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub payload_format: Option<u8>,
    /// Seconds.
    pub message_expiry: Option<u32>,
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data: Option<Bytes>,
    /// User properties, in order.
    pub user: Vec<(String, String)>,
}

/// A message of the cloud: one that it publishes, keeps as a retained message, or holds as a client's will.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudMessage {
    pub topic: String,
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
    pub properties: Properties,
    /// The only client that gets it, if it has subscribed to the topic; `None` for all that have.
    pub only_to: Option<String>,
}

impl CloudMessage {
    /// A message of QoS 0, not retained, without properties.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> CloudMessage {
        CloudMessage {
            topic: topic.into(),
            payload: payload.into(),
            ..CloudMessage::default()
        }
    }

    pub fn qos(mut self, qos: u8) -> CloudMessage {
        self.qos = qos;
        self
    }

    /// For this client only, as the answers on topics that many devices share.
    pub fn only_to(mut self, client_id: &str) -> CloudMessage {
        self.only_to = Some(client_id.to_owned());
        self
    }

    /// To be kept as the topic's retained message.
    pub fn retained(mut self) -> CloudMessage {
        self.retain = true;
        self
    }
}

/// What a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Connect(Connect),
    Publish(Publish),
    Puback {
        packet_id: u16,
    },
    Subscribe(Subscribe),
    Unsubscribe {
        packet_id: u16,
        filters: Vec<String>,
    },
    PingRequest,
    Disconnect {
        reason: u8,
        session_expiry: Option<u32>,
    },
    /// A packet that AWS does not support: the QoS 2 handshake, AUTH, or one that only a server sends.
    Unsupported(&'static str),
}

impl Incoming {
    /// The packet id, if it has one.
    pub(crate) fn packet_id(&self) -> Option<u16> {
        match self {
            Incoming::Publish(publish) => publish.packet_id,
            Incoming::Subscribe(subscribe) => Some(subscribe.packet_id),
            Incoming::Puback { packet_id } | Incoming::Unsubscribe { packet_id, .. } => {
                Some(*packet_id)
            }
            Incoming::Connect(_)
            | Incoming::PingRequest
            | Incoming::Disconnect { .. }
            | Incoming::Unsupported(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    pub version: Version,
    pub client_id: String,
    pub clean_start: bool,
    pub keep_alive: u16,
    pub session_expiry: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub username: Option<String>,
    pub password: Option<Bytes>,
    pub will: Option<CloudMessage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub message: CloudMessage,
    pub dup: bool,
    pub packet_id: Option<u16>,
    pub alias: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribe {
    pub packet_id: u16,
    pub identifier: bool,
    /// Topic filter and requested QoS.
    pub filters: Vec<(String, u8)>,
}

/// What the broker sends. Codes are those of the connection's protocol version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Connack {
        code: u8,
        session_present: bool,
        properties: Option<ConnackProperties>,
    },
    Publish {
        packet_id: Option<u16>,
        message: CloudMessage,
    },
    Puback {
        packet_id: u16,
        code: u8,
    },
    Suback {
        packet_id: u16,
        codes: Vec<u8>,
    },
    Unsuback {
        packet_id: u16,
        codes: Vec<u8>,
    },
    PingResponse,
    Disconnect {
        reason: u8,
    },
}

/// The properties of a CONNACK of MQTT 5; 3.1.1 has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnackProperties {
    pub session_expiry: u32,
    pub receive_maximum: u16,
    pub maximum_packet: u32,
    pub topic_aliases: u16,
    pub keep_alive: u16,
    pub assigned_client_id: Option<String>,
}
