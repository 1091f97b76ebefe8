//! One connection's client and event loop behind one pair of types for both protocol versions.
//! A pair serves one connection and is then dropped: its own reconnecting loses messages.

mod errors;
mod packets;
mod v4;
mod v5;

use anyhow::Result;

use super::access::Login;
use super::message::{Publish, QoS};
use super::options::{ConnectionOptions, Version};

pub use errors::{Fault, no_relay, stalled};
pub use packets::{Ack, Acknowledging, Connack, PACKET_IDS, Seen};

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
    login: Option<Login>,
    acknowledging: Acknowledging,
    socket: &str,
) -> (Client, Events) {
    match options.version {
        Version::V311 => {
            let (client, events) = v4::open(options, login, acknowledging, socket);
            (Client::V4(client), Events::V4(Box::new(events)))
        }
        Version::V5 => {
            let (client, events) = v5::open(options, login, acknowledging, socket);
            (Client::V5(client), Events::V5(Box::new(events)))
        }
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
