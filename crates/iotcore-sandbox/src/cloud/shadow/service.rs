//! The shadow service as the broker sees it, and as the handle does.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::{Map, Value};

use super::asked::Asked;
use super::desk::Desk;
use super::fault::ShadowFault;
use super::limits::ShadowLimits;
use super::name::ShadowName;
use super::request;
use crate::broker::{Moment, Service};
use crate::journal::Journal;
use crate::packet::CloudMessage;

/// The shadow service, shared by the broker and the handle. Who needs the broker too locks the broker first.
#[derive(Clone)]
pub(crate) struct Shadows(Arc<Mutex<Desk>>);

/// Rung when a shadow has changed.
pub(super) type Bell = SyncSender<()>;

/// What is desired, and what is reported.
pub(super) type Sections = (Map<String, Value>, Map<String, Value>);

impl Shadows {
    pub(crate) fn new(limits: ShadowLimits, journal: Arc<Journal>) -> Shadows {
        Shadows(Arc::new(Mutex::new(Desk::new(limits, journal))))
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().expect("the shadow service has not panicked")
    }

    /// The most requests of a thing that were not answered at the same time.
    pub(crate) fn most_in_flight(&self, thing: &str) -> usize {
        self.desk().in_flight.peak(thing)
    }

    /// From now on this bell is rung after each change.
    pub(super) fn ring(&self, bell: Bell) {
        self.desk().bell = Some(bell);
    }

    /// Both sections of every shadow that exists.
    pub(super) fn sections(&self) -> BTreeMap<ShadowName, Sections> {
        let desk = self.desk();
        let documents = desk.store.documents().map(|(name, document)| {
            let (desired, reported) = (&document.desired.state, &document.reported.state);
            (name.clone(), (desired.clone(), reported.clone()))
        });
        documents.collect()
    }

    /// Adds a fault of all shadows.
    pub(crate) fn add_fault(&self, fault: ShadowFault) {
        self.desk().script.add(None, fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.desk().script.clear();
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
            name,
            operation,
            client: Some(client_id.to_owned()),
            content: request::parse(&message.payload),
            at,
        })
    }

    fn disconnected(&mut self, client_id: &str) {
        self.desk().in_flight.disconnected(client_id);
    }

    fn deadline(&self) -> Option<Instant> {
        self.desk().deadline()
    }

    fn due(&mut self, at: Moment) -> Vec<CloudMessage> {
        self.desk().due(at.now)
    }
}
