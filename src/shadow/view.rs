//! Pure: what the cloud is known to hold, kept up to date from answers, echoes and deltas that may
//! come late, twice or in any order.

use serde_json::{Map, Value};

use super::answer::{Accepted, Delta, Sections};
use super::document::merge;

/// One shadow as the cloud is known to hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The newest version heard of. `None`: there is no shadow.
    version: Option<u64>,
    /// Up to this version `state` is a copy; beyond it only the desired section of the newest
    /// delta is known.
    exact: u64,
    state: Sections,
}

/// What a message told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    /// The desired section has changed.
    News,
    /// Something is missing in between, or the shadow was made anew: fetch it.
    Gap,
}

impl View {
    /// The answer to a fetch.
    pub fn of(document: Accepted) -> View {
        View {
            version: Some(document.version),
            exact: document.version,
            state: document.state,
        }
    }

    pub fn version(&self) -> Option<u64> {
        self.version
    }

    pub fn desired(&self) -> &Map<String, Value> {
        &self.state.desired
    }

    pub fn reported(&self) -> &Map<String, Value> {
        &self.state.reported
    }

    /// A delta. One that is not newer than what is known tells nothing; an older one may come from
    /// a shadow that was deleted and made anew, whose versions begin again.
    pub fn delta(&mut self, delta: &Delta) -> Told {
        let known = self.version.unwrap_or(0);
        if delta.version < known {
            return Told::Gap;
        }
        if delta.version == known {
            return Told::Nothing;
        }
        self.version = Some(delta.version);
        self.state.desired = delta.desired.clone();
        Told::News
    }

    /// Somebody else's update was accepted. There is no delta for a wish that equals what is
    /// reported, so that the echo is the only message that tells of it.
    pub fn others_update(&mut self, echo: &Accepted) -> Told {
        let known = self.version.unwrap_or(0);
        if echo.version <= self.exact {
            return Told::Nothing;
        }
        if echo.version < known || echo.version > self.exact.saturating_add(1) {
            return Told::Gap;
        }
        self.version = Some(echo.version);
        self.exact = echo.version;
        let before = self.state.desired.clone();
        self.merge(echo);
        if self.state.desired == before {
            Told::Nothing
        } else {
            Told::News
        }
    }

    /// Our update was accepted; `sent` is what it said.
    pub fn own_update(&mut self, version: u64, sent: &Sections) -> Told {
        let known = self.version.unwrap_or(0);
        if version == self.exact.saturating_add(1) {
            self.exact = version;
        }
        merge_section(&mut self.state.reported, &sent.reported);
        if version >= known {
            self.version = Some(version);
            merge_section(&mut self.state.desired, &sent.desired);
        }
        if version > known.saturating_add(1) {
            Told::Gap
        } else {
            Told::Nothing
        }
    }

    fn merge(&mut self, echo: &Accepted) {
        if echo.desired_removed {
            self.state.desired.clear();
        }
        if echo.reported_removed {
            self.state.reported.clear();
        }
        merge_section(&mut self.state.desired, &echo.state.desired);
        merge_section(&mut self.state.reported, &echo.state.reported);
    }
}

fn merge_section(section: &mut Map<String, Value>, patch: &Map<String, Value>) {
    let mut whole = Value::Object(std::mem::take(section));
    merge(&mut whole, &Value::Object(patch.clone()));
    if let Value::Object(merged) = whole {
        *section = merged;
    }
}
