//! The interface of the shadow service to the broker and the handle.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::{Map, Value};

use super::fault::ShadowFault;
use super::limits::ShadowLimits;
use super::name::ShadowName;
use super::payload;
use super::request::ShadowRequest;
use super::request_handler::ShadowRequestHandler;
use crate::broker::{Moment, Service};
use crate::journal::Journal;
use crate::packet::CloudMessage;

/// The shadow service, shared by the broker and the handle. Lock order: the broker before this.
#[derive(Clone)]
pub(crate) struct Shadows(Arc<Mutex<ShadowRequestHandler>>);

/// Signalled when a shadow has changed.
pub(super) type ChangeSignal = SyncSender<()>;

/// What is desired, and what is reported.
pub(super) type Sections = (Map<String, Value>, Map<String, Value>);

impl Shadows {
    pub(crate) fn new(limits: ShadowLimits, journal: Arc<Journal>) -> Shadows {
        Shadows(Arc::new(Mutex::new(ShadowRequestHandler::new(
            limits, journal,
        ))))
    }

    pub(super) fn handler(&self) -> MutexGuard<'_, ShadowRequestHandler> {
        self.0.lock().expect("the shadow service has not panicked")
    }

    /// The most requests of a thing that were unanswered at the same time.
    pub(crate) fn most_in_flight(&self, thing: &str) -> usize {
        self.handler().in_flight.peak(thing)
    }

    /// From now on this is signalled after each change.
    pub(super) fn signal_changes(&self, change_signal: ChangeSignal) {
        self.handler().change_signal = Some(change_signal);
    }

    /// Both sections of every shadow that exists.
    pub(super) fn sections(&self) -> BTreeMap<ShadowName, Sections> {
        let handler = self.handler();
        let documents = handler.store.documents().map(|(name, document)| {
            let (desired, reported) = (&document.desired.state, &document.reported.state);
            (name.clone(), (desired.clone(), reported.clone()))
        });
        documents.collect()
    }

    /// Adds a fault for all shadows.
    pub(crate) fn add_fault(&self, fault: ShadowFault) {
        self.handler().script.add(None, fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.handler().script.clear();
    }
}

impl Service for Shadows {
    fn published(
        &mut self,
        client_id: &str,
        message: &CloudMessage,
        at: Moment,
    ) -> Vec<CloudMessage> {
        let Some((name, operation)) = ShadowName::of_request(&message.topic) else {
            return Vec::new();
        };
        self.handler().by_device(&ShadowRequest {
            name,
            operation,
            client: Some(client_id.to_owned()),
            content: payload::parse(&message.payload),
            at,
        })
    }

    fn disconnected(&mut self, client_id: &str) {
        self.handler().in_flight.disconnected(client_id);
    }

    fn deadline(&self) -> Option<Instant> {
        self.handler().deadline()
    }

    fn due(&mut self, at: Moment) -> Vec<CloudMessage> {
        self.handler().due(at.now)
    }
}
