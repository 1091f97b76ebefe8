//! Handles requests one after the other: records each, has it carried out, and answers it, with the faults of the script.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::event::{ProvisioningEvent, ProvisioningKind};
use super::fault::{ProvisioningFaultScript, ProvisioningStage, ProvisioningTrouble};
use super::registrar::{Completed, Registrar};
use super::rejection::ProvisioningRejection;
use super::request::ProvisioningRequest;
use super::topic::ProvisioningOperation;
use crate::journal::Journal;
use crate::packet::CloudMessage;
use crate::pki::CertificateKind;
use crate::record::Event;

/// Handles the requests of devices.
pub(super) struct RequestHandler {
    pub registrar: Registrar,
    pub script: ProvisioningFaultScript,
    /// The kind of the certificates that are issued, unless the script says otherwise.
    pub kind: CertificateKind,
    journal: Arc<Journal>,
    requests: BTreeMap<ProvisioningOperation, usize>,
    /// The certificate with which each client is connected.
    certificates: HashMap<String, String>,
    delayed: Vec<DelayedAnswer>,
}

/// An answer that is published later.
struct DelayedAnswer {
    due: Instant,
    answer: Answer,
}

/// A message to a device, and what is recorded when it is sent.
struct Answer {
    message: CloudMessage,
    event: ProvisioningEvent,
}

impl RequestHandler {
    pub(super) fn new(registrar: Registrar, journal: Arc<Journal>) -> RequestHandler {
        RequestHandler {
            registrar,
            script: ProvisioningFaultScript::default(),
            kind: CertificateKind::Valid,
            journal,
            requests: BTreeMap::new(),
            certificates: HashMap::new(),
            delayed: Vec::new(),
        }
    }

