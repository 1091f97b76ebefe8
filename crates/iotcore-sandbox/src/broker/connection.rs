//! What the broker knows about one connection.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::{Action, Ending};
use crate::access::Arrival;
use crate::packet::{CloudMessage, Outgoing, Version};

/// How long a client without a keep-alive may be silent: practically for ever.
const NO_KEEP_ALIVE: Duration = Duration::from_secs(1 << 30);

pub(super) struct Connection {
    out: mpsc::UnboundedSender<Action>,
    pub kill: Option<oneshot::Sender<Ending>>,
    pub version: Option<Version>,
    /// For whom policies are made, such as the id of the client's certificate; empty before the client has proved it.
    pub identity: Arc<str>,
    /// `None` before the TLS handshake and the upgrade.
    pub arrival: Option<Arrival>,
    /// Set when the CONNECT was accepted.
    pub client_id: Option<Arc<str>>,
    pub keep_alive: Duration,
    /// When the connection is closed unless a packet arrives before.
    pub silence_limit: Instant,
    /// When the authoriser wants it to end.
    pub expiry: Option<Instant>,
    pub will: Option<CloudMessage>,
    /// How many deliveries may be unacknowledged.
    pub window: usize,
    pub aliases: HashMap<u16, String>,
    /// Packets received, CONNECT included.
    pub packets: u64,
    pub publishes: u64,
    /// Which PUBLISH, of all and of this connection, is being handled.
    pub publish_numbers: Option<(u64, u64)>,
    /// And its topic.
    pub publish_topic: Option<String>,
    /// Packet ids of the client that the broker has not acknowledged.
    pub unacknowledged: HashSet<u16>,
    /// PUBACKs that are held back until there are `hold` of them.
    pub held: Vec<Outgoing>,
    pub hold: usize,
    pub delayed: Vec<(Instant, Outgoing)>,
    /// The start of the current second, and the publishes in it.
    pub rate: Option<(Instant, u32)>,
    /// The fault script has silenced it: it is read and never answered.
    pub silent: bool,
    /// Why it has ended, if it has.
    pub ended: Option<String>,
}

impl Connection {
    pub(super) fn new(
        out: mpsc::UnboundedSender<Action>,
        kill: oneshot::Sender<Ending>,
        silence_limit: Instant,
    ) -> Connection {
        Connection {
            out,
            kill: Some(kill),
            version: None,
            identity: "".into(),
            arrival: None,
            client_id: None,
            keep_alive: Duration::ZERO,
            silence_limit,
            expiry: None,
            will: None,
            window: 0,
            aliases: HashMap::new(),
            packets: 0,
            publishes: 0,
            publish_numbers: None,
            publish_topic: None,
            unacknowledged: HashSet::new(),
            held: Vec::new(),
            hold: 0,
            delayed: Vec::new(),
            rate: None,
            silent: false,
            ended: None,
        }
    }

    pub(super) fn client(&self) -> Option<Arc<str>> {
        self.client_id.clone()
    }

    pub(super) fn speaks(&self, version: Version) -> bool {
        self.version == Some(version)
    }

    /// A packet arrived: the keep-alive interval starts again.
    pub(super) fn heard(&mut self, speed: f64, now: Instant) {
        let silence_limit = match self.keep_alive {
            Duration::ZERO => NO_KEEP_ALIVE,
            keep_alive => keep_alive * 3 / 2,
        };
        self.silence_limit = now + silence_limit.div_f64(speed);
    }

    /// Puts a packet into the outbox, unless the connection has ended, is silent, or its protocol version is unknown.
    pub(super) fn send(&self, packet: Outgoing) {
        if let Some(version) = self
            .version
            .filter(|_| !self.silent && self.ended.is_none())
        {
            // The task may have ended already; then the packet is not needed.
            let _ = self.out.send(Action::Send(version, Box::new(packet)));
        }
    }

    pub(super) fn end(&mut self, why: &str, how: Ending) {
        self.ended = Some(why.to_owned());
        let _ = self.out.send(Action::End(how));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let delayed = self.delayed.iter().map(|(due, _)| *due).min();
        let silence_limit = (!self.silent).then_some(self.silence_limit);
        let expiry = self.expiry.filter(|_| !self.silent);
        [delayed, silence_limit, expiry].into_iter().flatten().min()
    }

    pub(super) fn send_delayed(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition(|(due, _)| *due <= now);
        self.delayed = later;
        let due: Vec<(Instant, Outgoing)> = due;
        for (_, packet) in due {
            if let Outgoing::Puback { packet_id, .. } = &packet {
                self.unacknowledged.remove(packet_id);
            }
            self.send(packet);
        }
    }

    /// Whether one more publish is within `limit` per second.
    pub(super) fn within_rate(&mut self, limit: u32, now: Instant) -> bool {
        let (began, count) = self
            .rate
            .filter(|(began, _)| now < *began + Duration::from_secs(1))
            .unwrap_or((now, 0));
        self.rate = Some((began, count + 1));
        count < limit
    }
}
