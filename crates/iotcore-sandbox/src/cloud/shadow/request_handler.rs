//! Handles requests one after the other: records each, carries it out, and answers it, with the faults of the script.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};

use super::event::{ShadowEvent, ShadowKind};
use super::fault::{ShadowFaultScript, ShadowStage, ShadowTrouble};
use super::in_flight::{InFlight, Ticket};
use super::limits::ShadowLimits;
use super::name::{ShadowName, ShadowOperation};
use super::payload;
use super::publication::{Publication, SeededRandom};
use super::rejection::ShadowRejection;
use super::request::ShadowRequest;
use super::service::ChangeSignal;
use super::store::Store;
use crate::journal::Journal;
use crate::packet::CloudMessage;
use crate::record::Event;

/// How many deltas of a shadow are kept, to be published again by a fault or a test.
const OLD_DELTAS: usize = 64;

/// Handles the requests of devices and operators.
pub(super) struct ShadowRequestHandler {
    pub store: Store,
    pub in_flight: InFlight,
    pub script: ShadowFaultScript,
    pub change_signal: Option<ChangeSignal>,
    limits: ShadowLimits,
    journal: Arc<Journal>,
    delayed: Vec<DelayedPublication>,
    deltas: BTreeMap<ShadowName, Vec<Value>>,
}

/// An answer that is published later.
struct DelayedPublication {
    due: Instant,
    ticket: Ticket,
    request: ShadowRequest,
    answer: Publication,
}

impl ShadowRequestHandler {
    pub(super) fn new(limits: ShadowLimits, journal: Arc<Journal>) -> ShadowRequestHandler {
        ShadowRequestHandler {
            store: Store::new(limits.clone()),
            in_flight: InFlight::default(),
            script: ShadowFaultScript::default(),
            change_signal: None,
            limits,
            journal,
            delayed: Vec::new(),
            deltas: BTreeMap::new(),
        }
    }

    /// The answer to an operator's request, and what is published because of it. As for a request over HTTPS, rejections
    /// and the answers to reads are not published.
    pub(super) fn by_operator(
        &mut self,
        request: &ShadowRequest,
    ) -> (Result<Value, ShadowRejection>, Vec<CloudMessage>) {
        self.note(
            request,
            ShadowKind::Request(request.operation),
            request.echo(),
        );
        let publications = match self.carry_out(request) {
            Ok(publications) => publications,
            Err(rejection) => return (Err(rejection), Vec::new()),
        };
        let answer = publications.first().map(|answer| answer.content.clone());
        let messages = match request.operation {
            ShadowOperation::Get => Vec::new(),
            ShadowOperation::Update | ShadowOperation::Delete => {
                self.publish(request, publications)
            }
        };
        (Ok(answer.unwrap_or_default()), messages)
    }

    /// What is published at once because of a device's request.
    pub(super) fn by_device(&mut self, request: &ShadowRequest) -> Vec<CloudMessage> {
        let ticket = self.begin(request);
        if self.in_flight.count(&request.name.thing) > self.limits.in_flight {
            self.in_flight.end(ticket);
            return vec![self.message(request, request.rejected(&ShadowRejection::of_code(429)))];
        }
        let outcome = match self
            .script
            .at(ShadowStage::Arrived, &request.name, request.operation)
        {
            Some(ShadowTrouble::Ignore) => {
                self.note(
                    request,
                    ShadowKind::Ignored(request.operation),
                    request.echo(),
                );
                return Vec::new();
            }
            Some(ShadowTrouble::Reject(code)) => Err(ShadowRejection::of_code(code)),
            _ => self.carry_out(request),
        };
        let publications = outcome.unwrap_or_else(|rejection| vec![request.rejected(&rejection)]);
        let publications = self.answer(request, ticket, publications);
        self.publish(request, publications)
    }

    fn begin(&mut self, request: &ShadowRequest) -> Ticket {
        let longest = self.limits.in_flight_for;
        self.in_flight
            .give_up(request.at.cloud.saturating_sub(longest));
        let client = request.client.as_deref().unwrap_or_default();
        let ticket = self
            .in_flight
            .begin(&request.name.thing, client, request.at.cloud);
        self.note(
            request,
            ShadowKind::Request(request.operation),
            request.echo(),
        );
        ticket
    }

    /// What is to be published, the answer first.
    fn carry_out(&mut self, request: &ShadowRequest) -> Result<Vec<Publication>, ShadowRejection> {
        let (name, operation, at) = (&request.name, request.operation, request.at.cloud);
        let accepted = |content| Publication::accepted(operation, content);
        match operation {
            ShadowOperation::Get => {
                let content = self.store.get(name, request.content()?, at)?;
                Ok(vec![accepted(content)])
            }
            ShadowOperation::Delete => {
                let content = self.store.delete(name, request.echo(), at)?;
                self.signal_change();
                Ok(vec![accepted(content)])
            }
            ShadowOperation::Update => {
                let updated = self.store.update(name, request.content()?, at)?;
                self.signal_change();
                let delta = updated.delta.map(Publication::delta);
                let documents = Publication::documents(updated.documents);
                let all = [Some(accepted(updated.accepted)), delta, Some(documents)];
                Ok(all.into_iter().flatten().collect())
            }
        }
    }

