//! Requests dealt with one after the other, recorded, and answered as well or badly as the fault script has it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::asked::Asked;
use super::event::{ProvisioningEvent, ProvisioningKind};
use super::fault::{ProvisioningTrouble, Script, Stage};
use super::office::{Done, Office};
use super::rejection::ProvisioningRejection;
use super::topic::ProvisioningOperation;
use crate::journal::Journal;
use crate::packet::CloudMessage;
use crate::pki::CertificateKind;
use crate::record::Event;

/// Where requests are dealt with.
pub(super) struct Desk {
    pub office: Office,
    pub script: Script,
    /// Of which kind certificates are, unless the script says something else.
    pub kind: CertificateKind,
    journal: Arc<Journal>,
    requests: BTreeMap<ProvisioningOperation, usize>,
    /// The certificate with which each client is connected.
    shown: HashMap<String, String>,
    late: Vec<Late>,
}

/// An answer that waits.
struct Late {
    due: Instant,
    answer: Answer,
}

/// A message to a device, and what is recorded when it is sent.
struct Answer {
    message: CloudMessage,
    event: ProvisioningEvent,
}

impl Desk {
    pub(super) fn new(office: Office, journal: Arc<Journal>) -> Desk {
        Desk {
            office,
            script: Script::default(),
            kind: CertificateKind::Valid,
            journal,
            requests: BTreeMap::new(),
            shown: HashMap::new(),
            late: Vec::new(),
        }
    }

    /// How many requests of this kind have come.
    pub(super) fn requests(&self, operation: ProvisioningOperation) -> usize {
        self.requests.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn connected(&mut self, client: &str, certificate: &str) {
        self.shown.insert(client.to_owned(), certificate.to_owned());
    }

    /// With which certificate the client is connected.
    pub(super) fn certificate_of(&self, client: &str) -> String {
        self.shown.get(client).cloned().unwrap_or_default()
    }

    /// What is published at once because of a request.
    pub(super) fn by_device(&mut self, asked: &Asked) -> Vec<CloudMessage> {
        self.expire(asked.at.now);
        let operation = asked.topic.operation;
        *self.requests.entry(operation).or_default() += 1;
        let event = request_event(asked);
        self.note(&event, ProvisioningKind::Request);
        match self.script.at(Stage::Arrived, operation) {
            Some(ProvisioningTrouble::Ignore) => {
                self.note(&event, ProvisioningKind::Ignored);
                Vec::new()
            }
            Some(ProvisioningTrouble::Reject(rejection)) => {
                let answer = self.rejected(asked, event, &rejection);
                self.answer(asked, answer)
            }
            _ => {
                let answer = self.carry_out(asked, event);
                self.answer(asked, answer)
            }
        }
    }

    fn carry_out(&mut self, asked: &Asked, mut event: ProvisioningEvent) -> Answer {
        let operation = asked.topic.operation;
        let (kind, success) = match operation {
            ProvisioningOperation::Register => (self.kind, ProvisioningKind::Registered),
            ProvisioningOperation::Create | ProvisioningOperation::CreateFromCsr => {
                (self.kind_to_issue(operation), ProvisioningKind::Issued)
            }
        };
        let Done {
            answer,
            certificate_id,
            thing,
        } = match self.office.carry_out(asked, kind) {
            Ok(done) => done,
            Err(rejection) => return self.rejected(asked, event, &rejection),
        };
        (event.certificate_id, event.thing) = (Some(certificate_id), thing);
        self.note(&event, success);
        match self.script.at(Stage::CarriedOut, operation) {
            Some(ProvisioningTrouble::RejectAfterwards(rejection)) => {
                self.rejected(asked, event, &rejection)
            }
            _ => self.worded(asked, event, ProvisioningKind::Accepted, &answer),
        }
    }

    fn kind_to_issue(&mut self, operation: ProvisioningOperation) -> CertificateKind {
        match self.script.at(Stage::Issuing, operation) {
            Some(ProvisioningTrouble::Issue(kind)) => kind,
            _ => self.kind,
        }
    }

    fn rejected(
        &mut self,
        asked: &Asked,
        event: ProvisioningEvent,
        rejection: &ProvisioningRejection,
    ) -> Answer {
        let kind = ProvisioningKind::Rejected(rejection.status);
        self.worded(asked, event, kind, &rejection.content())
    }

    fn worded(
        &mut self,
        asked: &Asked,
        mut event: ProvisioningEvent,
        kind: ProvisioningKind,
        content: &Value,
    ) -> Answer {
        let end = match kind {
            ProvisioningKind::Accepted => "accepted",
            _ => "rejected",
        };
        event.kind = kind;
        let payload = match self.script.at(Stage::Worded, event.operation) {
            Some(ProvisioningTrouble::Garble(garbage)) => {
                event.kind = ProvisioningKind::Garbled;
                garbage.of(content)
            }
            _ => content.to_string().into_bytes(),
        };
        let message = CloudMessage::new(format!("{}/{end}", asked.topic), payload);
        let message = message.qos(1).only_to(&asked.client);
        Answer { message, event }
    }

    fn answer(&mut self, asked: &Asked, answer: Answer) -> Vec<CloudMessage> {
        match self.script.at(Stage::Answered, answer.event.operation) {
            Some(ProvisioningTrouble::Withhold) => {
                self.note(&answer.event, ProvisioningKind::Withheld);
                Vec::new()
            }
            Some(ProvisioningTrouble::Delay(delay)) => {
                let due = asked.at.now + delay;
                self.late.push(Late { due, answer });
                Vec::new()
            }
            _ => vec![self.sent(answer)],
        }
    }

    fn sent(&self, answer: Answer) -> CloudMessage {
        self.note(&answer.event, answer.event.kind);
        answer.message
    }

    /// Answers go to the connection that asked, and this one is no more.
    pub(super) fn disconnected(&mut self, client: &str) {
        self.shown.remove(client);
        let late = std::mem::take(&mut self.late).into_iter();
        let (dropped, kept): (Vec<Late>, _) =
            late.partition(|late| late.answer.event.client_id == client);
        self.late = kept;
        for late in dropped {
            self.note(&late.answer.event, ProvisioningKind::Dropped);
        }
    }

    /// When something happens of itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let late = self.late.iter().map(|late| late.due);
        late.chain(self.office.deadline()).min()
    }

    /// The late answers that are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<CloudMessage> {
        self.expire(now);
        let late = std::mem::take(&mut self.late).into_iter();
        let (mut due, later): (Vec<Late>, _) = late.partition(|late| late.due <= now);
        self.late = later;
        due.sort_by_key(|late| late.due);
        due.into_iter().map(|late| self.sent(late.answer)).collect()
    }

    fn expire(&mut self, now: Instant) {
        for certificate in self.office.delete_overdue(now) {
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

fn request_event(asked: &Asked) -> ProvisioningEvent {
    ProvisioningEvent {
        operation: asked.topic.operation,
        kind: ProvisioningKind::Request,
        client_id: asked.client.clone(),
        template: asked.topic.template.clone(),
        certificate_id: None,
        thing: None,
    }
}
