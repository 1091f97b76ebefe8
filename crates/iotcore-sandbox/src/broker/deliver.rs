//! Delivery of messages: which clients get them, and when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Broker;
use crate::packet::{CloudMessage, Outgoing};
use crate::topic;

impl Broker {
    /// Publishes from the cloud. Returns how many subscribers get it, including those for whom it is stored.
    pub(crate) fn publish_from_cloud(&mut self, message: &CloudMessage, now: Instant) -> usize {
        self.keep_retained(message);
        self.route(message, now)
    }

    /// Delivers a message to all subscribers of its topic. Returns how many they are.
    pub(super) fn route(&mut self, message: &CloudMessage, now: Instant) -> usize {
        self.sessions.retain(|_, session| !session.expired(now));
        let hash = self.limits.hash_matches_parent;
        let plain = self.sessions.iter().filter_map(|(client, session)| {
            let qos = session.qos_for(&message.topic, hash)?.min(message.qos);
            session.takes(qos).then(|| (client.clone(), qos))
        });
        let mut receivers: Vec<(String, u8)> = plain.collect();
        match &message.only_to {
            Some(only) => receivers.retain(|(client, _)| client == only),
            None => receivers.extend(self.shared_receivers(message)),
        }
        receivers.retain(|(client, _)| !self.policies.denies_receive(client, &message.topic));
        for (client, qos) in &receivers {
            self.deliver(client, *qos, message, now);
        }
        receivers.len()
    }

    /// One member of each shared subscription, in turn; members that are connected come first.
    fn shared_receivers(&mut self, message: &CloudMessage) -> Vec<(String, u8)> {
        let mut groups: BTreeMap<String, Vec<(String, u8)>> = BTreeMap::new();
        for (client, session) in &self.sessions {
            for (shared, qos) in &session.subscriptions {
                let Some((_, filter)) = topic::share(shared) else {
                    continue;
                };
                let qos = (*qos).min(message.qos);
                if topic::matches(filter, &message.topic, self.limits.hash_matches_parent)
                    && session.takes(qos)
                {
                    groups
                        .entry(shared.clone())
                        .or_default()
                        .push((client.clone(), qos));
                }
            }
        }
        groups
            .into_iter()
            .filter_map(|(shared, members)| self.take_turn(shared, members))
            .collect()
    }

    fn take_turn(&mut self, shared: String, members: Vec<(String, u8)>) -> Option<(String, u8)> {
        let online = |(client, _): &&(String, u8)| self.online.contains_key(client);
        let connected: Vec<(String, u8)> = members.iter().filter(online).cloned().collect();
        let candidates = if connected.is_empty() {
            members
        } else {
            connected
        };
        let turn = self.turns.entry(shared).or_insert(0);
        *turn += 1;
        candidates
            .get((*turn - 1) % candidates.len().max(1))
            .cloned()
    }

    fn deliver(&mut self, client: &str, qos: u8, message: &CloudMessage, now: Instant) {
        let expiry = message
            .properties
            .message_expiry
            .map(|seconds| Duration::from_secs(seconds.clamp(1, 604_800).into()));
        let expires = expiry.map(|expiry| now + self.real(expiry));
        let copy = CloudMessage {
            qos,
            retain: false,
            ..message.clone()
        };
        if let Some(session) = self.sessions.get_mut(client) {
            session.accept(copy, expires);
        }
        if let Some(&number) = self.online.get(client) {
            self.pump(number, now);
        }
    }

    /// Sends what the window and the rate of stored messages allow.
    pub(super) fn pump(&mut self, number: u64, now: Instant) {
        let Some(connection) = self.connections.get(&number) else {
            return;
        };
        let session = connection
            .client_id
            .as_deref()
            .and_then(|client| self.sessions.get_mut(client));
        let Some(session) = session.filter(|_| connection.ended.is_none()) else {
            return;
        };
        while let Some((packet_id, message)) = session.next(connection.window, now) {
            connection.send(Outgoing::Publish { packet_id, message });
        }
    }

    /// Keeps or deletes the retained message of a topic. Topics that begin with `$` have none.
    pub(super) fn keep_retained(&mut self, message: &CloudMessage) {
        if !message.retain || message.topic.starts_with('$') {
            return;
        }
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else {
            self.retained.insert(message.topic.clone(), message.clone());
        }
    }
}
