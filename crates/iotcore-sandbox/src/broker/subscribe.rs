//! SUBSCRIBE and UNSUBSCRIBE.

use std::time::Instant;

use super::Broker;
use crate::faults::{Stage, What};
use crate::limits::DeniedSubscription;
use crate::packet::{CloudMessage, Outgoing, Subscribe, Version};
use crate::record::Event;
use crate::topic;

/// The outcome for one filter.
enum FilterOutcome {
    Code(u8),
    /// The whole connection ends.
    End(String),
}

impl Broker {
    pub(super) fn subscribe(
        &mut self,
        number: u64,
        client: &str,
        subscribe: Subscribe,
        now: Instant,
    ) {
        let Subscribe {
            packet_id,
            identifier,
            filters,
        } = subscribe;
        self.journal.write(
            number,
            Event::Subscribe {
                filters: filters.clone(),
            },
        );
        if let Some((code, why)) = self.unanswerable(identifier, &filters) {
            return match code {
                // 3.1.1 gets no answer at all when it requests QoS 2.
                0x9b if self.is_v3(number) => {}
                _ => self.reject(number, code, &why, now),
            };
        }
        let mut codes = Vec::new();
        for (filter, qos) in &filters {
            match self.subscribe_to(number, client, filter, *qos) {
                FilterOutcome::Code(code) => codes.push(code),
                FilterOutcome::End(why) => return self.reject(number, 0x8f, &why, now),
            }
        }
        let swallows = |filter: &str| self.fault(number, Stage::Suback, Some(filter)).is_some();
        if !filters
            .iter()
            .map(|(filter, _)| filter.as_str())
            .any(swallows)
        {
            self.send(
                number,
                Outgoing::Suback {
                    packet_id,
                    codes: codes.clone(),
                },
            );
        }
        let granted = filters.iter().zip(codes).filter(|(_, code)| *code < 0x80);
        granted.for_each(|((filter, _), _)| self.deliver_retained(client, filter));
        self.pump(number, now);
    }

    /// Why a SUBSCRIBE gets no SUBACK, if it gets none.
    fn unanswerable(&self, identifier: bool, filters: &[(String, u8)]) -> Option<(u8, String)> {
        let limit = self.limits.filters_per_subscribe;
        if identifier {
            return Some((
                0xa1,
                "subscription identifiers are not supported".to_owned(),
            ));
        }
        if filters.len() > limit {
            return Some((
                0x97,
                format!(
                    "{} filters in one SUBSCRIBE, {limit} are allowed",
                    filters.len()
                ),
            ));
        }
        filters
            .iter()
            .any(|(_, qos)| *qos > 1)
            .then(|| (0x9b, "QoS 2 is not supported".to_owned()))
    }

    fn subscribe_to(&mut self, number: u64, client: &str, filter: &str, qos: u8) -> FilterOutcome {
        let v3 = self.is_v3(number);
        let code = |v5: u8| FilterOutcome::Code(if v3 { 0x80 } else { v5 });
        let limits = &self.limits;
        if let Some(why) =
            topic::refuse_reserved(filter, limits).or_else(|| topic::refuse_filter(filter, limits))
        {
            return if v3 {
                FilterOutcome::End(why)
            } else {
                FilterOutcome::Code(0x8f)
            };
        }
        if self.policies.denies_subscribe(client, filter) {
            return match (v3, self.limits.denied_subscription) {
                (true, DeniedSubscription::Close) => {
                    FilterOutcome::End("policy denies the subscription".to_owned())
                }
                (true, DeniedSubscription::Suback) | (false, _) => code(0x87),
            };
        }
        if let Some(What::RefuseFilter(refusal)) = self.fault(number, Stage::Filter, Some(filter)) {
            return code(refusal);
        }
        let Some(session) = self.sessions.get_mut(client) else {
            return code(0x80);
        };
        if session.subscriptions.len() >= self.limits.subscriptions
            && !session.subscriptions.contains_key(filter)
        {
            return code(0x97);
        }
        session.subscriptions.insert(filter.to_owned(), qos);
        FilterOutcome::Code(qos)
    }

    /// Retained messages are delivered for filters without wildcards only, and not to shared subscriptions.
    fn deliver_retained(&mut self, client: &str, filter: &str) {
        let wild = self.limits.retained_on_wildcards;
        let wanted = |topic: &str| {
            topic == filter
                || wild && topic::matches(filter, topic, self.limits.hash_matches_parent)
        };
        let retained: Vec<CloudMessage> = self
            .retained
            .values()
            .filter(|m| wanted(&m.topic))
            .cloned()
            .collect();
        let Some(session) = self.sessions.get_mut(client) else {
            return;
        };
        let granted = session.subscriptions.get(filter).copied().unwrap_or(0);
        for mut message in retained
            .into_iter()
            .filter(|m| !self.policies.denies_receive(client, &m.topic))
        {
            message.qos = message.qos.min(granted);
            session.accept(message, None);
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        number: u64,
        client: &str,
        packet_id: u16,
        filters: Vec<String>,
    ) {
        self.journal.write(
            number,
            Event::Unsubscribe {
                filters: filters.clone(),
            },
        );
        let Some(session) = self.sessions.get_mut(client) else {
            return;
        };
        let code = |filter: &String| {
            if session.subscriptions.remove(filter).is_some() {
                0x00
            } else {
                0x11
            }
        };
        let codes = filters.iter().map(code).collect();
        self.send(number, Outgoing::Unsuback { packet_id, codes });
    }

    fn is_v3(&self, number: u64) -> bool {
        self.connections
            .get(&number)
            .is_some_and(|connection| connection.speaks(Version::V311))
    }
}
