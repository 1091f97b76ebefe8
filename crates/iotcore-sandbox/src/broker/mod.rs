//! What AWS IoT Core does with the packets of its clients. Its inputs are facts (a connection was opened, a packet arrived,
//! time has passed); its outputs go to the outboxes of the connections. It knows no socket and reads no clock.

mod admit;
mod clock;
mod connect;
mod connection;
mod deliver;
mod end;
mod puback;
mod publish;
mod service;
mod session;
mod subscribe;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use clock::Clock;
pub use clock::Moment;
pub use end::Cut;
pub(crate) use end::Ending;
pub use service::Service;

use crate::access::Access;
use crate::codec::DecodeError;
use crate::faults::{Facts, FaultScript, Stage, What};
use crate::journal::Journal;
use crate::limits::Limits;
use crate::packet::{CloudMessage, Incoming, Outgoing, Version};
use crate::policy::Policies;
use crate::record::Event;
use connection::Connection;
use session::Session;

/// A connection that has not sent its CONNECT in this time is closed.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// What the task of a connection does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send(Version, Box<Outgoing>),
    End(Ending),
}

/// A new connection, as its task gets it.
pub(crate) struct OpenedConnection {
    pub number: u64,
    pub fault: Option<What>,
    /// Unbounded: each packet of a client puts a few entries in, and QoS 1 deliveries are limited by their window. A
    /// client that does not read is closed when a write has waited too long.
    pub outbox: mpsc::UnboundedReceiver<Action>,
    /// Ends the connection at once, whatever waits in the outbox.
    pub kill: oneshot::Receiver<Ending>,
}

pub(crate) struct Broker {
    limits: Limits,
    clock: Clock,
    access: Arc<Access>,
    /// Notified when the deadline of a service may have changed.
    service_deadline_changed: Arc<Notify>,
    journal: Arc<Journal>,
    connections: BTreeMap<u64, Connection>,
    online: BTreeMap<String, u64>,
    sessions: BTreeMap<String, Session>,
    retained: BTreeMap<String, CloudMessage>,
    /// How many messages each shared subscription has delivered.
    turns: HashMap<String, usize>,
    last_connect: HashMap<String, Instant>,
    services: Vec<Box<dyn Service>>,
    opened: u64,
    published: u64,
    generated_ids: u64,
    pub(crate) policies: Policies,
    pub(crate) script: FaultScript,
}

impl Broker {
    pub(crate) fn new(
        limits: Limits,
        clock: Clock,
        access: Arc<Access>,
        services: Vec<Box<dyn Service>>,
        policies: Policies,
        journal: Arc<Journal>,
    ) -> Broker {
        Broker {
            limits,
            clock,
            access,
            service_deadline_changed: Arc::default(),
            journal,
            services,
            connections: BTreeMap::new(),
            online: BTreeMap::new(),
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            turns: HashMap::new(),
            last_connect: HashMap::new(),
            opened: 0,
            published: 0,
            generated_ids: 0,
            policies,
            script: FaultScript::default(),
        }
    }

    /// A socket was accepted.
    pub(crate) fn opened(&mut self, now: Instant) -> OpenedConnection {
        self.opened += 1;
        let number = self.opened;
        let ((out, outbox), (kill, killed)) = (mpsc::unbounded_channel(), oneshot::channel());
        self.connections
            .insert(number, Connection::new(out, kill, now + CONNECT_LIMIT));
        self.journal.write(number, Event::ConnectionOpened);
        let fault = self.script.at(
            Stage::Accepted,
            &Facts {
                connection: number,
                ..Facts::default()
            },
        );
        OpenedConnection {
            number,
            fault,
            outbox,
            kill: killed,
        }
    }

