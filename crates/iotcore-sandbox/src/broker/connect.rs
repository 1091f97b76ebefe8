//! CONNECT and DISCONNECT: which clients are accepted, which sessions are resumed, and which connections are taken over.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Broker, Session};
use crate::codec::DecodeError;
use crate::faults::{Facts, Stage, What};
use crate::packet::{ConnackProperties, Connect, Outgoing, Version};
use crate::record::Event;
use crate::topic;

/// Why a CONNECT is refused: the code for each version, `None` if MQTT 3.1.1 is closed without an answer.
pub(super) struct ConnectRefusal {
    pub v3: Option<u8>,
    pub v5: u8,
    pub why: Cow<'static, str>,
}

impl Broker {
    pub(super) fn connect(&mut self, number: u64, mut connect: Connect, now: Instant) {
        self.note_connect(number, &connect);
        match self.connect_fault(number, &connect) {
            Some(What::StallConnack) => return self.silence(number),
            Some(What::RefuseConnack(code)) => {
                return self.refuse_connect(number, code, "refused by the fault script", now);
            }
            _ => {}
        }
        let turned_away = self.authorize(number, &connect, now);
        let refusal = turned_away.or_else(|| self.refusal(number, &connect, now));
        if let Some(ConnectRefusal { v3, v5, why }) = refusal {
            return match (connect.version, v3) {
                (Version::V5, _) => self.refuse_connect(number, v5, &why, now),
                (Version::V311, Some(code)) => self.refuse_connect(number, code, &why, now),
                (Version::V311, None) => self.end(number, &why, now),
            };
        }
        let assigned = connect.client_id.is_empty().then(|| self.generate_id());
        if let Some(id) = &assigned {
            connect.client_id.clone_from(id);
            self.journal.name(number, id);
        }
        self.last_connect.insert(connect.client_id.clone(), now);
        if let Some(&other) = self.online.get(&connect.client_id) {
            self.reject(
                other,
                0x8e,
                "taken over by another connection with the same client id",
                now,
            );
        }
        self.accept(number, connect, assigned, now);
    }

