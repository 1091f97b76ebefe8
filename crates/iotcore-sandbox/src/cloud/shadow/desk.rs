//! Requests carried out one after the other, recorded, and answered as well or badly as the fault script has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};

use super::asked::Asked;
use super::event::{ShadowEvent, ShadowKind};
use super::fault::{Script, ShadowTrouble, Stage};
use super::in_flight::{InFlight, Ticket};
use super::limits::ShadowLimits;
use super::name::{ShadowName, ShadowOperation};
use super::publication::{Dice, Publication};
use super::rejection::ShadowRejection;
use super::request;
use super::service::Bell;
use super::store::Store;
use crate::journal::Journal;
use crate::packet::CloudMessage;
use crate::record::Event;

/// So many deltas of a shadow are kept to be told again.
const OLD_DELTAS: usize = 64;

/// Where requests are dealt with.
pub(super) struct Desk {
    pub store: Store,
    pub in_flight: InFlight,
    pub script: Script,
    pub bell: Option<Bell>,
    limits: ShadowLimits,
    journal: Arc<Journal>,
    late: Vec<Late>,
    deltas: BTreeMap<ShadowName, Vec<Value>>,
}

/// An answer that waits.
struct Late {
    due: Instant,
    ticket: Ticket,
    asked: Asked,
    answer: Publication,
}

impl Desk {
    pub(super) fn new(limits: ShadowLimits, journal: Arc<Journal>) -> Desk {
        Desk {
            store: Store::new(limits.clone()),
            in_flight: InFlight::default(),
            script: Script::default(),
            bell: None,
            limits,
            journal,
            late: Vec::new(),
            deltas: BTreeMap::new(),
        }
    }

    /// What comes of an operator's request, and what is published because of it. Refusals and what was only read are not
    /// published, as for a request over HTTPS.
    pub(super) fn by_operator(
        &mut self,
        asked: &Asked,
    ) -> (Result<Value, ShadowRejection>, Vec<CloudMessage>) {
        self.note(asked, ShadowKind::Request(asked.operation), asked.echo());
        let publications = match self.carry_out(asked) {
            Ok(publications) => publications,
            Err(rejection) => return (Err(rejection), Vec::new()),
        };
        let answer = publications.first().map(|answer| answer.content.clone());
        let messages = match asked.operation {
            ShadowOperation::Get => Vec::new(),
            ShadowOperation::Update | ShadowOperation::Delete => self.publish(asked, publications),
        };
        (Ok(answer.unwrap_or_default()), messages)
    }

    /// What is published at once because of a device's request.
    pub(super) fn by_device(&mut self, asked: &Asked) -> Vec<CloudMessage> {
        let ticket = self.begin(asked);
        if self.in_flight.count(&asked.name.thing) > self.limits.in_flight {
            self.in_flight.end(ticket);
            return vec![self.message(asked, asked.rejected(&ShadowRejection::of_code(429)))];
        }
        let outcome = match self.script.at(Stage::Arrived, &asked.name, asked.operation) {
            Some(ShadowTrouble::Ignore) => {
                self.note(asked, ShadowKind::Ignored(asked.operation), asked.echo());
                return Vec::new();
            }
            Some(ShadowTrouble::Reject(code)) => Err(ShadowRejection::of_code(code)),
            _ => self.carry_out(asked),
        };
        let publications = outcome.unwrap_or_else(|rejection| vec![asked.rejected(&rejection)]);
        let publications = self.answer(asked, ticket, publications);
        self.publish(asked, publications)
    }

    fn begin(&mut self, asked: &Asked) -> Ticket {
        let longest = self.limits.in_flight_for;
        self.in_flight
            .give_up(asked.at.cloud.saturating_sub(longest));
        let client = asked.client.as_deref().unwrap_or_default();
        let ticket = self
            .in_flight
            .begin(&asked.name.thing, client, asked.at.cloud);
        self.note(asked, ShadowKind::Request(asked.operation), asked.echo());
        ticket
    }

    /// What is to be published, the answer first.
    fn carry_out(&mut self, asked: &Asked) -> Result<Vec<Publication>, ShadowRejection> {
        let (name, operation, at) = (&asked.name, asked.operation, asked.at.cloud);
        let accepted = |content| Publication::accepted(operation, content);
        match operation {
            ShadowOperation::Get => {
                let content = self.store.get(name, asked.content()?, at)?;
                Ok(vec![accepted(content)])
            }
            ShadowOperation::Delete => {
                let content = self.store.delete(name, asked.echo(), at)?;
                self.ring();
                Ok(vec![accepted(content)])
            }
            ShadowOperation::Update => {
                let updated = self.store.update(name, asked.content()?, at)?;
                self.ring();
                let delta = updated.delta.map(Publication::delta);
                let documents = Publication::documents(updated.documents);
                let all = [Some(accepted(updated.accepted)), delta, Some(documents)];
                Ok(all.into_iter().flatten().collect())
            }
        }
    }