    /// A client sent a packet.
    pub(crate) fn received(&mut self, number: u64, packet: Incoming, now: Instant) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.packets += 1;
        if connection.silent || connection.ended.is_some() {
            return;
        }
        let Some(client) = connection.client() else {
            match packet {
                Incoming::Connect(connect) => self.connect(number, connect, now),
                _ => self.end(number, "a packet before CONNECT", now),
            }
            return self.after_packet(number, now);
        };
        if !matches!(packet, Incoming::Unsubscribe { .. }) {
            connection.heard(self.clock.speed, now);
        }
        self.packet(number, &client, packet, now);
        self.after_packet(number, now);
    }

    fn packet(&mut self, number: u64, client: &str, packet: Incoming, now: Instant) {
        match packet {
            Incoming::Connect(_) => self.reject(number, 0x82, "a second CONNECT", now),
            Incoming::Publish(publish) => self.publish(number, client, publish, now),
            Incoming::Puback { packet_id } => self.acknowledged(number, client, packet_id, now),
            Incoming::Subscribe(subscribe) => self.subscribe(number, client, subscribe, now),
            Incoming::Unsubscribe { packet_id, filters } => {
                self.unsubscribe(number, client, packet_id, filters)
            }
            Incoming::PingRequest => self.ping(number),
            Incoming::Disconnect {
                reason,
                session_expiry,
            } => {
                self.disconnect(number, client, reason, session_expiry, now);
            }
            Incoming::Unsupported(kind) => {
                self.reject(number, 0x82, &format!("AWS does not support {kind}"), now)
            }
        }
    }

    /// A client sent bytes that cannot be decoded.
    pub(crate) fn undecodable(&mut self, number: u64, error: DecodeError, now: Instant) {
        self.refuse_version(number, &error);
        self.reject(number, error.code, &error.reason, now);
    }

    /// When `tick` has something to do for this connection.
    pub(crate) fn deadline(&self, number: u64) -> Option<Instant> {
        let connection = self.connections.get(&number)?;
        if connection.ended.is_some() {
            return None;
        }
        let client = connection.client_id.as_deref();
        let session = client.and_then(|client| self.sessions.get(client));
        let stored = session.and_then(|session| session.deadline(connection.window));
        [connection.deadline(), stored].into_iter().flatten().min()
    }

    /// The deadline of this connection may have come.
    pub(crate) fn tick(&mut self, number: u64, now: Instant) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.send_delayed(now);
        if connection.silent {
            return;
        }
        if connection.expiry.is_some_and(|expiry| now >= expiry) {
            return self.reject(number, 0x87, "the time of the authoriser is over", now);
        }
        if now >= connection.silence_limit {
            return self.reject(
                number,
                0x8d,
                "no packet arrived within one and a half times the keep-alive",
                now,
            );
        }
        self.pump(number, now);
    }

    pub(crate) fn service_deadline_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.service_deadline_changed)
    }

    /// The client ids that are connected.
    pub(crate) fn connected(&self) -> Vec<String> {
        self.online.keys().cloned().collect()
    }

    /// Removes every session; those of connected clients end with their connection.
    pub(crate) fn forget_sessions(&mut self) {
        self.sessions
            .retain(|client, _| self.online.contains_key(client));
        self.sessions
            .values_mut()
            .for_each(|session| session.expiry = Duration::ZERO);
    }

    fn ping(&mut self, number: u64) {
        self.journal.write(number, Event::PingRequest);
        if self.fault(number, Stage::Ping, None) != Some(What::SwallowPingresp) {
            self.send(number, Outgoing::PingResponse);
        }
    }

    /// The fault of the script for a packet of this connection. Without `topic`, that of the PUBLISH is used.
    pub(crate) fn fault(&mut self, number: u64, stage: Stage, topic: Option<&str>) -> Option<What> {
        let connection = self.connections.get(&number)?;
        let facts = Facts {
            connection: number,
            client: connection.client_id.as_deref(),
            topic: topic.or(connection.publish_topic.as_deref()),
            publish: connection.publish_numbers,
        };
        self.script.at(stage, &facts)
    }

    /// Applies the faults that fire after a packet was handled.
    fn after_packet(&mut self, number: u64, now: Instant) {
        let Some(connection) = self
            .connections
            .get(&number)
            .filter(|c| c.ended.is_none() && !c.silent)
        else {
            return;
        };
        match self.fault(number, Stage::Handled(connection.packets), None) {
            Some(What::SilentAfterPackets(_)) => self.silence(number),
            Some(What::CloseAfterPackets(_)) => self.end(number, "closed by the fault script", now),
            Some(What::ResetAfterPackets(_)) => {
                self.end_with(number, "reset by the fault script", Ending::Reset, now)
            }
            Some(What::TakeOver) => {
                self.reject(number, 0x8e, "taken over by the fault script", now)
            }
            _ => {}
        }
        if let Some(connection) = self.connections.get_mut(&number) {
            (connection.publish_numbers, connection.publish_topic) = (None, None);
        }
    }

    fn silence(&mut self, number: u64) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.silent = true;
        }
    }

    fn send(&self, number: u64, packet: Outgoing) {
        if let Some(connection) = self.connections.get(&number) {
            connection.send(packet);
        }
    }

    /// The duration on this machine's clock of a duration on the cloud's clock.
    fn real(&self, cloud: Duration) -> Duration {
        self.clock.real(cloud)
    }
}
