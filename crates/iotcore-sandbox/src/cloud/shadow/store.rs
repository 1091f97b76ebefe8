//! Pure: all shadows and their versions. A request is carried out wholly or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::answer::Occasion;
use super::document::{Document, Pen};
use super::limits::ShadowLimits;
use super::name::ShadowName;
use super::rejection::ShadowRejection;
use super::request::{self, Update};

/// What the cloud knows of all shadows. Times are those of the cloud's clock, since the epoch.
pub(super) struct Store {
    limits: ShadowLimits,
    shadows: BTreeMap<ShadowName, Entry>,
}

enum Entry {
    Alive(Box<Document>),
    Deleted { version: u64, at: Duration },
}

/// What an update makes the cloud publish.
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
            Some(Entry::Alive(document)) => Some(document),
            Some(Entry::Deleted { .. }) | None => None,
        }
    }

    /// The shadows that exist.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&ShadowName, &Document)> {
        self.shadows.iter().filter_map(|(name, entry)| match entry {
            Entry::Alive(document) => Some((name, document.as_ref())),
            Entry::Deleted { .. } => None,
        })
    }

    /// The answer to a `get`.
    pub(super) fn get(
        &self,
        name: &ShadowName,
        request: &Value,
        at: Duration,
    ) -> Result<Value, ShadowRejection> {
        request::check_token(request)?;
        let document = self.document(name);
        let document = document.ok_or_else(|| ShadowRejection::no_shadow(name))?;
        Ok(Occasion::of(request, at).document(document))
    }

    /// Carries out an `update`; the shadow need not exist.
    pub(super) fn update(
        &mut self,
        name: &ShadowName,
        request: &Value,
        at: Duration,
    ) -> Result<Updated, ShadowRejection> {
        let update = request::update(request, &self.limits)?;
        let before = self.document(name).cloned();
        let version = self.next_version(name, at);
        // A shadow that is not there yet has no version to agree on but the one that it is about to get.
        let agreed = before.as_ref().map_or(version, |document| document.version);
        if update.version.is_some_and(|asked| asked != agreed) {
            return Err(ShadowRejection::of_code(409));
        }
        let after = self.changed(before.clone().unwrap_or_default(), &update, version, at)?;
        let occasion = Occasion::of(request, at);
        let updated = Updated {
            accepted: occasion.accepted(request, version),
            delta: occasion.delta(&after),
            documents: occasion.documents(before.as_ref(), &after, self.limits.first_previous),
        };
        self.shadows
            .insert(name.clone(), Entry::Alive(Box::new(after)));
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
            .insert(name.clone(), Entry::Deleted { version, at });
        Ok(Occasion::of(request, at).deleted(version))
    }

    fn next_version(&self, name: &ShadowName, at: Duration) -> u64 {
        match self.shadows.get(name) {
            Some(Entry::Alive(document)) => document.version + 1,
            Some(Entry::Deleted { version, at: since })
                if at.saturating_sub(*since) < self.limits.version_memory =>
            {
                version + self.limits.version_step
            }
            Some(Entry::Deleted { .. }) | None => 1,
        }
    }

    fn changed(
        &self,
        mut document: Document,
        update: &Update,
        version: u64,
        at: Duration,
    ) -> Result<Document, ShadowRejection> {
        let pen = Pen {
            timestamp: at.as_secs(),
            drops_empty_objects: self.limits.drops_empty_objects,
        };
        document.desired.apply(&update.desired, pen);
        document.reported.apply(&update.reported, pen);
        document.version = version;
        let fits = document.size() <= self.limits.document;
        fits.then_some(document)
            .ok_or_else(|| ShadowRejection::of_code(413))
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