    fn note_connect(&mut self, number: u64, connect: &Connect) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.version = Some(connect.version);
        }
        if !connect.client_id.is_empty() {
            self.journal.name(number, &connect.client_id);
        }
        let event = Event::Connect {
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            session_expiry: connect.session_expiry,
            will: connect.will.clone(),
            username: self.plain_username(number, connect),
        };
        self.journal.write(number, event);
    }

    /// A fault may depend on the client id, which the connection has only after it is accepted.
    fn connect_fault(&mut self, number: u64, connect: &Connect) -> Option<What> {
        let client = Some(connect.client_id.as_str());
        let facts = Facts {
            connection: number,
            client,
            topic: None,
            publish: None,
        };
        self.script.at(Stage::Connect, &facts)
    }

    fn refusal(&self, number: u64, connect: &Connect, now: Instant) -> Option<ConnectRefusal> {
        let id = connect.client_id.as_str();
        let identity = &self.connections.get(&number)?.identity;
        let missing = id.is_empty() && connect.version == Version::V311 && !connect.clean_start;
        if missing || id.starts_with('$') || id.len() > self.limits.client_id_length {
            return Some(ConnectRefusal {
                v3: Some(2),
                v5: 0x85,
                why: "the client id is not valid".into(),
            });
        }
        if connect.will.as_ref().is_some_and(|will| will.qos > 1) {
            return Some(ConnectRefusal {
                v3: None,
                v5: 0x9b,
                why: "a will of QoS 2".into(),
            });
        }
        if connect
            .will
            .as_ref()
            .is_some_and(|will| topic::refuse_topic(&will.topic, &self.limits).is_some())
        {
            return Some(ConnectRefusal {
                v3: None,
                v5: 0x90,
                why: "the topic of the will is not valid".into(),
            });
        }
        if self.policies.denies_connect(id, identity) {
            return Some(ConnectRefusal {
                v3: Some(5),
                v5: 0x87,
                why: "policy denies the connection".into(),
            });
        }
        let last = self.last_connect.get(id);
        let throttled = last.is_some_and(|last| {
            now.duration_since(*last) < self.real(self.limits.connect_interval)
        });
        throttled.then_some(ConnectRefusal {
            v3: Some(3),
            v5: 0x97,
            why: "the client connects too often".into(),
        })
    }

    fn refuse_connect(&mut self, number: u64, code: u8, why: &str, now: Instant) {
        self.send(
            number,
            Outgoing::Connack {
                code,
                session_present: false,
                properties: None,
            },
        );
        self.end(number, why, now);
    }

    /// Answers a CONNECT with an unsupported protocol level, with the CONNACK of MQTT 3.1.1.
    pub(super) fn refuse_version(&mut self, number: u64, error: &DecodeError) {
        let Some(connection) = self
            .connections
            .get_mut(&number)
            .filter(|c| c.version.is_none())
        else {
            return;
        };
        if error.code == 0x84 {
            connection.version = Some(Version::V311);
            connection.send(Outgoing::Connack {
                code: 1,
                session_present: false,
                properties: None,
            });
        }
    }

    fn accept(&mut self, number: u64, connect: Connect, assigned: Option<String>, now: Instant) {
        let expiry = self.expiry(&connect);
        let session_present = self.resume(&connect, expiry, now);
        let keep_alive = self.limits.keep_alive(connect.keep_alive);
        let properties = (connect.version == Version::V5)
            .then(|| self.connack_properties(expiry, keep_alive, assigned));
        self.online.insert(connect.client_id.clone(), number);
        let (speed, window) = (self.clock.speed, self.limits.outbound_window);
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let identity = Arc::clone(&connection.identity);
        connection.client_id = Some(connect.client_id.as_str().into());
        connection.keep_alive = keep_alive;
        connection.will = connect.will;
        connection.window = connect
            .receive_maximum
            .map_or(window, |asked| window.min(asked.into()));
        connection.heard(speed, now);
        connection.send(Outgoing::Connack {
            code: 0,
            session_present,
            properties,
        });
        self.tell_services_of(&connect.client_id, &identity);
        self.policies.connected(&connect.client_id, identity);
        self.pump(number, now);
    }

    /// How long the session outlives the connection.
    fn expiry(&self, connect: &Connect) -> Duration {
        let asked = match (connect.version, connect.session_expiry) {
            (Version::V311, _) if connect.clean_start => Duration::ZERO,
            (Version::V311, _) => self.limits.session_expiry,
            (Version::V5, seconds) => Duration::from_secs(seconds.unwrap_or(0).into()),
        };
        asked.min(self.limits.session_expiry)
    }

    /// Finds or creates the session; true if it was found. A session of one protocol version cannot be resumed with the
    /// other.
    fn resume(&mut self, connect: &Connect, expiry: Duration, now: Instant) -> bool {
        let pace = self
            .limits
            .backlog_rate
            .map(|rate| self.real(Duration::from_secs(1) / rate.max(1)));
        let expiry = self.real(expiry);
        let found = self.sessions.remove(&connect.client_id);
        let found = found.filter(|old| {
            !connect.clean_start && old.version == connect.version && !old.expired(now)
        });
        let session_present = found.is_some();
        let mut session = found.unwrap_or_else(|| Session::new(connect.version, expiry));
        session.expiry = expiry;
        session.resume(now, pace);
        self.sessions.insert(connect.client_id.clone(), session);
        session_present
    }

    fn connack_properties(
        &self,
        expiry: Duration,
        keep_alive: Duration,
        assigned_client_id: Option<String>,
    ) -> ConnackProperties {
        ConnackProperties {
            session_expiry: u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX),
            receive_maximum: u16::try_from(self.limits.inbound_window)
                .unwrap_or(u16::MAX)
                .max(1),
            maximum_packet: self.limits.packet.max(1),
            topic_aliases: self.limits.topic_aliases,
            keep_alive: u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX),
            assigned_client_id,
        }
    }

    fn generate_id(&mut self) -> String {
        self.generated_ids += 1;
        format!("$GEN/00000000-0000-4000-8000-{:012x}", self.generated_ids)
    }

    pub(super) fn disconnect(
        &mut self,
        number: u64,
        client: &str,
        reason: u8,
        expiry: Option<u32>,
        now: Instant,
    ) {
        self.journal
            .write(number, Event::DisconnectReceived { reason });
        if let Some(seconds) = expiry {
            let asked = Duration::from_secs(seconds.into()).min(self.limits.session_expiry);
            let asked = self.real(asked);
            let Some(session) = self.sessions.get_mut(client) else {
                return;
            };
            if session.expiry.is_zero() && !asked.is_zero() {
                return self.reject(
                    number,
                    0x82,
                    "DISCONNECT cannot keep a session that ends with its connection",
                    now,
                );
            }
            session.expiry = asked;
        }
        if let Some(connection) = self.connections.get_mut(&number).filter(|_| reason != 0x04) {
            connection.will = None;
        }
        self.end(number, "the client disconnected", now);
    }
}