    fn ring(&self) {
        // A bell that rings already need not be rung, nor one that nobody hears any more.
        let _ = self.bell.as_ref().map(|bell| bell.try_send(()));
    }

    /// What is left to be published at once of what was to be published, the answer first.
    fn answer(
        &mut self,
        asked: &Asked,
        ticket: Ticket,
        mut publications: Vec<Publication>,
    ) -> Vec<Publication> {
        match self
            .script
            .at(Stage::Answered, &asked.name, asked.operation)
        {
            Some(ShadowTrouble::Withhold) => {
                let answer = publications.remove(0);
                self.note(
                    asked,
                    ShadowKind::Withheld(asked.operation),
                    &answer.content,
                );
            }
            Some(ShadowTrouble::Delay(delay)) => self.late.push(Late {
                due: asked.at.now + delay,
                ticket,
                asked: asked.clone(),
                answer: publications.remove(0),
            }),
            Some(ShadowTrouble::Garble(garbage)) => {
                let answer = publications.remove(0);
                publications.insert(0, answer.garbled(asked.operation, garbage));
                self.in_flight.end(ticket);
            }
            _ => self.in_flight.end(ticket),
        }
        publications
    }

    fn publish(&mut self, asked: &Asked, publications: Vec<Publication>) -> Vec<CloudMessage> {
        let publications = self.upset(asked, publications);
        let new = publications
            .iter()
            .find(|one| one.kind == ShadowKind::Delta);
        if let Some(delta) = new {
            let old = self.deltas.entry(asked.name.clone()).or_default();
            old.push(delta.content.clone());
            old.drain(..old.len().saturating_sub(OLD_DELTAS));
        }
        let messages = publications.into_iter();
        messages
            .map(|publication| self.message(asked, publication))
            .collect()
    }

    /// The publications of an accepted update as the fault script has them.
    fn upset(&mut self, asked: &Asked, mut publications: Vec<Publication>) -> Vec<Publication> {
        let documents = publications
            .iter()
            .any(|one| one.kind == ShadowKind::Documents);
        let Some(document) = self.store.document(&asked.name).filter(|_| documents) else {
            return publications;
        };
        let dice = |seed: u64| Dice::new(seed, document.version);
        let (name, operation) = (&asked.name, asked.operation);
        if let Some(old) = self.deltas.get(name).filter(|old| !old.is_empty())
            && let Some(ShadowTrouble::StaleDelta(seed)) =
                self.script.at(Stage::Joined, name, operation)
        {
            let stale = old[dice(seed).roll(old.len())].clone();
            publications.push(Publication::stale_delta(stale));
        }
        match self.script.at(Stage::Ordered, name, operation) {
            Some(ShadowTrouble::Shuffle(seed)) => dice(seed).shuffle(publications),
            _ => publications,
        }
    }

    /// The members of what is desired; `None` if there is no shadow.
    pub(super) fn desired(&self, name: &ShadowName) -> Option<Map<String, Value>> {
        let document = self.store.document(name);
        document.map(|document| document.desired.state.clone())
    }

    /// The delta of this version once more, if it is still known.
    pub(super) fn old_delta(&mut self, asked: &Asked, version: u64) -> Option<CloudMessage> {
        let mut old = self.deltas.get(&asked.name)?.iter();
        let delta = old.find(|delta| delta["version"] == version)?.clone();
        Some(self.message(asked, Publication::stale_delta(delta)))
    }

    /// When the next late answer is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.late.iter().map(|late| late.due).min()
    }

    /// The late answers that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<CloudMessage> {
        let late = std::mem::take(&mut self.late).into_iter();
        let (mut due, later): (Vec<Late>, _) = late.partition(|late| late.due <= now);
        self.late = later;
        due.sort_by_key(|late| late.due);
        let answer = |late: Late| {
            self.in_flight.end(late.ticket);
            self.message(&late.asked, late.answer)
        };
        due.into_iter().map(answer).collect()
    }

    /// A publication, recorded.
    fn message(&self, asked: &Asked, publication: Publication) -> CloudMessage {
        self.note(asked, publication.kind, &publication.content);
        let topic = asked.name.topic(&publication.end);
        CloudMessage::new(topic, publication.payload).qos(1)
    }

    /// Records one thing about a request; `content` is the message that is spoken of.
    fn note(&self, asked: &Asked, kind: ShadowKind, content: &Value) {
        let version = content
            .get("version")
            .or(content.pointer("/current/version"));
        self.journal.note(Event::Shadow(ShadowEvent {
            name: asked.name.clone(),
            kind,
            client_id: asked.client.clone(),
            token: request::token(content),
            version: version.and_then(Value::as_u64),
            in_flight: self.in_flight.count(&asked.name.thing),
        }));
    }
}
