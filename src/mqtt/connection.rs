//! One connection's state: what was handed to the client and is unanswered, and the deadlines.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use log::warn;
use tokio::sync::{mpsc, oneshot};

use super::gate::Gate;
use super::in_flight::{InFlight, Overdue, Patience};
use super::message::{Publish, QoS};
use super::publish_error::{PossibleCause, PublishError, RefusalClass};
use super::rate_limit::{RateLimiter, Rates};
use super::session_request::Reply;
use super::subscribe::durable::ANSWERS;
use super::subscribe::receipts::Receipts;
use super::subscribe::subscriptions::{Batch, Routing};
use super::window::{REQUESTS, WINDOW_MESSAGES};
use super::wire::{Ack, Acknowledging, Client, Connack, PACKET_IDS};
use crate::clock::now;
use crate::net::{Class, Ending};
use crate::waits::earliest;

const PUBLISH: Patience = Patience {
    overtaken: Duration::from_secs(60),
    silence: Duration::from_secs(120),
};
const SUBSCRIBE: Patience = Patience {
    overtaken: Duration::from_secs(60),
    silence: Duration::from_secs(60),
};
/// For PINGRESP, or anything else from the broker: a slow link may have much queued before a ping.
const PING: Duration = Duration::from_secs(60);
/// For DISCONNECT to be written.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(1);

pub struct Connection {
    client: Client,
    accepted: Option<Connack>,
    qos1: InFlight<Reply>,
    qos0: InFlight<Reply>,
    subscribes: InFlight<Batch>,
    /// Received messages that wait for their readers, and the readers' way to say that they are done;
    /// `None` where the client acknowledges by itself.
    receipts: Receipts,
    done: Option<mpsc::Sender<u16>>,
    /// Publishes that the broker's Receive Maximum has no room for yet. Never more than the window.
    backlog: VecDeque<(Publish, Reply)>,
    pace: RateLimiter,
    /// When CONNACK must have come.
    connect_due: Option<Instant>,
    ping_due: Option<Instant>,
    disconnect_sent: Option<(Instant, oneshot::Sender<()>)>,
    /// The event loop has ended: nothing more can be handed over.
    ended: bool,
}

impl Connection {
    /// A connection, and the packet ids that readers are done with, for [`Connection::done`].
    pub fn new(
        client: Client,
        acknowledging: Acknowledging,
        rates: Rates,
        connect_due: Instant,
    ) -> (Self, mpsc::Receiver<u16>) {
        let (done, answers) = mpsc::channel(ANSWERS);
        let connection = Connection {
            client,
            accepted: None,
            qos1: InFlight::new(PUBLISH),
            qos0: InFlight::new(PUBLISH),
            subscribes: InFlight::new(SUBSCRIBE),
            receipts: Receipts::default(),
            done: (acknowledging == Acknowledging::ByHand).then_some(done),
            backlog: VecDeque::new(),
            pace: RateLimiter::new(rates, now()),
            connect_due: Some(connect_due),
            ping_due: None,
            disconnect_sent: None,
            ended: false,
        };
        (connection, answers)
    }

    /// Whether CONNACK has come.
    pub fn is_up(&self) -> bool {
        self.accepted.is_some()
    }

    /// CONNACK: from now on requests are taken.
    pub fn accepted(&mut self, accepted: Connack) {
        self.accepted = Some(accepted);
        self.connect_due = None;
    }

    /// Publishes now, or as soon as the broker's Receive Maximum allows it.
    pub fn publish(&mut self, publish: Publish, reply: Reply, gate: &mut Gate, now: Instant) {
        let Some(accepted) = self.accepted.filter(|_| self.disconnect_sent.is_none()) else {
            // Before CONNACK and after DISCONNECT nothing is kept for later: whoever asked has the message still
            // and sends it again on the next connection.
            return reply.disconnected();
        };
        match accepted.maximum_packet_size {
            // The client would end the connection over it, and again on the next one, for ever.
            Some(most) if publish.packet_size() > most as usize => {
                let reason =
                    format!("the packet is larger than the {most} bytes that the broker takes");
                refuse(reply, RefusalClass::Permanent, reason, gate, now);
            }
            _ => {
                self.backlog.push_back((publish, reply));
                self.refill(now);
            }
        }
    }

    /// When a publish that waits for its pace may go, and [`Connection::refill`] is to be called.
    pub fn next_publish(&self, now: Instant) -> Option<Instant> {
        let due = self.pace.due(now)?;
        (!self.backlog.is_empty() && self.has_room()).then_some(due)
    }

