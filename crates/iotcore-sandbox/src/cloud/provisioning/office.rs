//! Carries out requests: issues certificates, and makes things of devices.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::asked::Asked;
use super::hook::{HookAnswer, HookRequest};
use super::limits::ProvisioningLimits;
use super::registry::{Entry, ProvisionedCertificate, RegisteredThing, Registry};
use super::rejection::ProvisioningRejection;
use super::request::{self, Registration};
use super::template::Template;
use super::topic::ProvisioningOperation;
use crate::broker::Clock;
use crate::pki::{CertificateKind, CertificateStatus, Issued, Pki, SubjectKey, random_hex};

/// Templates, certificates and things.
pub(crate) struct Office {
    pki: Arc<Pki>,
    clock: Clock,
    limits: ProvisioningLimits,
    pub(super) templates: HashMap<String, Template>,
    registry: Registry,
}

/// What came of a request that was carried out.
pub(super) struct Done {
    pub answer: Value,
    pub certificate_id: String,
    pub thing: Option<String>,
}

impl Office {
    pub(crate) fn new(
        pki: Arc<Pki>,
        clock: Clock,
        limits: ProvisioningLimits,
        templates: Vec<Template>,
    ) -> Office {
        let named = |template: Template| (template.name.clone(), template);
        Office {
            pki,
            clock,
            limits,
            templates: templates.into_iter().map(named).collect(),
            registry: Registry::default(),
        }
    }

    /// A certificate that is issued is of this kind.
    pub(super) fn carry_out(
        &mut self,
        asked: &Asked,
        kind: CertificateKind,
    ) -> Result<Done, ProvisioningRejection> {
        match asked.topic.operation {
            ProvisioningOperation::Create => {
                request::create(&asked.payload)?;
                let issued = self.pki.issue_rsa(kind).map_err(internal)?;
                self.issue(asked, issued)
            }
            ProvisioningOperation::CreateFromCsr => {
                let text = request::csr(&asked.payload)?;
                let key = SubjectKey::of_request(&text).map_err(ProvisioningRejection::csr)?;
                let (id, certificate_pem) = self.pki.certify(kind, &key).map_err(internal)?;
                let issued = Issued {
                    id,
                    certificate_pem,
                    private_key_pem: String::new(),
                };
                self.issue(asked, issued)
            }
            ProvisioningOperation::Register => {
                self.register(asked, request::registration(&asked.payload)?)
            }
        }
    }

    /// Hands out a certificate with its token, and with its key unless that is empty.
    fn issue(&mut self, asked: &Asked, issued: Issued) -> Result<Done, ProvisioningRejection> {
        // As long as AWS's are, so that no buffer is too short for those.
        let token = format!("eyJ{}", random_hex(230).map_err(internal)?);
        let mut answer = json!({
            "certificateId": issued.id,
            "certificatePem": issued.certificate_pem,
            "certificateOwnershipToken": token,
        });
        if !issued.private_key_pem.is_empty() {
            answer["privateKey"] = Value::String(issued.private_key_pem);
        }
        let pending = CertificateStatus::PendingActivation;
        self.pki.statuses().set(&issued.id, pending);
        self.registry.add(Entry {
            token,
            expires: asked.at.now + self.clock.real(self.limits.token_lifetime),
            settled: false,
            certificate: ProvisionedCertificate {
                id: issued.id.clone(),
                certificate_pem: issued.certificate_pem,
                made_by: asked.topic.operation,
                client_id: asked.client.clone(),
                claim_certificate_id: asked.certificate.clone(),
                status: pending,
                registered: None,
            },
        });
        Ok(Done {
            answer,
            certificate_id: issued.id,
            thing: None,
        })
    }

    fn register(
        &mut self,
        asked: &Asked,
        registration: Registration,
    ) -> Result<Done, ProvisioningRejection> {
        let template = open_template(&self.templates, asked)?;
        let entry = self.registry.owned(&registration.token, asked.at.now)?;
        if entry.certificate.registered.is_some() && !template.takes_tokens_again {
            let message = "Certificate ownership token has already been used.";
            return Err(ProvisioningRejection::token(message));
        }
        let said = template.complete(registration.parameters)?;
        let parameters = ask_hook(template, asked, &entry.certificate, said)?;
        let id = entry.certificate.id.clone();
        let rendered = template.render(&parameters, &id)?;
        if !template.takes_known_things && self.registry.is_of_another(&rendered.thing, &id) {
            return Err(ProvisioningRejection::known_thing(&rendered.thing));
        }
        self.pki.statuses().set(&id, template.status);
        let registered = RegisteredThing {
            thing: rendered.thing.clone(),
            template: template.name.clone(),
            parameters,
        };
        self.registry.register(&id, registered);
        let answer = json!({
            "deviceConfiguration": rendered.configuration,
            "thingName": rendered.thing,
        });
        Ok(Done {
            answer,
            certificate_id: id,
            thing: Some(rendered.thing),
        })
    }

    /// Every certificate that was issued, in order.
    pub(super) fn certificates(&self) -> Vec<ProvisionedCertificate> {
        let certificate = |entry: &Entry| ProvisionedCertificate {
            status: self.pki.statuses().of(&entry.certificate.id),
            ..entry.certificate.clone()
        };
        self.registry.entries().map(certificate).collect()
    }

    /// When a certificate may have to be deleted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.registry.deadline()
    }

    /// Deletes the certificates that nobody registered in time; which those are.
    pub(super) fn delete_overdue(&mut self, now: Instant) -> Vec<ProvisionedCertificate> {
        let statuses = self.pki.statuses();
        let mut overdue = self.registry.overdue(now);
        // An operator may have activated or revoked it.
        overdue.retain(|one| statuses.of(&one.id) == CertificateStatus::PendingActivation);
        for certificate in &overdue {
            statuses.set(&certificate.id, CertificateStatus::Deleted);
        }
        overdue
    }
}

/// The template that is asked for, if devices may become things by it.
fn open_template<'a>(
    templates: &'a HashMap<String, Template>,
    asked: &Asked,
) -> Result<&'a Template, ProvisioningRejection> {
    let name = asked.topic.template.as_deref().unwrap_or_default();
    match templates.get(name) {
        None => Err(ProvisioningRejection::no_template(name)),
        Some(template) if template.enabled => Ok(template),
        Some(_) => {
            let message = format!("Provisioning template '{name}' is disabled.");
            Err(ProvisioningRejection::template(message))
        }
    }
}

/// The parameters as the hook wants them.
fn ask_hook(
    template: &Template,
    asked: &Asked,
    certificate: &ProvisionedCertificate,
    mut parameters: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ProvisioningRejection> {
    let Some(hook) = &template.hook else {
        return Ok(parameters);
    };
    let request = HookRequest {
        claim_certificate_id: asked.certificate.clone(),
        certificate_id: certificate.id.clone(),
        certificate_pem: certificate.certificate_pem.clone(),
        template: template.name.clone(),
        client_id: asked.client.clone(),
        parameters: parameters.clone(),
    };
    match hook(&request) {
        HookAnswer::Allow => {}
        HookAnswer::AllowWith(overrides) => parameters.extend(overrides),
        HookAnswer::Deny => return Err(ProvisioningRejection::access_denied()),
    }
    Ok(parameters)
}

/// The cryptography library refuses, which would be a defect of the sandbox.
fn internal(_: anyhow::Error) -> ProvisioningRejection {
    ProvisioningRejection::internal_failure()
}
