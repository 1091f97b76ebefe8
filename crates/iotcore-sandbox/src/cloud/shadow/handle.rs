//! The handle with which a test reads and changes one shadow, as an operator does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::desired_file::changes;
use super::fault::ShadowFault;
use super::name::{ShadowName, ShadowOperation};
use super::rejection::ShadowRejection;
use super::request::ShadowRequest;
use super::service::Shadows;
use crate::broker::Moment;
use crate::net::Hub;

/// One shadow, whether it exists or not. Requests through this handle are as those over HTTPS: devices see their
/// `accepted`, `delta` and `documents`, and nothing of requests that were rejected or only read.
///
/// It may be cloned and used from any thread. It may outlive its sandbox; then no device sees what it does.
#[derive(Clone)]
pub struct Shadow {
    hub: Arc<Hub>,
    shadows: Shadows,
    name: ShadowName,
}

impl Shadow {
    /// # Panics
    /// When AWS does not allow these names.
    pub(crate) fn new(
        hub: Arc<Hub>,
        shadows: Shadows,
        thing: &str,
        shadow: Option<&str>,
    ) -> Shadow {
        let name = ShadowName::new(thing, shadow);
        let name = name.unwrap_or_else(|| panic!("AWS allows no shadow {thing:?} {shadow:?}"));
        Shadow::of(hub, shadows, name)
    }

    pub(super) fn of(hub: Arc<Hub>, shadows: Shadows, name: ShadowName) -> Shadow {
        Shadow { hub, shadows, name }
    }

    pub fn name(&self) -> &ShadowName {
        &self.name
    }

    /// Merges `desired` into what is desired; `null` clears it. Returns the new version.
    ///
    /// # Panics
    /// When it is rejected. [`update`](Shadow::update) returns the reason instead.
    pub fn desire(&self, desired: Value) -> u64 {
        self.change(json!({ "state": { "desired": desired } }))
    }

    /// The same for what is reported, as if a device did it.
    ///
    /// # Panics
    /// As [`desire`](Shadow::desire).
    pub fn report(&self, reported: Value) -> u64 {
        self.change(json!({ "state": { "reported": reported } }))
    }

    fn change(&self, request: Value) -> u64 {
        match self.update(request.clone()) {
            Ok(accepted) => accepted["version"]
                .as_u64()
                .expect("an answer has a version"),
            Err(rejection) => panic!("{request} to {}: {rejection}", self.name),
        }
    }

    /// Makes exactly `wanted` desired, whatever was desired before; creates the shadow if there is none. Returns what is
    /// desired then.
    pub(super) fn desire_exactly(
        &self,
        wanted: &Map<String, Value>,
    ) -> Result<Map<String, Value>, ShadowRejection> {
        let mut outcome = Ok(Map::new());
        self.hub.broker().publish_for_service(Instant::now(), |at| {
            let mut handler = self.shadows.handler();
            let current = handler.desired(&self.name);
            let changes = changes(&current.clone().unwrap_or_default(), wanted);
            let (answer, messages) = if current.is_some() && changes.is_empty() {
                (Ok(Value::Null), Vec::new())
            } else {
                let request = json!({ "state": { "desired": changes } });
                handler.by_operator(&self.request(ShadowOperation::Update, request, at))
            };
            outcome = answer.map(|_| handler.desired(&self.name).unwrap_or_default());
            messages
        });
        outcome
    }

    /// Carries out a whole request, `state` included: the content of `update/accepted`, or why it is rejected.
    pub fn update(&self, request: Value) -> Result<Value, ShadowRejection> {
        self.ask(ShadowOperation::Update, request)
    }

    /// Deletes the shadow: the content of `delete/accepted`, or why it is rejected.
    pub fn delete(&self) -> Result<Value, ShadowRejection> {
        self.ask(ShadowOperation::Delete, json!({}))
    }

    /// The whole document, as in `get/accepted`; `None` if there is no shadow.
    pub fn document(&self) -> Option<Value> {
        let at = self.hub.broker().moment(Instant::now());
        self.shadows
            .handler()
            .store
            .get(&self.name, &Value::Null, at.cloud)
            .ok()
    }

    /// What is desired; `None` if nothing is.
    pub fn desired(&self) -> Option<Value> {
        self.section("desired")
    }

    /// What is reported; `None` if nothing is.
    pub fn reported(&self) -> Option<Value> {
        self.section("reported")
    }

    /// What is desired and not reported; `None` if they agree.
    pub fn delta(&self) -> Option<Value> {
        self.section("delta")
    }

    fn section(&self, name: &str) -> Option<Value> {
        self.document()?.get("state")?.get(name).cloned()
    }

    /// `None` if there is no shadow.
    pub fn version(&self) -> Option<u64> {
        let handler = self.shadows.handler();
        handler
            .store
            .document(&self.name)
            .map(|document| document.version)
    }

    /// Shows `look` the whole document (null while there is none), and again after each change, until it returns true;
    /// false when the time is up.
    pub fn wait_for(&self, limit: Duration, mut look: impl FnMut(&Value) -> bool) -> bool {
        let until = Instant::now() + limit;
        loop {
            // Read first: what changes from here on is recorded after it.
            let seen = self.hub.journal.last();
            if look(&self.document().unwrap_or_default()) {
                return true;
            }
            if !self.hub.journal.wait_beyond(seen, until) {
                return false;
            }
        }
    }

    /// Adds to the end of the fault script, for this shadow only.
    pub fn fault(&self, fault: ShadowFault) {
        let name = Some(self.name.clone());
        self.shadows.handler().script.add(name, fault);
    }

    /// Publishes the delta message of this version once more, unchanged. False if there was none, or it is no longer stored.
    pub fn replay_delta(&self, version: u64) -> bool {
        let mut found = false;
        self.hub.broker().publish_for_service(Instant::now(), |at| {
            let request = self.request(ShadowOperation::Update, Value::Null, at);
            let delta = self.shadows.handler().old_delta(&request, version);
            found = delta.is_some();
            delta.into_iter().collect()
        });
        found
    }

    fn ask(&self, operation: ShadowOperation, request: Value) -> Result<Value, ShadowRejection> {
        let mut outcome = Ok(Value::Null);
        self.hub.broker().publish_for_service(Instant::now(), |at| {
            let request = self.request(operation, request, at);
            let (answer, messages) = self.shadows.handler().by_operator(&request);
            outcome = answer;
            messages
        });
        outcome
    }

    fn request(&self, operation: ShadowOperation, content: Value, at: Moment) -> ShadowRequest {
        ShadowRequest {
            name: self.name.clone(),
            operation,
            client: None,
            content: Ok(content),
            at,
        }
    }
}
