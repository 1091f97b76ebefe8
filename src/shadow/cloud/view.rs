//! Pure: what the cloud is known to hold, kept up to date from answers, echoes and deltas that may
//! come late, twice or in any order.

use serde_json::{Map, Value};

use super::answer::{Accepted, Delta, Sections};
use crate::shadow::document::merge;

/// One shadow as the cloud is known to hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The newest version known. `None`: there is no shadow.
    version: Option<u64>,
    /// Up to this version `state` is a copy.
    exact: u64,
    state: Sections,
    /// What a newer delta says: all that is desired and not reported.
    newer: Option<Map<String, Value>>,
}

/// What a message has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewChange {
    Nothing,
    /// The desired section has changed.
    Desired,
    /// Something is missing in between, or the shadow was made anew: fetch it.
    Stale,
}

impl View {
    /// The answer to a fetch.
    pub fn of(document: Accepted) -> View {
        View {
            version: Some(document.version),
            exact: document.version,
            state: document.state,
            newer: None,
        }
    }

    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// What is desired; perhaps without what is reported as well, see [`View::is_whole`].
    pub fn desired(&self) -> &Map<String, Value> {
        self.newer.as_ref().unwrap_or(&self.state.desired)
    }

    pub fn reported(&self) -> &Map<String, Value> {
        &self.state.reported
    }

    /// Whether all that is desired is known, and not only its difference from what is reported.
    pub fn is_whole(&self) -> bool {
        self.newer.is_none()
    }

    /// A delta. One that is not newer than what is known says nothing; an older one may come from
    /// a shadow that was deleted and made anew, whose versions begin again.
    pub fn delta(&mut self, delta: &Delta) -> ViewChange {
        let Some(known) = self.version else {
            return ViewChange::Stale;
        };
        if delta.version < known {
            return ViewChange::Stale;
        }
        if delta.version == known {
            return ViewChange::Nothing;
        }
        self.version = Some(delta.version);
        self.newer = Some(delta.desired.clone());
        ViewChange::Desired
    }

    /// Somebody else's update was accepted. There is no delta for a desired value that equals what
    /// is reported, so that the echo is the only message that shows it.
    pub fn others_update(&mut self, echo: &Accepted) -> ViewChange {
        let Some(known) = self.version else {
            return ViewChange::Stale;
        };
        if echo.version <= self.exact {
            return ViewChange::Nothing;
        }
        if echo.version > self.exact.saturating_add(1) {
            return ViewChange::Stale;
        }
        let before = self.desired().clone();
        self.exact = echo.version;
        self.version = Some(known.max(echo.version));
        self.merge(echo);
        self.drop_older_delta();
        if *self.desired() == before {
            ViewChange::Nothing
        } else {
            ViewChange::Desired
        }
    }

    /// Our update was accepted; `sent` is what it said.
    pub fn own_update(&mut self, version: u64, sent: &Sections) -> ViewChange {
        let known = self.version.unwrap_or(0);
        if version == self.exact.saturating_add(1) {
            self.exact = version;
        }
        merge_section(&mut self.state.reported, &sent.reported);
        merge_section(&mut self.state.desired, &sent.desired);
        if version >= known {
            self.version = Some(version);
            if let Some(newer) = &mut self.newer {
                merge_section(newer, &sent.desired);
            }
        }
        self.drop_older_delta();
        if version > known.saturating_add(1) {
            ViewChange::Stale
        } else {
            ViewChange::Nothing
        }
    }

    /// A delta that is no newer than the copy says nothing more.
    fn drop_older_delta(&mut self) {
        if Some(self.exact) >= self.version {
            self.newer = None;
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