    /// Hands over what may go now.
    pub fn refill(&mut self, now: Instant) {
        while !self.ended && self.has_room() && self.pace.due(now).is_none() {
            let Some((publish, reply)) = self.backlog.pop_front() else {
                return;
            };
            let qos = publish.qos;
            self.pace.sent(publish.payload.len(), now);
            // The loop may have ended since the last look. Its own end comes as an event; this one is told now,
            // and must not stop those behind it from being told too.
            if !self.client.publish(publish) {
                reply.disconnected();
                continue;
            }
            match qos {
                QoS::AtMostOnce => self.qos0.queued(reply, now),
                QoS::AtLeastOnce => self.qos1.queued(reply, now),
            }
        }
    }

    /// The client gives packet ids in turn, from 1 to the broker's Receive Maximum, and stops when
    /// the next one is still in use: so none is handed over when an old one is unanswered.
    fn has_room(&self) -> bool {
        let ids = self
            .accepted
            .and_then(|accepted| accepted.receive_maximum)
            .unwrap_or(PACKET_IDS)
            .min(PACKET_IDS);
        // Both kinds share the window, but only QoS 1 has packet ids that can collide.
        let flying = self.qos1.len() + self.qos0.len();
        flying < self.limit() && self.qos1.span() + 1 < u64::from(ids.max(2))
    }

    /// One less than the broker's Receive Maximum: a full one would hold back DISCONNECT too.
    fn limit(&self) -> usize {
        let most = self.accepted.and_then(|accepted| accepted.receive_maximum);
        let ours = WINDOW_MESSAGES + REQUESTS;
        most.map_or(ours, |most| {
            usize::from(most.saturating_sub(1)).clamp(1, ours)
        })
    }

    pub fn sent(&mut self, packet_id: u16) {
        self.qos1.sent(packet_id);
    }

    /// So many of the QoS 0 publishes, the oldest ones, are written to the network and flushed.
    pub fn flushed(&mut self, count: u64, now: Instant) {
        for _ in 0..count {
            // The client has dropped it long ago; only the relay knows that the bytes have left.
            if let Some(reply) = self.qos0.written(now) {
                reply.send(Ok(()));
            }
        }
        self.refill(now);
    }

    pub fn acknowledged(&mut self, packet_id: u16, ack: Ack, gate: &mut Gate, now: Instant) {
        // A PUBACK may come twice, or for an id of nobody: then there is no reply to send.
        if let Some(reply) = self.qos1.answered(packet_id, now) {
            match ack {
                Ack::Accepted => {
                    // First the gate: whoever receives an answer finds it as it is after that.
                    gate.accepted(reply.origin(), now);
                    reply.send(Ok(()));
                }
                Ack::Refused { reason, refusal } => refuse(reply, refusal, reason, gate, now),
            }
        }
        self.refill(now);
    }

    pub fn subscribe(&mut self, filters: &[(String, QoS)], now: Instant) {
        if self.client.subscribe(filters) {
            self.subscribes.queued(
                filters
                    .iter()
                    .map(|(filter, _)| filter.as_str().into())
                    .collect(),
                now,
            );
        } else {
            warn!(
                "the MQTT client takes no SUBSCRIBE, {} filters wait for the next connection",
                filters.len()
            );
        }
    }

    pub fn subscribe_sent(&mut self, packet_id: u16) {
        self.subscribes.sent(packet_id);
    }

    pub fn subscribed(&mut self, packet_id: u16, now: Instant) -> Option<Batch> {
        self.subscribes.answered(packet_id, now)
    }

    /// How readers say that they are done, if messages are acknowledged by hand.
    pub fn answers(&self) -> Option<&mpsc::Sender<u16>> {
        self.done.as_ref()
    }

    /// Whether the broker repeats what its readers have and are not done with.
    pub fn holds(&self, packet_id: u16) -> bool {
        self.receipts.holds(packet_id)
    }

    /// What is to become of a received message that is acknowledged by hand.
    pub fn judged(&mut self, packet_id: u16, verdict: &Routing) {
        match verdict {
            Routing::Unmatched | Routing::Taken => self.receipts.at_once(packet_id),
            Routing::Held(readers) => self.receipts.held(packet_id, *readers),
            Routing::Left => self.receipts.left(),
        }
        self.acknowledge();
    }

    /// A reader is done with a message.
    pub fn done(&mut self, packet_id: u16) {
        self.receipts.done(packet_id);
        self.acknowledge();
    }

    pub fn acknowledgement_sent(&mut self) {
        self.receipts.sent();
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        while let Some(packet_id) = self.receipts.next() {
            // Its queue has room for them, so this is the end.
            if self.ended || !self.client.acknowledge(packet_id) {
                return;
            }
            // Only now: an acknowledgement that the client has not taken is handed over once more.
            self.receipts.handed();
        }
    }

    pub fn ping_sent(&mut self, now: Instant) {
        self.ping_due = Some(now + PING);
    }

    /// Something came from the broker, so the link is alive.
    pub fn heard(&mut self, now: Instant) {
        // Only while one is due: a busy link must not be cut because PINGRESP waits behind much else.
        self.ping_due = self.ping_due.map(|_| now + PING);
    }

