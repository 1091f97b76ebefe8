//! Fleet provisioning as the broker sees it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::registrar::Registrar;
use super::request::ProvisioningRequest;
use super::request_handler::RequestHandler;
use super::topic::Topic;
use crate::broker::{Moment, Service};
use crate::journal::Journal;
use crate::packet::CloudMessage;

/// Fleet provisioning, shared by the broker and the handle. Lock order: the broker before this.
#[derive(Clone)]
pub(crate) struct Provisioner(Arc<Mutex<RequestHandler>>);

impl Provisioner {
    pub(crate) fn new(registrar: Registrar, journal: Arc<Journal>) -> Provisioner {
        Provisioner(Arc::new(Mutex::new(RequestHandler::new(
            registrar, journal,
        ))))
    }

    pub(super) fn handler(&self) -> MutexGuard<'_, RequestHandler> {
        self.0.lock().expect("fleet provisioning has not panicked")
    }
}

impl Service for Provisioner {
    fn published(
        &mut self,
        client_id: &str,
        message: &CloudMessage,
        at: Moment,
    ) -> Vec<CloudMessage> {
        let Some(topic) = Topic::of_request(&message.topic) else {
            return Vec::new();
        };
        let mut handler = self.handler();
        let request = ProvisioningRequest {
            topic,
            client: client_id.to_owned(),
            certificate: handler.certificate_of(client_id),
            payload: message.payload.clone(),
            at,
        };
        handler.by_device(&request)
    }

    fn connected(&mut self, client_id: &str, certificate_id: &str) {
        self.handler().connected(client_id, certificate_id);
    }

    fn disconnected(&mut self, client_id: &str) {
        self.handler().disconnected(client_id);
    }

    fn deadline(&self) -> Option<Instant> {
        self.handler().deadline()
    }

    fn due(&mut self, at: Moment) -> Vec<CloudMessage> {
        self.handler().due(at.now)
    }
}
