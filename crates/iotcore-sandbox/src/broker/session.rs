//! Pure: the session of one client id: its subscriptions and the messages that are still to be delivered.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::packet::{CloudMessage, Version};
use crate::topic;

/// The session of one client id, connected or not.
pub(super) struct Session {
    pub version: Version,
    /// How long it outlives its connection; zero ends it with the connection.
    pub expiry: Duration,
    /// Since when its client is not connected.
    pub offline_since: Option<Instant>,
    /// Filter (with its share) and granted QoS.
    pub subscriptions: BTreeMap<String, u8>,
    deliveries: Deliveries,
}

impl Session {
    pub(super) fn new(version: Version, expiry: Duration) -> Session {
        let (subscriptions, deliveries) = Default::default();
        Session {
            version,
            expiry,
            offline_since: None,
            subscriptions,
            deliveries,
        }
    }

    pub(super) fn expired(&self, now: Instant) -> bool {
        self.offline_since
            .is_some_and(|since| now.duration_since(since) >= self.expiry)
    }

    /// The highest QoS at which subscriptions without a share get a message on `topic`; `None` if none does.
    pub(super) fn qos_for(&self, topic: &str, hash_matches_parent: bool) -> Option<u8> {
        let matching = |filter: &str| {
            topic::share(filter).is_none() && topic::matches(filter, topic, hash_matches_parent)
        };
        self.subscriptions
            .iter()
            .filter(|(filter, _)| matching(filter))
            .map(|(_, qos)| *qos)
            .max()
    }

    /// Queues a message for delivery, at its own QoS. Offline sessions keep QoS 1 only.
    pub(super) fn accept(&mut self, message: CloudMessage, expires: Option<Instant>) {
        if self.offline_since.is_none() || message.qos > 0 {
            self.deliveries
                .waiting
                .push_back(Delivery { message, expires });
        }
    }

    /// Whether `accept` would keep a message of this QoS.
    pub(super) fn takes(&self, qos: u8) -> bool {
        self.offline_since.is_none() || qos > 0
    }

    /// The client has disconnected: what it has not acknowledged will be delivered again, before what is waiting.
    pub(super) fn suspend(&mut self, now: Instant) {
        self.offline_since = Some(now);
        self.deliveries.suspend();
    }

    /// The client is back: the messages that it missed are delivered with `pace` between them.
    pub(super) fn resume(&mut self, now: Instant, pace: Option<Duration>) {
        self.offline_since = None;
        self.deliveries.resume(now, pace);
    }

    /// The next message to send, with its packet id if it has QoS 1; at most `window` may be unacknowledged.
    pub(super) fn next(
        &mut self,
        window: usize,
        now: Instant,
    ) -> Option<(Option<u16>, CloudMessage)> {
        self.deliveries.next(window, now)
    }

    pub(super) fn acknowledged(&mut self, packet_id: u16) {
        self.deliveries.in_flight.retain(|(id, _)| *id != packet_id);
    }

    /// When the next stored message is due; also `None` while an acknowledgement has to arrive first.
    pub(super) fn deadline(&self, window: usize) -> Option<Instant> {
        let Deliveries {
            stored,
            stored_due,
            in_flight,
            ..
        } = &self.deliveries;
        stored_due.filter(|_| !stored.is_empty() && in_flight.len() < window)
    }
}

#[derive(Default)]
struct Deliveries {
    last_id: u16,
    in_flight: Vec<(u16, Delivery)>,
    stored: VecDeque<Delivery>,
    stored_due: Option<Instant>,
    pace: Option<Duration>,
    waiting: VecDeque<Delivery>,
}

struct Delivery {
    message: CloudMessage,
    expires: Option<Instant>,
}

impl Deliveries {
    fn suspend(&mut self) {
        let unacknowledged = self.in_flight.drain(..).map(|(_, delivery)| delivery);
        let (stored, waiting) = (
            std::mem::take(&mut self.stored),
            std::mem::take(&mut self.waiting),
        );
        self.waiting = unacknowledged
            .chain(stored)
            .chain(waiting)
            .filter(|delivery| delivery.message.qos > 0)
            .collect();
    }

    fn resume(&mut self, now: Instant, pace: Option<Duration>) {
        if pace.is_some() {
            (self.pace, self.stored_due) = (pace, Some(now));
            self.stored = std::mem::take(&mut self.waiting);
        }
    }

