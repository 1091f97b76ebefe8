//! Fleet provisioning as the broker sees it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::asked::Asked;
use super::desk::Desk;
use super::office::Office;
use super::topic::Topic;
use crate::broker::{Moment, Service};
use crate::journal::Journal;
use crate::packet::CloudMessage;

/// Fleet provisioning, shared by the broker and the handle. Who needs the broker too locks the broker first.
#[derive(Clone)]
pub(crate) struct Provisioner(Arc<Mutex<Desk>>);

impl Provisioner {
    pub(crate) fn new(office: Office, journal: Arc<Journal>) -> Provisioner {
        Provisioner(Arc::new(Mutex::new(Desk::new(office, journal))))
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
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
        let Some(topic) = Topic::asked(&message.topic) else {
            return Vec::new();
        };
        let mut desk = self.desk();
        let asked = Asked {
            topic,
            client: client_id.to_owned(),
            certificate: desk.certificate_of(client_id),
            payload: message.payload.clone(),
            at,
        };
        desk.by_device(&asked)
    }

    fn connected(&mut self, client_id: &str, certificate_id: &str) {
        self.desk().connected(client_id, certificate_id);
    }

    fn disconnected(&mut self, client_id: &str) {
        self.desk().disconnected(client_id);
    }

    fn deadline(&self) -> Option<Instant> {
        self.desk().deadline()
    }

    fn due(&mut self, at: Moment) -> Vec<CloudMessage> {
        self.desk().due(at.now)
    }
}