    /// How many requests of this kind have arrived.
    pub(super) fn requests(&self, operation: ProvisioningOperation) -> usize {
        self.requests.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn connected(&mut self, client: &str, certificate: &str) {
        self.certificates
            .insert(client.to_owned(), certificate.to_owned());
    }

    /// With which certificate the client is connected.
    pub(super) fn certificate_of(&self, client: &str) -> String {
        self.certificates.get(client).cloned().unwrap_or_default()
    }

    /// What is published at once in answer to a request.
    pub(super) fn by_device(&mut self, request: &ProvisioningRequest) -> Vec<CloudMessage> {
        self.expire(request.at.now);
        let operation = request.topic.operation;
        *self.requests.entry(operation).or_default() += 1;
        let event = request_event(request);
        self.note(&event, ProvisioningKind::Request);
        match self.script.at(ProvisioningStage::Arrived, operation) {
            Some(ProvisioningTrouble::Ignore) => {
                self.note(&event, ProvisioningKind::Ignored);
                Vec::new()
            }
            Some(ProvisioningTrouble::Reject(rejection)) => {
                let answer = self.rejected(request, event, &rejection);
                self.answer(request, answer)
            }
            _ => {
                let answer = self.carry_out(request, event);
                self.answer(request, answer)
            }
        }
    }

    fn carry_out(&mut self, request: &ProvisioningRequest, mut event: ProvisioningEvent) -> Answer {
        let operation = request.topic.operation;
        let (kind, success) = match operation {
            ProvisioningOperation::Register => (self.kind, ProvisioningKind::Registered),
            ProvisioningOperation::Create | ProvisioningOperation::CreateFromCsr => {
                (self.kind_to_issue(operation), ProvisioningKind::Issued)
            }
        };
        let Completed {
            answer,
            certificate_id,
            thing,
        } = match self.registrar.carry_out(request, kind) {
            Ok(done) => done,
            Err(rejection) => return self.rejected(request, event, &rejection),
        };
        (event.certificate_id, event.thing) = (Some(certificate_id), thing);
        self.note(&event, success);
        match self.script.at(ProvisioningStage::CarriedOut, operation) {
            Some(ProvisioningTrouble::RejectAfterwards(rejection)) => {
                self.rejected(request, event, &rejection)
            }
            _ => self.composed(request, event, ProvisioningKind::Accepted, &answer),
        }
    }

    fn kind_to_issue(&mut self, operation: ProvisioningOperation) -> CertificateKind {
        match self.script.at(ProvisioningStage::Issuing, operation) {
            Some(ProvisioningTrouble::Issue(kind)) => kind,
            _ => self.kind,
        }
    }

    fn rejected(
        &mut self,
        request: &ProvisioningRequest,
        event: ProvisioningEvent,
        rejection: &ProvisioningRejection,
    ) -> Answer {
        let kind = ProvisioningKind::Rejected(rejection.status);
        self.composed(request, event, kind, &rejection.content())
    }

    fn composed(
        &mut self,
        request: &ProvisioningRequest,
        mut event: ProvisioningEvent,
        kind: ProvisioningKind,
        content: &Value,
    ) -> Answer {
        let end = match kind {
            ProvisioningKind::Accepted => "accepted",
            _ => "rejected",
        };
        event.kind = kind;
        let payload = match self.script.at(ProvisioningStage::Composed, event.operation) {
            Some(ProvisioningTrouble::Garble(garbage)) => {
                event.kind = ProvisioningKind::Garbled;
                garbage.of(content)
            }
            _ => content.to_string().into_bytes(),
        };
        let message = CloudMessage::new(format!("{}/{end}", request.topic), payload);
        let message = message.qos(1).only_to(&request.client);
        Answer { message, event }
    }

    fn answer(&mut self, request: &ProvisioningRequest, answer: Answer) -> Vec<CloudMessage> {
        match self
            .script
            .at(ProvisioningStage::Answered, answer.event.operation)
        {
            Some(ProvisioningTrouble::Withhold) => {
                self.note(&answer.event, ProvisioningKind::Withheld);
                Vec::new()
            }
            Some(ProvisioningTrouble::Delay(delay)) => {
                let due = request.at.now + delay;
                self.delayed.push(DelayedAnswer { due, answer });
                Vec::new()
            }
            _ => vec![self.sent(answer)],
        }
    }

    fn sent(&self, answer: Answer) -> CloudMessage {
        self.note(&answer.event, answer.event.kind);
        answer.message
    }

    /// Drops the answers to a client that has gone: answers belong to the connection of their request.
    pub(super) fn disconnected(&mut self, client: &str) {
        self.certificates.remove(client);
        let delayed = std::mem::take(&mut self.delayed).into_iter();
        let (dropped, kept): (Vec<DelayedAnswer>, _) =
            delayed.partition(|delayed| delayed.answer.event.client_id == client);
        self.delayed = kept;
        for delayed in dropped {
            self.note(&delayed.answer.event, ProvisioningKind::Dropped);
        }
    }

    /// When the next delayed answer is due, or the next certificate to be deleted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let delayed = self.delayed.iter().map(|delayed| delayed.due);
        delayed.chain(self.registrar.deadline()).min()
    }

    /// The delayed answers that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<CloudMessage> {
        self.expire(now);
        let delayed = std::mem::take(&mut self.delayed).into_iter();
        let (mut due, later): (Vec<DelayedAnswer>, _) =
            delayed.partition(|delayed| delayed.due <= now);
        self.delayed = later;
        due.sort_by_key(|delayed| delayed.due);
        due.into_iter()
            .map(|delayed| self.sent(delayed.answer))
            .collect()
    }

    fn expire(&mut self, now: Instant) {
        for certificate in self.registrar.delete_overdue(now) {
            self.journal.note(Event::Provisioning(ProvisioningEvent {
                operation: certificate.made_by,
                kind: ProvisioningKind::Deleted,
                client_id: certificate.client_id,
                template: None,
                certificate_id: Some(certificate.id),
                thing: None,
            }));
        }
    }

    fn note(&self, event: &ProvisioningEvent, kind: ProvisioningKind) {
        let event = event.clone();
        self.journal
            .note(Event::Provisioning(ProvisioningEvent { kind, ..event }));
    }
}

fn request_event(request: &ProvisioningRequest) -> ProvisioningEvent {
    ProvisioningEvent {
        operation: request.topic.operation,
        kind: ProvisioningKind::Request,
        client_id: request.client.clone(),
        template: request.topic.template.clone(),
        certificate_id: None,
        thing: None,
    }
}
