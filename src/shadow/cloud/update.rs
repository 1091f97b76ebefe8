//! Pure: one update: what it says, and what is settled when the cloud accepts it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::answer::Sections;
use crate::shadow::document::{compose, composes};
use crate::shadow::effect::FileId;

/// Updates are filled up to so many bytes: the cloud keeps 8 KB of a shadow.
const ROOM: usize = 8 * 1024;
/// In the place of a key, for the default shadow's members and the shadow itself.
pub const SEED: &str = "";

/// An update file that waits for the cloud.
#[derive(Clone, Debug)]
pub struct PendingFile {
    pub id: FileId,
    pub key: String,
    /// Goes into `reported` as it is; `None`: all of it is in the service's report.
    pub patch: Option<Value>,
    /// Belongs to the report of a service.
    pub of_service: bool,
}

/// One update. It is filled by the outbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    pub state: Sections,
    pub files: Vec<FileId>,
    /// The keys whose service reports or whose desired value is cleared, with the configuration, if
    /// it is said.
    pub reports: BTreeMap<String, Option<Value>>,
    pub seed: bool,
    pub create: bool,
    /// How many things it says that can be refused by themselves.
    pub parts: usize,
    /// The keys that it is about, and [`SEED`].
    pub subjects: BTreeSet<String>,
    /// Something in it was asked for: a desired value, an update file, a change of an outfile. All
    /// else can wait.
    pub prompted: bool,
    /// It says again what the cloud has accepted before.
    pub again: bool,
}

impl Update {
    /// Whether it must carry the version that it answers.
    pub fn clears(&self) -> bool {
        !self.state.desired.is_empty()
    }

    /// The keys whose desired values it clears.
    pub fn cleared(&self) -> impl Iterator<Item = &String> {
        self.state.desired.keys()
    }

    /// The request, without its token. `version`: it is refused if the shadow has another one.
    pub fn request(&self, version: Option<u64>) -> Value {
        let mut request = json!({ "state": self.sections() });
        if let Some(version) = version {
            request["version"] = version.into();
        }
        request
    }

    /// The `state` of the request. An empty one makes a shadow.
    pub fn sections(&self) -> Value {
        let mut sections = Map::new();
        if !self.state.reported.is_empty() || !self.clears() {
            sections.insert("reported".to_owned(), self.state.reported.clone().into());
        }
        if self.clears() {
            sections.insert("desired".to_owned(), self.state.desired.clone().into());
        }
        sections.into()
    }

    /// Whether another part may be added.
    pub fn has_room(&self, alone: bool) -> bool {
        self.parts == 0 || (!alone && self.size() <= ROOM)
    }

    /// Adds the result of a service: what has changed, with the whole configuration, and whether
    /// its desired value is cleared.
    pub fn report(&mut self, key: &str, change: Option<(Value, &Value)>, clears: bool) {
        self.reports
            .insert(key.to_owned(), change.as_ref().map(|it| it.1.clone()));
        if let Some((change, _)) = change {
            self.state.reported.insert(key.to_owned(), change);
        }
        if clears {
            self.state.desired.insert(key.to_owned(), Value::Null);
        }
        self.part(key);
    }

    /// Makes the shadow, with these members beside the reports.
    pub fn plant(&mut self, seed: Option<&Map<String, Value>>) {
        for (key, value) in seed.into_iter().flatten() {
            match self.state.reported.get_mut(key) {
                Some(report) => compose(report, value),
                None => drop(self.state.reported.insert(key.clone(), value.clone())),
            }
        }
        self.seed = seed.is_some();
        self.create = true;
        self.prompted = true;
        self.part(SEED);
    }

    /// Adds a file. `false`: there is no room, or one update cannot say both.
    pub fn take(&mut self, file: &PendingFile) -> bool {
        let goes_along = file.of_service && self.reports.contains_key(&file.key);
        if let Some(patch) = &file.patch {
            let full = self.parts > 0 && self.size() + patch.to_string().len() > ROOM;
            match self.state.reported.get_mut(&file.key) {
                _ if full => return false,
                Some(earlier) if !composes(earlier, patch) => return false,
                Some(earlier) => compose(earlier, patch),
                None => {
                    self.state.reported.insert(file.key.clone(), patch.clone());
                }
            }
        }
        self.files.push(file.id.clone());
        self.prompted = true;
        if !goes_along {
            self.part(&file.key);
        }
        true
    }

    fn part(&mut self, subject: &str) {
        self.parts += 1;
        self.subjects.insert(subject.to_owned());
    }

    fn size(&self) -> usize {
        [&self.state.reported, &self.state.desired]
            .into_iter()
            .flatten()
            .map(|(key, value)| key.len() + value.to_string().len() + 4)
            .sum()
    }
}