    fn signal_change(&self) {
        // If a signal is waiting already, or nobody receives it any more, another one is not needed.
        let _ = self
            .change_signal
            .as_ref()
            .map(|change_signal| change_signal.try_send(()));
    }

    /// Applies the faults of the answer, which comes first, and returns what is left to be published at once.
    fn answer(
        &mut self,
        request: &ShadowRequest,
        ticket: Ticket,
        mut publications: Vec<Publication>,
    ) -> Vec<Publication> {
        match self
            .script
            .at(ShadowStage::Answered, &request.name, request.operation)
        {
            Some(ShadowTrouble::Withhold) => {
                let answer = publications.remove(0);
                self.note(
                    request,
                    ShadowKind::Withheld(request.operation),
                    &answer.content,
                );
            }
            Some(ShadowTrouble::Delay(delay)) => self.delayed.push(DelayedPublication {
                due: request.at.now + delay,
                ticket,
                request: request.clone(),
                answer: publications.remove(0),
            }),
            Some(ShadowTrouble::Garble(garbage)) => {
                let answer = publications.remove(0);
                publications.insert(0, answer.garbled(request.operation, garbage));
                self.in_flight.end(ticket);
            }
            _ => self.in_flight.end(ticket),
        }
        publications
    }

    fn publish(
        &mut self,
        request: &ShadowRequest,
        publications: Vec<Publication>,
    ) -> Vec<CloudMessage> {
        let publications = self.apply_update_faults(request, publications);
        let new = publications
            .iter()
            .find(|one| one.kind == ShadowKind::Delta);
        if let Some(delta) = new {
            let old = self.deltas.entry(request.name.clone()).or_default();
            old.push(delta.content.clone());
            old.drain(..old.len().saturating_sub(OLD_DELTAS));
        }
        let messages = publications.into_iter();
        messages
            .map(|publication| self.message(request, publication))
            .collect()
    }

    /// Applies the faults of an accepted update to its publications.
    fn apply_update_faults(
        &mut self,
        request: &ShadowRequest,
        mut publications: Vec<Publication>,
    ) -> Vec<Publication> {
        let documents = publications
            .iter()
            .any(|one| one.kind == ShadowKind::Documents);
        let Some(document) = self.store.document(&request.name).filter(|_| documents) else {
            return publications;
        };
        let random = |seed: u64| SeededRandom::new(seed, document.version);
        let (name, operation) = (&request.name, request.operation);
        if let Some(old) = self.deltas.get(name).filter(|old| !old.is_empty())
            && let Some(ShadowTrouble::StaleDelta(seed)) =
                self.script.at(ShadowStage::Joined, name, operation)
        {
            let stale = old[random(seed).below(old.len())].clone();
            publications.push(Publication::stale_delta(stale));
        }
        match self.script.at(ShadowStage::Ordered, name, operation) {
            Some(ShadowTrouble::Shuffle(seed)) => random(seed).shuffle(publications),
            _ => publications,
        }
    }

    /// The members of what is desired; `None` if there is no shadow.
    pub(super) fn desired(&self, name: &ShadowName) -> Option<Map<String, Value>> {
        let document = self.store.document(name);
        document.map(|document| document.desired.state.clone())
    }

    /// The delta message of this version, if it is still stored.
    pub(super) fn old_delta(
        &mut self,
        request: &ShadowRequest,
        version: u64,
    ) -> Option<CloudMessage> {
        let mut old = self.deltas.get(&request.name)?.iter();
        let delta = old.find(|delta| delta["version"] == version)?.clone();
        Some(self.message(request, Publication::stale_delta(delta)))
    }

    /// When the next delayed answer is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.delayed.iter().map(|delayed| delayed.due).min()
    }

    /// The delayed answers that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<CloudMessage> {
        let delayed = std::mem::take(&mut self.delayed).into_iter();
        let (mut due, later): (Vec<DelayedPublication>, _) =
            delayed.partition(|delayed| delayed.due <= now);
        self.delayed = later;
        due.sort_by_key(|delayed| delayed.due);
        let answer = |delayed: DelayedPublication| {
            self.in_flight.end(delayed.ticket);
            self.message(&delayed.request, delayed.answer)
        };
        due.into_iter().map(answer).collect()
    }

    /// Records a publication and makes its message.
    fn message(&self, request: &ShadowRequest, publication: Publication) -> CloudMessage {
        self.note(request, publication.kind, &publication.content);
        let topic = request.name.topic(&publication.end);
        CloudMessage::new(topic, publication.payload).qos(1)
    }

    /// Records an event of a request; `content` is that of the message which the event is about.
    fn note(&self, request: &ShadowRequest, kind: ShadowKind, content: &Value) {
        let version = content
            .get("version")
            .or(content.pointer("/current/version"));
        self.journal.note(Event::Shadow(ShadowEvent {
            name: request.name.clone(),
            kind,
            client_id: request.client.clone(),
            token: payload::token(content),
            version: version.and_then(Value::as_u64),
            in_flight: self.in_flight.count(&request.name.thing),
        }));
    }
}
