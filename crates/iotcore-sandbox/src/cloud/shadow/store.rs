//! Pure: all shadows and their versions. A request is carried out completely or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::answer::AnswerContext;
use super::document::{Document, Merger};
use super::limits::ShadowLimits;
use super::name::ShadowName;
use super::payload::{self, Update};
use super::rejection::ShadowRejection;

/// All shadows. Times are those of the cloud's clock, since the epoch.
pub(super) struct Store {
    limits: ShadowLimits,
    shadows: BTreeMap<ShadowName, StoredShadow>,
}

enum StoredShadow {
    Alive(Box<Document>),
    Deleted { version: u64, at: Duration },
}

/// What the cloud publishes after an update.
#[derive(Debug)]
pub(super) struct Updated {
    pub accepted: Value,
    pub delta: Option<Value>,
    pub documents: Value,
}

impl Store {
    pub(super) fn new(limits: ShadowLimits) -> Store {
        Store {
            limits,
            shadows: BTreeMap::new(),
        }
    }

    pub(super) fn document(&self, name: &ShadowName) -> Option<&Document> {
        match self.shadows.get(name) {
            Some(StoredShadow::Alive(document)) => Some(document),
            Some(StoredShadow::Deleted { .. }) | None => None,
        }
    }

    /// The shadows that exist.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&ShadowName, &Document)> {
        self.shadows.iter().filter_map(|(name, entry)| match entry {
            StoredShadow::Alive(document) => Some((name, document.as_ref())),
            StoredShadow::Deleted { .. } => None,
        })
    }

    /// The answer to a `get`.
    pub(super) fn get(
        &self,
        name: &ShadowName,
        request: &Value,
        at: Duration,
    ) -> Result<Value, ShadowRejection> {
        payload::check_token(request)?;
        let document = self.document(name);
        let document = document.ok_or_else(|| ShadowRejection::no_shadow(name))?;
        Ok(AnswerContext::of(request, at).document(document))
    }

    /// Carries out an `update`; the shadow need not exist.
    pub(super) fn update(
        &mut self,
        name: &ShadowName,
        request: &Value,
        at: Duration,
    ) -> Result<Updated, ShadowRejection> {
        let update = payload::update(request, &self.limits)?;
        let before = self.document(name).cloned();
        let version = self.next_version(name, at);
        // For a shadow that does not exist yet, the only version that a request can expect is the one that it is about to get.
        let agreed = before.as_ref().map_or(version, |document| document.version);
        if update.version.is_some_and(|asked| asked != agreed) {
            return Err(ShadowRejection::of_code(409));
        }
        let after = self.changed(before.clone().unwrap_or_default(), &update, version, at)?;
        let context = AnswerContext::of(request, at);
        let updated = Updated {
            accepted: context.accepted(request, version),
            delta: context.delta(&after),
            documents: context.documents(before.as_ref(), &after, self.limits.first_previous),
        };
        self.shadows
            .insert(name.clone(), StoredShadow::Alive(Box::new(after)));
        Ok(updated)
    }

    /// Carries out a `delete`. Its payload may be anything.
    pub(super) fn delete(
        &mut self,
        name: &ShadowName,
        request: &Value,
        at: Duration,
    ) -> Result<Value, ShadowRejection> {
        let document = self.document(name);
        let document = document.ok_or_else(|| ShadowRejection::no_shadow(name))?;
        let version = document.version;
        self.shadows
            .insert(name.clone(), StoredShadow::Deleted { version, at });
        Ok(AnswerContext::of(request, at).deleted(version))
    }

    fn next_version(&self, name: &ShadowName, at: Duration) -> u64 {
        match self.shadows.get(name) {
            Some(StoredShadow::Alive(document)) => document.version + 1,
            Some(StoredShadow::Deleted { version, at: since })
                if at.saturating_sub(*since) < self.limits.version_memory =>
            {
                version + self.limits.version_step
            }
            Some(StoredShadow::Deleted { .. }) | None => 1,
        }
    }

    fn changed(
        &self,
        mut document: Document,
        update: &Update,
        version: u64,
        at: Duration,
    ) -> Result<Document, ShadowRejection> {
        let merger = Merger {
            timestamp: at.as_secs(),
            drops_empty_objects: self.limits.drops_empty_objects,
        };
        document.desired.apply(&update.desired, merger);
        document.reported.apply(&update.reported, merger);
        document.version = version;
        let fits = document.size() <= self.limits.document;
        fits.then_some(document)
            .ok_or_else(|| ShadowRejection::of_code(413))
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
