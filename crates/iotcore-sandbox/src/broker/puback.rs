//! PUBACKs in both directions: those of the broker, with the faults of the script, and those of clients.

use std::time::Instant;

use super::Broker;
use crate::faults::What;
use crate::packet::Outgoing;
use crate::record::Event;

impl Broker {
    /// Acknowledges an accepted publish, with this fault.
    pub(super) fn acknowledge(
        &mut self,
        number: u64,
        packet_id: u16,
        fault: Option<What>,
        now: Instant,
    ) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.unacknowledged.insert(packet_id);
        let puback = Outgoing::Puback { packet_id, code: 0 };
        if connection.hold > connection.held.len() {
            return self.hold(number, puback);
        }
        match fault {
            Some(What::SwallowPuback) => {
                self.withhold(number, packet_id, "swallowed by the fault script")
            }
            Some(What::CloseBeforeAnswer) => {
                self.withhold(
                    number,
                    packet_id,
                    "the fault script has closed the connection",
                );
            }
            Some(What::CloseBeforePuback) => {
                self.withhold(number, packet_id, "the fault script closes the connection");
                self.end(number, "closed by the fault script", now);
            }
            Some(What::DelayPuback(delay)) => connection.delayed.push((now + delay, puback)),
            Some(What::ReorderPubacks(count)) => {
                connection.hold = count;
                self.hold(number, puback);
            }
            Some(What::DuplicatePuback) => {
                self.send_puback(number, puback.clone());
                self.send_puback(number, puback);
            }
            Some(What::CloseAfterPuback) => {
                self.send_puback(number, puback);
                self.end(number, "closed by the fault script", now);
            }
            Some(What::UnsolicitedPuback) => {
                self.send_puback(number, puback);
                self.send(
                    number,
                    Outgoing::Puback {
                        packet_id: packet_id ^ 0x8000,
                        code: 0,
                    },
                );
            }
            _ => self.send_puback(number, puback),
        }
    }

    /// Applies the fault to a publish of QoS 0, which has no PUBACK.
    pub(super) fn after_unacknowledged(&mut self, number: u64, fault: Option<What>, now: Instant) {
        if let Some(What::CloseBeforePuback | What::CloseAfterPuback) = fault {
            self.end(number, "closed by the fault script", now);
        }
    }

    /// A client acknowledged a delivery.
    pub(super) fn acknowledged(&mut self, number: u64, client: &str, packet_id: u16, now: Instant) {
        self.journal
            .write(number, Event::PubackReceived { packet_id });
        if let Some(session) = self.sessions.get_mut(client) {
            session.acknowledged(packet_id);
        }
        self.pump(number, now);
    }

    fn hold(&mut self, number: u64, puback: Outgoing) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.held.push(puback);
        if connection.held.len() >= connection.hold {
            connection.hold = 0;
            let held = std::mem::take(&mut connection.held);
            held.into_iter()
                .rev()
                .for_each(|puback| self.send_puback(number, puback));
        }
    }

    fn withhold(&self, number: u64, packet_id: u16, reason: &str) {
        self.journal.write(
            number,
            Event::PubackWithheld {
                packet_id,
                reason: reason.to_owned(),
            },
        );
    }

    fn send_puback(&mut self, number: u64, puback: Outgoing) {
        if let (Some(connection), Outgoing::Puback { packet_id, .. }) =
            (self.connections.get_mut(&number), &puback)
        {
            connection.unacknowledged.remove(packet_id);
            connection.send(puback);
        }
    }
}
