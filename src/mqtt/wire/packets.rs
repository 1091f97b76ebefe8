//! Pure: what both protocol versions say, in types of ours, and the bounds of both.

use crate::mqtt::message::Message;
use crate::mqtt::publish_error::RefusalClass;

/// Requests that fit between us and the event loop: more than the window of publishes and all
/// SUBSCRIBE packets together, so that handing one over never fails while the loop lives.
pub const REQUESTS: usize = 512;
/// Packet ids that the client uses at most, in turn. Many more than our window, so that one missing
/// PUBACK does not make the ids collide soon; an MQTT 5 broker's Receive Maximum lowers it.
pub const PACKET_IDS: u16 = 1000;
/// The largest packet either way: 128 KiB of payload, with room for topic and properties.
pub const LARGEST_PACKET: u32 = 256 * 1024;
/// Messages that an MQTT 5 broker may have unacknowledged on a connection on which readers take their
/// time: 4 MiB if all are as large as AWS IoT Core allows.
pub const RECEIVE_MAXIMUM: u16 = 32;
/// For CONNACK, and for each write to the relay on MQTT 3.1.1.
pub const CONNECTION_TIMEOUT_S: u64 = 30;

/// What happened on the connection.
#[derive(Debug)]
pub enum Seen {
    Connected(Connack),
    /// The oldest QoS 1 publish handed over got this packet id.
    Sent(u16),
    /// The oldest QoS 0 publish handed over is written to the relay.
    Written,
    Acknowledged(u16, Ack),
    SubscribeSent(u16),
    /// One entry a filter: `Err` holds the refusal in words.
    Subscribed(u16, Vec<Result<(), String>>),
    /// With its packet id; QoS 0 has none.
    Received(Message, Option<u16>),
    /// The oldest acknowledgement handed over is on its way.
    AcknowledgementSent,
    PingSent,
    PingAnswered,
    DisconnectSent,
    Nothing,
}

impl Seen {
    /// Whether it came from the broker.
    pub fn is_incoming(&self) -> bool {
        match self {
            Seen::Connected(_)
            | Seen::Acknowledged(..)
            | Seen::Subscribed(..)
            | Seen::Received(..)
            | Seen::PingAnswered => true,
            Seen::Sent(_)
            | Seen::Written
            | Seen::SubscribeSent(_)
            | Seen::AcknowledgementSent
            | Seen::PingSent
            | Seen::DisconnectSent
            | Seen::Nothing => false,
        }
    }
}

/// What the broker said in CONNACK. MQTT 3.1.1 says nothing but `session_present`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connack {
    pub session_present: bool,
    pub receive_maximum: Option<u16>,
    /// Seconds for which it keeps our session, where they are not what we asked for.
    pub session_expiry: Option<u32>,
    pub maximum_packet_size: Option<u32>,
}

/// Who acknowledges received messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledging {
    /// The client, before anybody has seen them.
    ByItself,
    /// We, with [`Client::acknowledge`].
    ByHand,
}

/// The broker's answer to a QoS 1 publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    Accepted,
    Refused {
        reason: String,
        refusal: RefusalClass,
    },
}