    pub fn ping_answered(&mut self) {
        self.ping_due = None;
    }

    /// Sends DISCONNECT. `done` resolves when the connection is dropped.
    pub fn disconnect(&mut self, done: oneshot::Sender<()>, now: Instant) {
        let until = if self.is_up() && self.client.disconnect() {
            now + DISCONNECT_LIMIT
        } else {
            now
        };
        self.disconnect_sent = Some((until, done));
    }

    pub fn is_leaving(&self) -> bool {
        self.disconnect_sent.is_some()
    }

    /// Until when DISCONNECT and the end of the connection are waited for, once it is leaving.
    pub fn leaves_by(&self) -> Option<Instant> {
        self.disconnect_sent.as_ref().map(|(until, _)| *until)
    }

    /// When [`Connection::overdue`] must be asked at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        earliest([
            self.qos1.deadline(),
            self.qos0.deadline(),
            self.subscribes.deadline(),
            self.connect_due,
            self.ping_due,
            self.disconnect_sent.as_ref().map(|(until, _)| *until),
        ])
    }

    /// Why the connection must be replaced, if it must.
    pub fn overdue(&self, now: Instant) -> Option<Ending> {
        if self
            .disconnect_sent
            .as_ref()
            .is_some_and(|(until, _)| *until <= now)
        {
            return Some(Ending::new(
                Class::Timeout,
                "DISCONNECT could not be written within a second",
            ));
        }
        // The client has a limit of its own for this, which is shorter; this is for the case that it fails.
        if self.connect_due.is_some_and(|due| due <= now) {
            return Some(Ending::new(Class::Timeout, "no CONNACK within 45 s"));
        }
        if self.ping_due.is_some_and(|due| due <= now) {
            return Some(Ending::new(
                Class::KeepAlive,
                "PINGREQ was not answered within 60 s",
            ));
        }
        if self.receipts.wants_redelivery() {
            return Some(Ending::new(
                Class::Protocol,
                "the broker sent more than there was room for, it is requested again",
            ));
        }
        if self.subscribes.overdue(now).is_some() {
            return Some(Ending::new(
                Class::Protocol,
                "SUBSCRIBE was not answered within 60 s",
            ));
        }
        let publishes = self.qos1.overdue(now).or(self.qos0.overdue(now))?;
        Some(match publishes {
            Overdue::Overtaken => Ending::new(
                Class::Protocol,
                "a publish is unanswered for 60 s while others are answered",
            ),
            Overdue::Silence => Ending::new(Class::Network, "no publish was answered for 120 s"),
        })
    }

    /// The event loop has ended. What it has seen before is still to be passed on.
    pub fn ended(&mut self) {
        self.ended = true;
    }

    /// Whether publishes are on the way to the broker.
    pub fn is_flying(&self) -> bool {
        self.qos1.len() + self.qos0.len() > 0
    }

    /// The connection is gone: everyone who waits learns it. `blamed`: the broker ended it, perhaps
    /// because of what was sent. Whether messages were among that.
    pub fn lost(mut self, blamed: bool, gate: &mut Gate, now: Instant) -> bool {
        // A broker that ends the connection does not say over which packet, so only one that was alone on
        // the way can be blamed for certain.
        let subscribing = self.subscribes.len() > 0;
        let qos_1 = self.qos1.lost().into_iter();
        let qos_0 = self.qos0.lost().into_iter();
        let (sent, kept): (Vec<_>, Vec<_>) = qos_1
            .chain(qos_0.map(|(reply, _)| (reply, true)))
            .partition(|(_, sent)| blamed && *sent);
        // A request for a shadow may be what the policy forbids, and so may a subscription.
        let messages = sent.iter().any(|(reply, _)| reply.origin().is_message());
        let accepted = if messages { gate.ended(now) } else { 0 };
        let alone = sent.len() == 1 && !subscribing;
        for (place, (reply, _)) in sent.into_iter().enumerate() {
            let blame = Some(PossibleCause {
                alone,
                oldest: place == 0,
                accepted,
            });
            reply.send(Err(PublishError::Disconnected { blame }));
        }
        // These never left the process, so no ending is their fault.
        let waiting = self.backlog.drain(..).map(|(_, reply)| reply);
        let kept = kept.into_iter().map(|(reply, _)| reply);
        kept.chain(waiting).for_each(Reply::disconnected);
        messages
    }
}

/// The broker will not have it, or would not.
fn refuse(reply: Reply, refusal: RefusalClass, reason: String, gate: &mut Gate, now: Instant) {
    let accepted = gate.refused(reply.origin(), refusal, &reason, now);
    reply.send(Err(PublishError::Refused {
        reason,
        refusal,
        accepted,
    }));
}
