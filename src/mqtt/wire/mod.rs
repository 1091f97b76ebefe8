//! One connection's client and event loop behind one pair of types for both protocol versions.
//! A pair serves one connection and is then dropped: its own reconnecting loses messages.

mod errors;
mod v4;
mod v5;

use anyhow::Result;

use super::{ConnectionOptions, Message, Publish, QoS, RefusalClass, Version};

pub use errors::{Fault, no_relay, stalled};

/// Requests that fit between us and the event loop: more than the window of publishes and all
/// SUBSCRIBE packets together, so that handing one over never fails while the loop lives.
const REQUESTS: usize = 512;
/// Packet ids that the client uses at most, in turn. Many more than our window, so that one missing
/// PUBACK does not make the ids collide soon; an MQTT 5 broker's Receive Maximum lowers it.
pub const PACKET_IDS: u16 = 1000;
/// The largest packet either way: 128 KiB of payload, with room for topic and properties.
const LARGEST_PACKET: u32 = 256 * 1024;
/// Messages that an MQTT 5 broker may have unacknowledged on a connection on which readers take their
/// time: 4 MiB if all are as large as AWS IoT Core allows.
const RECEIVE_MAXIMUM: u16 = 32;
/// For CONNACK, and for each write to the relay on MQTT 3.1.1.
const CONNECTION_TIMEOUT_S: u64 = 30;

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

/// Hands packets to the event loop of the same pair.
pub enum Client {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// The event loop. Connects to the relay at the first [`Events::poll`].
pub enum Events {
    V4(Box<rumqttc::EventLoop>),
    V5(Box<rumqttc::v5::EventLoop>),
}

/// Prepares one connection through the relay at `socket`; nothing happens before the first poll.
pub fn open(
    options: &ConnectionOptions,
    acknowledging: Acknowledging,
    socket: &str,
) -> (Client, Events) {
    match options.version {
        Version::V311 => v4::open(options, acknowledging, socket),
        Version::V5 => v5::open(options, acknowledging, socket),
    }
}

impl Client {
    /// `false` when the event loop is gone or its queue is full.
    pub fn publish(&self, publish: Publish) -> bool {
        match self {
            Client::V4(client) => v4::publish(client, publish),
            Client::V5(client) => v5::publish(client, publish),
        }
    }

    /// Subscribes to all filters with one packet.
    pub fn subscribe(&self, filters: &[(String, QoS)]) -> bool {
        match self {
            Client::V4(client) => v4::subscribe(client, filters),
            Client::V5(client) => v5::subscribe(client, filters),
        }
    }

    /// Acknowledges a received message, on a connection that does so by hand.
    pub fn acknowledge(&self, packet_id: u16) -> bool {
        match self {
            Client::V4(client) => v4::acknowledge(client, packet_id),
            Client::V5(client) => v5::acknowledge(client, packet_id),
        }
    }

    pub fn disconnect(&self) -> bool {
        match self {
            Client::V4(client) => client.try_disconnect().is_ok(),
            Client::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Events {
    /// Waits for the next event. Must be awaited to its end: dropping the future half-way may leave
    /// bytes unwritten. After an error the pair is finished.
    pub async fn poll(&mut self) -> Result<Seen, Fault> {
        match self {
            Events::V4(events) => match events.poll().await {
                Ok(event) => Ok(v4::seen(event)),
                Err(error) => Err(errors::v4(&error)),
            },
            Events::V5(events) => match events.poll().await {
                Ok(event) => {
                    v5::heed_keep_alive(&event, &mut events.options);
                    Ok(v5::seen(event))
                }
                Err(error) => Err(errors::v5(&error)),
            },
        }
    }

    /// After an error: events that were seen before it and not handed out yet. Their
    /// acknowledgements are real; what they say of sending is not, nothing was flushed.
    pub fn leftover(&mut self) -> Vec<Seen> {
        match self {
            Events::V4(events) => events.state.events.drain(..).map(v4::seen).collect(),
            Events::V5(events) => events.state.events.drain(..).map(v5::seen).collect(),
        }
    }
}