    fn next(&mut self, window: usize, now: Instant) -> Option<(Option<u16>, CloudMessage)> {
        let full = self.in_flight.len() >= window;
        let expired = |delivery: &Delivery| delivery.expires.is_some_and(|expires| now >= expires);
        self.stored.retain(|delivery| !expired(delivery));
        while self.waiting.front().is_some_and(expired) {
            self.waiting.pop_front();
        }
        if !full && !self.stored.is_empty() && self.stored_due.is_some_and(|due| now >= due) {
            self.stored_due = self.pace.map(|pace| now + pace);
            let delivery = self.stored.pop_front()?;
            return Some(self.send(delivery));
        }
        if full
            && self
                .waiting
                .front()
                .is_some_and(|delivery| delivery.message.qos > 0)
        {
            return None;
        }
        let delivery = self.waiting.pop_front()?;
        Some(self.send(delivery))
    }

    fn send(&mut self, delivery: Delivery) -> (Option<u16>, CloudMessage) {
        let message = delivery.message.clone();
        if message.qos == 0 {
            return (None, message);
        }
        let id = self.free_id();
        self.in_flight.push((id, delivery));
        (Some(id), message)
    }

    /// Ids continue over connections: AWS delivers again with a new id, and without DUP.
    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.in_flight.iter().all(|(id, _)| *id != self.last_id) {
                return self.last_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(Version::V311, Duration::from_secs(3600))
    }

    fn message(topic: &str) -> CloudMessage {
        CloudMessage::new(topic, "").qos(1)
    }

    fn sent(session: &mut Session, now: Instant) -> Vec<(Option<u16>, String)> {
        std::iter::from_fn(|| session.next(2, now))
            .map(|(id, message)| (id, message.topic))
            .collect()
    }

    fn expect(sent: Vec<(Option<u16>, String)>, expected: &[(Option<u16>, &str)]) {
        let sent: Vec<(Option<u16>, &str)> = sent
            .iter()
            .map(|(id, topic)| (*id, topic.as_str()))
            .collect();
        assert_eq!(sent, expected);
    }

    #[test]
    fn deliveries_wait_for_acknowledgements_when_the_window_is_full() {
        let (mut session, now) = (session(), Instant::now());
        ["a", "b", "c"]
            .iter()
            .for_each(|topic| session.accept(message(topic), None));
        expect(sent(&mut session, now), &[(Some(1), "a"), (Some(2), "b")]);
        session.acknowledged(1);
        expect(sent(&mut session, now), &[(Some(3), "c")]);
    }

    #[test]
    fn what_was_not_acknowledged_comes_again_under_a_new_id() {
        let (mut session, now) = (session(), Instant::now());
        session.accept(message("a"), None);
        expect(sent(&mut session, now), &[(Some(1), "a")]);
        session.suspend(now);
        session.resume(now, None);
        expect(sent(&mut session, now), &[(Some(2), "a")]);
    }

    #[test]
    fn an_offline_session_keeps_qos_1_only() {
        let (mut session, now) = (session(), Instant::now());
        session.suspend(now);
        session.accept(CloudMessage::new("zero", ""), None);
        session.accept(message("one"), None);
        session.resume(now, None);
        expect(sent(&mut session, now), &[(Some(1), "one")]);
    }

    #[test]
    fn stored_messages_come_one_by_one_and_live_ones_overtake() {
        let (mut session, now, pace) = (session(), Instant::now(), Duration::from_millis(100));
        session.suspend(now);
        ["a", "b"]
            .iter()
            .for_each(|topic| session.accept(message(topic), None));
        session.resume(now, Some(pace));
        expect(sent(&mut session, now), &[(Some(1), "a")]);
        session.acknowledged(1);
        session.accept(message("live"), None);
        expect(sent(&mut session, now), &[(Some(2), "live")]);
        assert_eq!(session.deadline(2), Some(now + pace));
        assert_eq!(session.deadline(1), None, "the window is full");
        expect(sent(&mut session, now + pace), &[(Some(3), "b")]);
    }

    #[test]
    fn an_expired_message_is_not_delivered() {
        let (mut session, now) = (session(), Instant::now());
        session.accept(message("a"), Some(now + Duration::from_secs(1)));
        expect(sent(&mut session, now + Duration::from_secs(1)), &[]);
    }

    #[test]
    fn a_session_expires_only_while_offline() {
        let (mut session, now) = (session(), Instant::now());
        assert!(!session.expired(now + Duration::from_secs(9999)));
        session.suspend(now);
        assert!(!session.expired(now + Duration::from_secs(3599)));
        assert!(session.expired(now + Duration::from_secs(3600)));
    }

    #[test]
    fn the_highest_matching_subscription_counts() {
        let mut session = session();
        session.subscriptions.extend([
            ("a/+".to_owned(), 0),
            ("a/b".to_owned(), 1),
            ("$share/s/c".to_owned(), 1),
        ]);
        assert_eq!(session.qos_for("a/b", false), Some(1));
        assert_eq!(session.qos_for("a/c", false), Some(0));
        assert_eq!(session.qos_for("c", false), None);
    }
}
