//! Requests of devices and of operators, carried out one after the other, recorded, and answered.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use super::answer::{self, Occasion};
use super::event::{ShadowEvent, ShadowKind};
use super::in_flight::InFlight;
use super::limits::ShadowLimits;
use super::name::{ShadowName, ShadowOperation};
use super::rejection::ShadowRejection;
use super::request;
use super::store::Store;
use crate::broker::{Moment, Service};
use crate::journal::Journal;
use crate::packet::CloudMessage;
use crate::record::Event;

/// The shadow service, shared by the broker and the handle. Who needs the broker too locks the broker first.
#[derive(Clone)]
pub(crate) struct Shadows(Arc<Mutex<Desk>>);

/// Where requests are dealt with.
pub(super) struct Desk {
    pub store: Store,
    pub in_flight: InFlight,
    limits: ShadowLimits,
    journal: Arc<Journal>,
}

/// A request as it is on the desk.
struct Asked<'a> {
    name: &'a ShadowName,
    operation: ShadowOperation,
    /// `None` for an operator.
    client: Option<&'a str>,
    content: Result<Value, ShadowRejection>,
    at: Duration,
}

/// Something that the cloud publishes about a shadow.
struct Publication {
    kind: ShadowKind,
    content: Value,
}

impl Shadows {
    pub(crate) fn new(limits: ShadowLimits, journal: Arc<Journal>) -> Shadows {
        Shadows(Arc::new(Mutex::new(Desk {
            store: Store::new(limits.clone()),
            in_flight: InFlight::default(),
            limits,
            journal,
        })))
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().expect("the shadow service has not panicked")
    }

    /// The most requests of a thing that were not answered at the same time.
    pub(crate) fn most_in_flight(&self, thing: &str) -> usize {
        self.desk().in_flight.peak(thing)
    }
}

impl Service for Shadows {
    fn published(
        &mut self,
        client_id: &str,
        message: &CloudMessage,
        at: Moment,
    ) -> Vec<CloudMessage> {
        let Some((name, operation)) = ShadowName::asked(&message.topic) else {
            return Vec::new();
        };
        self.desk().by_device(&Asked {
            name: &name,
            operation,
            client: Some(client_id),
            content: request::parse(&message.payload),
            at: at.cloud,
        })
    }

    fn disconnected(&mut self, client_id: &str) {
        self.desk().in_flight.disconnected(client_id);
    }
}

impl Desk {
    /// What comes of an operator's request, and what is published because of it. Refusals and what was only read are not
    /// published, as for a request over HTTPS.
    pub(super) fn by_operator(
        &mut self,
        name: &ShadowName,
        operation: ShadowOperation,
        content: Value,
        at: Duration,
    ) -> (Result<Value, ShadowRejection>, Vec<CloudMessage>) {
        let asked = Asked {
            name,
            operation,
            client: None,
            content: Ok(content),
            at,
        };
        self.note(&asked, asked.event());
        let publications = match self.carry_out(&asked) {
            Ok(publications) => publications,
            Err(rejection) => return (Err(rejection), Vec::new()),
        };
        let answer = publications.first().map(|answer| answer.content.clone());
        let messages = match operation {
            ShadowOperation::Get => Vec::new(),
            ShadowOperation::Update | ShadowOperation::Delete => self.publish(&asked, publications),
        };
        (Ok(answer.unwrap_or_default()), messages)
    }

    fn by_device(&mut self, asked: &Asked) -> Vec<CloudMessage> {
        let longest = self.limits.in_flight_for;
        self.in_flight.give_up(asked.at.saturating_sub(longest));
        let (thing, client) = (&asked.name.thing, asked.client.unwrap_or_default());
        let ticket = self.in_flight.begin(thing, client, asked.at);
        self.note(asked, asked.event());
        let outcome = if self.in_flight.count(thing) > self.limits.in_flight {
            Err(ShadowRejection::of_code(429))
        } else {
            self.carry_out(asked)
        };
        let publications = outcome.unwrap_or_else(|rejection| vec![asked.rejected(&rejection)]);
        self.in_flight.end(ticket);
        self.publish(asked, publications)
    }

    /// What is to be published, the answer first.
    fn carry_out(&mut self, asked: &Asked) -> Result<Vec<Publication>, ShadowRejection> {
        let (name, at) = (asked.name, asked.at);
        let accepted = |content| Publication {
            kind: ShadowKind::Accepted(asked.operation),
            content,
        };
        match asked.operation {
            ShadowOperation::Get => {
                let content = self.store.get(name, asked.content()?, at)?;
                Ok(vec![accepted(content)])
            }
            ShadowOperation::Delete => {
                let content = asked.content.as_ref().unwrap_or(&Value::Null);
                Ok(vec![accepted(self.store.delete(name, content, at)?)])
            }
            ShadowOperation::Update => {
                let updated = self.store.update(name, asked.content()?, at)?;
                let delta = updated.delta.map(|content| Publication {
                    kind: ShadowKind::Delta,
                    content,
                });
                let documents = Publication {
                    kind: ShadowKind::Documents,
                    content: updated.documents,
                };
                let all = [Some(accepted(updated.accepted)), delta, Some(documents)];
                Ok(all.into_iter().flatten().collect())
            }
        }
    }

    fn publish(&self, asked: &Asked, publications: Vec<Publication>) -> Vec<CloudMessage> {
        let publish = |publication: Publication| {
            self.note(asked, publication.event());
            let topic = asked.name.topic(&publication.kind.topic_end());
            CloudMessage::new(topic, publication.content.to_string()).qos(1)
        };
        publications.into_iter().map(publish).collect()
    }

    /// Records one thing about a request; `content` is the message that is spoken of.
    fn note(&self, asked: &Asked, (kind, content): (ShadowKind, &Value)) {
        let version = content
            .get("version")
            .or(content.pointer("/current/version"));
        self.journal.note(Event::Shadow(ShadowEvent {
            name: asked.name.clone(),
            kind,
            client_id: asked.client.map(str::to_owned),
            token: request::token(content),
            version: version.and_then(Value::as_u64),
            in_flight: self.in_flight.count(&asked.name.thing),
        }));
    }
}

impl Asked<'_> {
    fn content(&self) -> Result<&Value, ShadowRejection> {
        self.content.as_ref().map_err(Clone::clone)
    }

    fn event(&self) -> (ShadowKind, &Value) {
        let content = self.content.as_ref().unwrap_or(&Value::Null);
        (ShadowKind::Request(self.operation), content)
    }

    fn rejected(&self, rejection: &ShadowRejection) -> Publication {
        let content = match &self.content {
            Ok(content) => Occasion::of(content, self.at).rejected(rejection),
            Err(_) => answer::of_unreadable(rejection),
        };
        Publication {
            kind: ShadowKind::Rejected(self.operation, rejection.code),
            content,
        }
    }
}

impl Publication {
    fn event(&self) -> (ShadowKind, &Value) {
        (self.kind, &self.content)
    }
}
