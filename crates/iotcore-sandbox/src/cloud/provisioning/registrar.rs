//! Carries out requests: issues certificates, and registers devices as things.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::hook::{HookAnswer, HookRequest};
use super::limits::ProvisioningLimits;
use super::payload::{self, Registration};
use super::registry::{Entry, ProvisionedCertificate, RegisteredThing, Registry};
use super::rejection::ProvisioningRejection;
use super::request::ProvisioningRequest;
use super::template::Template;
use super::topic::ProvisioningOperation;
use crate::broker::Clock;
use crate::pki::{CertificateKind, CertificateStatus, Issued, Pki, SubjectKey, random_hex};

/// Templates, certificates and things.
pub(crate) struct Registrar {
    pki: Arc<Pki>,
    clock: Clock,
    limits: ProvisioningLimits,
    pub(super) templates: HashMap<String, Template>,
    registry: Registry,
}

/// The result of a request that was carried out.
pub(super) struct Completed {
    pub answer: Value,
    pub certificate_id: String,
    pub thing: Option<String>,
}

impl Registrar {
    pub(crate) fn new(
        pki: Arc<Pki>,
        clock: Clock,
        limits: ProvisioningLimits,
        templates: Vec<Template>,
    ) -> Registrar {
        let named = |template: Template| (template.name.clone(), template);
        Registrar {
            pki,
            clock,
            limits,
            templates: templates.into_iter().map(named).collect(),
            registry: Registry::default(),
        }
    }

    /// Carries out a request. `kind` is that of a certificate that is issued.
    pub(super) fn carry_out(
        &mut self,
        request: &ProvisioningRequest,
        kind: CertificateKind,
    ) -> Result<Completed, ProvisioningRejection> {
        match request.topic.operation {
            ProvisioningOperation::Create => {
                payload::create(&request.payload)?;
                let issued = self.pki.issue_rsa(kind).map_err(internal)?;
                self.issue(request, issued)
            }
            ProvisioningOperation::CreateFromCsr => {
                let text = payload::csr(&request.payload)?;
                let key = SubjectKey::of_request(&text).map_err(ProvisioningRejection::csr)?;
                let (id, certificate_pem) = self.pki.certify(kind, &key).map_err(internal)?;
                let issued = Issued {
                    id,
                    certificate_pem,
                    private_key_pem: String::new(),
                };
                self.issue(request, issued)
            }
            ProvisioningOperation::Register => {
                self.register(request, payload::registration(&request.payload)?)
            }
        }
    }

    /// Answers with the certificate and its token, and with its key unless that is empty.
    fn issue(
        &mut self,
        request: &ProvisioningRequest,
        issued: Issued,
    ) -> Result<Completed, ProvisioningRejection> {
        // As long as AWS's tokens, so that a buffer that is too short for those is found.
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
            expires: request.at.now + self.clock.real(self.limits.token_lifetime),
            settled: false,
            certificate: ProvisionedCertificate {
                id: issued.id.clone(),
                certificate_pem: issued.certificate_pem,
                made_by: request.topic.operation,
                client_id: request.client.clone(),
                claim_certificate_id: request.certificate.clone(),
                status: pending,
                registered: None,
            },
        });
        Ok(Completed {
            answer,
            certificate_id: issued.id,
            thing: None,
        })
    }

    fn register(
        &mut self,
        request: &ProvisioningRequest,
        registration: Registration,
    ) -> Result<Completed, ProvisioningRejection> {
        let template = open_template(&self.templates, request)?;
        let entry = self.registry.owned(&registration.token, request.at.now)?;
        if entry.certificate.registered.is_some() && !template.takes_tokens_again {
            let message = "Certificate ownership token has already been used.";
            return Err(ProvisioningRejection::token(message));
        }
        let given = template.complete(registration.parameters)?;
        let parameters = ask_hook(template, request, &entry.certificate, given)?;
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
        Ok(Completed {
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

    /// Deletes the certificates that nobody registered in time, and returns them.
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

/// The template that the request names, if it is enabled.
fn open_template<'a>(
    templates: &'a HashMap<String, Template>,
    request: &ProvisioningRequest,
) -> Result<&'a Template, ProvisioningRejection> {
    let name = request.topic.template.as_deref().unwrap_or_default();
    match templates.get(name) {
        None => Err(ProvisioningRejection::no_template(name)),
        Some(template) if template.enabled => Ok(template),
        Some(_) => {
            let message = format!("Provisioning template '{name}' is disabled.");
            Err(ProvisioningRejection::template(message))
        }
    }
}

/// The parameters after the hook has allowed and changed them.
fn ask_hook(
    template: &Template,
    request: &ProvisioningRequest,
    certificate: &ProvisionedCertificate,
    mut parameters: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ProvisioningRejection> {
    let Some(hook) = &template.hook else {
        return Ok(parameters);
    };
    let hook_request = HookRequest {
        claim_certificate_id: request.certificate.clone(),
        certificate_id: certificate.id.clone(),
        certificate_pem: certificate.certificate_pem.clone(),
        template: template.name.clone(),
        client_id: request.client.clone(),
        parameters: parameters.clone(),
    };
    match hook(&hook_request) {
        HookAnswer::Allow => {}
        HookAnswer::AllowWith(overrides) => parameters.extend(overrides),
        HookAnswer::Deny => return Err(ProvisioningRejection::access_denied()),
    }
    Ok(parameters)
}

/// The cryptography library has failed, which would be a defect of the sandbox.
fn internal(_: anyhow::Error) -> ProvisioningRejection {
    ProvisioningRejection::internal_failure()
}
