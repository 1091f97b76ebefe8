//! One shadow in the hands of a test, which is its operator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::fault::ShadowFault;
use super::mirror::changes;
use super::name::{ShadowName, ShadowOperation};
use super::rejection::ShadowRejection;
use super::service::Shadows;
use crate::broker::Moment;
use crate::net::Hub;

/// One shadow, whether it exists or not. What is done through this handle is done as over HTTPS: devices see its
/// `accepted`, `delta` and `documents`, and nothing of what was refused or only read.
///
/// It may be cloned and used from any thread, and outlives its sandbox, when nobody is left to see what it does.
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

    /// Merges `desired` into what is desired; `null` clears it. The new version.
    ///
    /// # Panics
    /// When it is refused. [`update`](Shadow::update) tells why instead.
    pub fn desire(&self, desired: Value) -> u64 {
        self.change(json!({ "state": { "desired": desired } }))
    }

    /// The same for what is reported, in the place of a device.
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

    /// Makes `wanted` what is desired, whatever was desired before, and the shadow, if there is none. What is desired
    /// then.
    pub(super) fn desire_exactly(
        &self,
        wanted: &Map<String, Value>,
    ) -> Result<Map<String, Value>, ShadowRejection> {
        let mut outcome = Ok(Map::new());
        self.hub.broker().let_cloud(Instant::now(), |at| {
            let mut desk = self.shadows.desk();
            let current = desk.desired(&self.name);
            let changes = changes(&current.clone().unwrap_or_default(), wanted);
            let (answer, messages) = if current.is_some() && changes.is_empty() {
                (Ok(Value::Null), Vec::new())
            } else {
                let request = json!({ "state": { "desired": changes } });
                desk.by_operator(&self.asked(ShadowOperation::Update, request, at))
            };
            outcome = answer.map(|_| desk.desired(&self.name).unwrap_or_default());
            messages
        });
        outcome
    }

    /// Carries out a whole request, `state` and all: what `update/accepted` says, or why it is refused.
    pub fn update(&self, request: Value) -> Result<Value, ShadowRejection> {
        self.ask(ShadowOperation::Update, request)
    }

    /// Deletes the shadow: what `delete/accepted` says, or why it cannot be.
    pub fn delete(&self) -> Result<Value, ShadowRejection> {
        self.ask(ShadowOperation::Delete, json!({}))
    }

    /// The whole document, as `get/accepted` has it; `None` if there is no shadow.
    pub fn document(&self) -> Option<Value> {
        let at = self.hub.broker().moment(Instant::now());
        self.shadows
            .desk()
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
        let desk = self.shadows.desk();
        desk.store
            .document(&self.name)
            .map(|document| document.version)
    }

    /// Shows `look` the whole document (null while there is none), and again after each change, until it says yes; false
    /// when the time is up.
    pub fn wait_for(&self, limit: Duration, mut look: impl FnMut(&Value) -> bool) -> bool {
        let until = Instant::now() + limit;
        loop {
            // Asked first: what changes from here on is recorded after it.
            let seen = self.hub.journal.last();
            if look(&self.document().unwrap_or_default()) {
                return true;
            }
            if !self.hub.journal.wait_beyond(seen, until) {
                return false;
            }
        }
    }

    /// From now on this goes wrong with this shadow, after what was to go wrong before.
    pub fn fault(&self, fault: ShadowFault) {
        let name = Some(self.name.clone());
        self.shadows.desk().script.add(name, fault);
    }

    /// Publishes the delta message of this version once more, as it was. False if there was none, or it is too long ago.
    pub fn replay_delta(&self, version: u64) -> bool {
        let mut found = false;
        self.hub.broker().let_cloud(Instant::now(), |at| {
            let asked = self.asked(ShadowOperation::Update, Value::Null, at);
            let delta = self.shadows.desk().old_delta(&asked, version);
            found = delta.is_some();
            delta.into_iter().collect()
        });
        found
    }

    fn ask(&self, operation: ShadowOperation, request: Value) -> Result<Value, ShadowRejection> {
        let mut outcome = Ok(Value::Null);
        self.hub.broker().let_cloud(Instant::now(), |at| {
            let asked = self.asked(operation, request, at);
            let (answer, messages) = self.shadows.desk().by_operator(&asked);
            outcome = answer;
            messages
        });
        outcome
    }

    fn asked(&self, operation: ShadowOperation, content: Value, at: Moment) -> Asked {
        Asked {
            name: self.name.clone(),
            operation,
            client: None,
            content: Ok(content),
            at,
        }
    }
}
