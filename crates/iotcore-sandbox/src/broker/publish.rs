//! PUBLISH from a client: whether AWS accepts it.

use std::time::Instant;

use super::Broker;
use crate::faults::{Stage, What};
use crate::packet::{CloudMessage, Outgoing, Publish, Version};
use crate::record::{Event, Received};
use crate::topic;

/// Why a publish is refused, and what the client sees of it.
struct PublishRefusal {
    why: String,
    code: u8,
    on_v3: Reaction,
    on_v5: Reaction,
}

#[derive(Clone, Copy)]
enum Reaction {
    /// No PUBACK is sent.
    Nothing,
    /// A PUBACK with the code. QoS 0 has no PUBACK: the connection ends.
    Puback,
    /// The connection ends, with a DISCONNECT of the code on MQTT 5.
    End,
}

impl Broker {
    pub(super) fn publish(
        &mut self,
        number: u64,
        client: &str,
        mut publish: Publish,
        now: Instant,
    ) {
        self.count(number);
        if let Err(why) = self.resolve_alias(number, &mut publish) {
            return self.refuse(
                number,
                &publish,
                PublishRefusal {
                    why,
                    code: 0x94,
                    on_v3: Reaction::End,
                    on_v5: Reaction::End,
                },
                now,
            );
        }
        if let Some(refusal) = self.refusal_of(number, client, &publish, now) {
            return self.refuse(number, &publish, refusal, now);
        }
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.publish_topic = Some(publish.message.topic.clone());
        }
        let fault = self.fault(number, Stage::Publish, None);
        if let Some(What::PubackReason(code)) = fault {
            let why = "refused by the fault script".to_owned();
            return self.refuse(
                number,
                &publish,
                PublishRefusal {
                    why,
                    code,
                    on_v3: Reaction::Nothing,
                    on_v5: Reaction::Puback,
                },
                now,
            );
        }
        if fault == Some(What::CloseBeforeAccepting) {
            return self.close_before(number, &publish, now);
        }
        self.take(number, client, &publish, fault.as_ref(), now);
        match publish.packet_id {
            Some(packet_id) => self.acknowledge(number, packet_id, fault, now),
            None => self.after_unacknowledged(number, fault, now),
        }
    }

    fn count(&mut self, number: u64) {
        self.published += 1;
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        connection.publishes += 1;
        connection.publish_numbers = Some((self.published, connection.publishes));
    }

    /// Replaces a topic alias by its topic, or stores the alias.
    fn resolve_alias(&mut self, number: u64, publish: &mut Publish) -> Result<(), String> {
        let (Some(alias), Some(connection)) = (publish.alias, self.connections.get_mut(&number))
        else {
            return Ok(());
        };
        if alias == 0 || alias > self.limits.topic_aliases {
            return Err(format!(
                "topic alias {alias} is out of range, {} are allowed",
                self.limits.topic_aliases
            ));
        }
        if publish.message.topic.is_empty() {
            let known = connection.aliases.get(&alias).cloned();
            publish.message.topic =
                known.ok_or_else(|| format!("topic alias {alias} is not defined"))?;
        } else {
            connection
                .aliases
                .insert(alias, publish.message.topic.clone());
        }
        Ok(())
    }

    fn refusal_of(
        &mut self,
        number: u64,
        client: &str,
        publish: &Publish,
        now: Instant,
    ) -> Option<PublishRefusal> {
        let CloudMessage {
            topic,
            payload,
            qos,
            ..
        } = &publish.message;
        let refusal = |why: String, code, on_v3, on_v5| {
            Some(PublishRefusal {
                why,
                code,
                on_v3,
                on_v5,
            })
        };
        if *qos > 1 {
            return refusal(
                "QoS 2 is not supported".to_owned(),
                0x9b,
                Reaction::Nothing,
                Reaction::End,
            );
        }
        if payload.len() > self.limits.payload {
            return refusal(
                format!("{} bytes of payload", payload.len()),
                0x97,
                Reaction::End,
                Reaction::End,
            );
        }
        if let Some(why) = topic::refuse_topic(topic, &self.limits) {
            return refusal(why, 0x90, Reaction::End, Reaction::Puback);
        }
        if self.policies.denies_publish(client, topic) {
            return refusal(
                "policy denies the publish".to_owned(),
                0x87,
                Reaction::End,
                Reaction::Puback,
            );
        }
        let connection = self.connections.get_mut(&number)?;
        if connection.unacknowledged.len() >= self.limits.inbound_window && *qos > 0 {
            return refusal(
                "too many publishes are not acknowledged".to_owned(),
                0x93,
                Reaction::Nothing,
                Reaction::End,
            );
        }
        let within_rate = self
            .limits
            .publish_rate
            .is_none_or(|limit| connection.within_rate(limit, now));
        if within_rate {
            None
        } else {
            refusal(
                "too many publishes per second".to_owned(),
                0x97,
                Reaction::Nothing,
                Reaction::Puback,
            )
        }
    }

    fn refuse(&mut self, number: u64, publish: &Publish, refusal: PublishRefusal, now: Instant) {
        let PublishRefusal {
            why,
            code,
            on_v3,
            on_v5,
        } = refusal;
        let topic = publish.message.topic.clone();
        self.journal.write(
            number,
            Event::PublishRefused {
                topic,
                reason: why.clone(),
            },
        );
        let v3 = self
            .connections
            .get(&number)
            .is_some_and(|connection| connection.speaks(Version::V311));
        match (if v3 { on_v3 } else { on_v5 }, publish.packet_id) {
            (Reaction::Nothing, Some(packet_id)) => {
                self.journal.write(
                    number,
                    Event::PubackWithheld {
                        packet_id,
                        reason: why,
                    },
                );
            }
            (Reaction::Nothing, None) => {}
            (Reaction::Puback, Some(packet_id)) => {
                self.send(number, Outgoing::Puback { packet_id, code })
            }
            (Reaction::Puback, None) | (Reaction::End, _) => self.reject(number, code, &why, now),
        }
    }

    fn close_before(&mut self, number: u64, publish: &Publish, now: Instant) {
        let (topic, reason) = (publish.message.topic.clone(), "closed by the fault script");
        let refused = Event::PublishRefused {
            topic,
            reason: reason.to_owned(),
        };
        self.journal.write(number, refused);
        self.end(number, reason, now);
    }

    /// Accepts the publish.
    fn take(
        &mut self,
        number: u64,
        client: &str,
        publish: &Publish,
        fault: Option<&What>,
        now: Instant,
    ) {
        let message = &publish.message;
        self.journal.write(
            number,
            Event::Publish(Received {
                topic: message.topic.clone(),
                payload: message.payload.clone(),
                qos: message.qos,
                retain: message.retain,
                dup: publish.dup,
                packet_id: publish.packet_id,
                client_id: client.to_owned(),
                properties: message.properties.clone(),
                connection: number,
            }),
        );
        // Basic ingest goes to its rule only, not to subscribers.
        if message.topic.starts_with("$aws/rules/") {
            return;
        }
        self.keep_retained(message);
        self.route(message, now);
        let answers = self.ask_services(client, message, now);
        if fault == Some(&What::CloseBeforeAnswer) {
            self.end(number, "closed by the fault script", now);
        }
        self.route_all(&answers, now);
    }
}
