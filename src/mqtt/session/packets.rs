//! What requests and packets mean for a session: acknowledgements, subscriptions, messages, and what a
//! connection begins with.

use tokio::sync::oneshot;

use super::{Open, Session};
use crate::clock::now;
use crate::mqtt::connection::Connection;
use crate::mqtt::message::{Message, Properties, Publish, QoS};
use crate::mqtt::publish_error::Link;
use crate::mqtt::session_request::{Origin, Reply, SessionRequest};
use crate::mqtt::subscribe::durable::Receipt;
use crate::mqtt::subscribe::subscriptions::Routing;
use crate::mqtt::wire::{Connack, Seen};

impl Session {
    pub(super) fn request(&mut self, connection: &mut Connection, request: Option<SessionRequest>) {
        match request {
            Some(SessionRequest::Publish(publish, reply)) => {
                connection.publish(publish, reply, &mut self.gate, now());
            }
            Some(SessionRequest::Subscribe(subscriber)) => {
                self.subscriptions.add(subscriber);
                if connection.is_up() {
                    self.subscribe(connection);
                }
            }
            Some(SessionRequest::Disconnect(done)) => connection.disconnect(done, now()),
            // Every handle is gone: leave as if asked to.
            None => connection.disconnect(oneshot::channel().0, now()),
        }
    }

    pub(super) fn seen(&mut self, open: &mut Open, seen: Seen) {
        let connection = &mut open.connection;
        if seen.is_incoming() {
            connection.heard(now());
        }
        match seen {
            Seen::Connected(accepted) => {
                connection.accepted(accepted);
                self.connected(connection, accepted);
            }
            Seen::Sent(packet_id) => connection.sent(packet_id),
            Seen::Written => open.relay.mark(),
            Seen::Acknowledged(packet_id, ack) => {
                self.progress();
                connection.acknowledged(packet_id, ack, &mut self.gate, now());
                self.birth_answered();
            }
            Seen::SubscribeSent(packet_id) => connection.subscribe_sent(packet_id),
            Seen::Subscribed(packet_id, codes) => {
                if let Some(batch) = connection.subscribed(packet_id, now()) {
                    self.subscriptions.acknowledged(&batch, &codes);
                    self.report_subscribed();
                }
            }
            Seen::Received(message, packet_id) => {
                self.progress();
                self.received(connection, &message, packet_id);
            }
            Seen::AcknowledgementSent => connection.acknowledgement_sent(),
            Seen::PingSent => connection.ping_sent(now()),
            Seen::PingAnswered => {
                self.progress();
                connection.ping_answered();
            }
            Seen::DisconnectSent | Seen::Nothing => {}
        }
    }

    /// Hands a message to its readers, who say when it may be acknowledged if they are durable.
    fn received(&mut self, connection: &mut Connection, message: &Message, packet_id: Option<u16>) {
        let by_hand = packet_id.zip(connection.answers().cloned());
        let Some((packet_id, answers)) = by_hand else {
            self.subscriptions.received(message, None);
            return;
        };
        // The reader has it in hand: a repetition on the same connection is not a second message.
        if connection.holds(packet_id) {
            return;
        }
        let receipt = Receipt::new(packet_id, self.connections, answers, self.again.subscribe());
        let verdict = self.subscriptions.received(message, Some(&receipt));
        if verdict == Routing::Unmatched {
            self.report.unmatched(&message.topic);
        }
        connection.judged(packet_id, &verdict);
    }

    fn connected(&mut self, connection: &mut Connection, accepted: Connack) {
        self.connections += 1;
        self.gate.resume(now());
        self.report.connected();
        self.event_sender.connected(accepted.session_present);
        if self.subscriptions.are_durable() {
            self.report.session(accepted, self.connections > 1);
        }
        if accepted.session_present {
            self.again.send_replace(self.connections);
        }
        self.publish_birth(connection);
        let present = accepted.session_present;
        self.subscriptions.connected(self.connections, present);
        self.subscribe(connection);
        // After the birth message and the subscriptions are handed over: whoever reacts to this comes behind
        // them on the wire.
        self.link.send_replace(Link::Up(self.connections));
        self.report_subscribed();
    }

    /// Before anybody learns of the connection, so that this is the first message on it.
    fn publish_birth(&mut self, connection: &mut Connection) {
        let Some(birth) = self.options.birth.clone() else {
            return;
        };
        let (reply, answer) = Reply::new(Origin::Other);
        self.birth_reply = Some(answer);
        let publish = Publish {
            topic: birth.topic,
            payload: birth.payload.into(),
            qos: QoS::AtLeastOnce,
            retain: birth.retain,
            properties: Properties::default(),
        };
        connection.publish(publish, reply, &mut self.gate, now());
        self.birth_answered();
    }

    pub(super) fn birth_answered(&mut self) {
        let answer = self
            .birth_reply
            .as_mut()
            .and_then(|reply| reply.try_recv().ok());
        if let Some(answer) = answer {
            self.birth_reply = None;
            self.report.birth_answered(&answer);
        }
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        for filters in self.subscriptions.unasked() {
            connection.subscribe(&filters, now());
        }
    }

    fn report_subscribed(&mut self) {
        if self.subscriptions.all_answered() {
            self.event_sender.subscribed();
        }
    }

    pub(super) fn progress(&mut self) {
        self.answers_seen.send_modify(|count| *count += 1);
        self.backoff.progress();
        self.report.progress();
    }
}
