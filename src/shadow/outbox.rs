//! Pure: what the device still has to tell the cloud, and how much of it goes into one update.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::answer::Sections;
use super::document::{compose, composes, diff, kept};
use super::plan::only;
use super::view::View;
use crate::spool::Name;

/// What a message can hold, with something to spare for the rest of the update.
pub const LARGEST_REPORT: usize = 120 * 1024;
/// Updates are filled up to so many bytes: the cloud keeps 8 KB of a shadow.
const ROOM: usize = 8 * 1024;

/// An update file: its directory's number, and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub dir: usize,
    pub name: Name,
}

/// What a service has made of its part of the shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The configuration in force, `null` if there is none.
    pub config: Value,
    pub scope: Scope,
    /// The wish that was answered by it, accepted or rejected, if there was one: it is cleared as
    /// long as the cloud still has this very one.
    pub answered: Option<Value>,
}

/// Which reported members of its key a service answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Nothing,
    These(Vec<String>),
    Everything,
}

/// An update file that waits for the cloud.
#[derive(Clone, Debug)]
struct File {
    id: FileId,
    key: String,
    /// Goes into `reported` as it is; `None`: all of it is in the service's report.
    patch: Option<Value>,
    /// Belongs to the report of a service.
    of_service: bool,
}

/// One update, and what is settled when the cloud accepts it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    pub state: Sections,
    pub files: Vec<FileId>,
    /// The keys whose service reports, with the wish that is cleared.
    keys: BTreeMap<String, Option<Value>>,
    seed: bool,
    create: bool,
    /// How many things it says that can be refused by themselves.
    parts: usize,
}

/// The parts of a refused update that are given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    pub files: Vec<FileId>,
    /// Configurations that the cloud does not take.
    pub keys: Vec<String>,
    pub seed: bool,
}

/// Everything that waits to be told.
#[derive(Debug, Default)]
pub struct Outbox {
    reports: BTreeMap<String, Report>,
    files: VecDeque<File>,
    /// The default shadow's members that belong to no service.
    seed: Option<Map<String, Value>>,
    /// The shadow is to be made, even if there is nothing to say.
    create: bool,
    /// Configurations that were refused as they are: not sent again.
    refused: BTreeMap<String, Value>,
    /// Something in an update was refused: one thing at a time, to find out what.
    alone: bool,
}

impl Outbox {
    /// The latest word of a service. `false`: no message can hold the configuration, so it is not
    /// reported.
    pub fn report(&mut self, key: &str, report: Report) -> bool {
        let fits = report.config.to_string().len() <= LARGEST_REPORT;
        if !fits {
            self.refused.insert(key.to_owned(), report.config.clone());
        }
        self.reports.insert(key.to_owned(), report);
        fits
    }

    /// The wish that a service has answered last.
    pub fn answered(&self, key: &str) -> Option<&Value> {
        self.reports.get(key)?.answered.as_ref()
    }

    /// The cloud has no wish for this service any more. The same wish is a new one when it comes
    /// again.
    pub fn withdrawn(&mut self, key: &str) {
        if let Some(report) = self.reports.get_mut(key) {
            report.answered = None;
        }
    }

    /// An update file for a key without service. Repetition is harmless.
    pub fn patch(&mut self, id: FileId, key: &str, patch: Value) {
        self.add(File {
            id,
            key: key.to_owned(),
            patch: Some(patch),
            of_service: false,
        });
    }

    /// An update file whose contents a service has taken up; `rest` is what the service neither
    /// writes nor reports by itself.
    pub fn taken_up(&mut self, id: FileId, key: &str, rest: Option<Value>) {
        self.add(File {
            id,
            key: key.to_owned(),
            patch: rest,
            of_service: true,
        });
    }

    fn add(&mut self, file: File) {
        self.files.retain(|other| other.id != file.id);
        self.files.push_back(file);
    }

    /// Makes the shadow, with these reported members of keys without service.
    pub fn seed(&mut self, members: Map<String, Value>) {
        self.seed = (!members.is_empty()).then_some(members);
        self.create = true;
    }

    /// Files whose contents the cloud has already, as far as is known.
    pub fn settled(&mut self, view: &View) -> Vec<FileId> {
        let silent: Vec<FileId> = self
            .files
            .iter()
            .filter(|file| {
                file.of_service
                    && file.patch.is_none()
                    && !self.is_refused(&file.key)
                    && self.change(&file.key, view).is_none()
            })
            .map(|file| file.id.clone())
            .collect();
        self.files.retain(|file| !silent.contains(&file.id));
        silent
    }

    /// The next update. `None`: there is nothing to tell. `clears`: it may clear wishes.
    pub fn next(&self, view: &View, clears: bool) -> Option<Update> {
        let mut update = Update::default();
        for key in self.reports.keys() {
            let clears = clears && self.clears(key, view);
            if (clears || self.change(key, view).is_some()) && self.has_room(&update) {
                self.add_report(key, view, clears, &mut update);
            }
        }
        if self.create && self.has_room(&update) {
            self.add_seed(&mut update);
        }
        self.add_files(&mut update);
        (update.parts > 0).then_some(update)
    }

    fn has_room(&self, update: &Update) -> bool {
        update.parts == 0 || (!self.alone && size(&update.state) <= ROOM)
    }

    /// The configuration in force was refused as it is.
    fn is_refused(&self, key: &str) -> bool {
        let report = self.reports.get(key);
        report.is_some_and(|report| self.refused.get(key) == Some(&report.config))
    }

    /// Files whose contents are in a configuration that was refused.
    pub fn hopeless(&mut self) -> Vec<FileId> {
        let hopeless = |file: &File| file.of_service && self.is_refused(&file.key);
        let files: Vec<FileId> = self
            .files
            .iter()
            .filter(|it| hopeless(it))
            .map(|it| it.id.clone())
            .collect();
        self.files.retain(|file| !files.contains(&file.id));
        files
    }

    /// What was refused may be accepted by now.
    pub fn forget_refusals(&mut self) {
        let too_large = |config: &Value| config.to_string().len() > LARGEST_REPORT;
        self.refused.retain(|_, config| too_large(config));
    }

    /// The shadow has been made by somebody else.
    pub fn drop_seed(&mut self) {
        self.seed = None;
        self.create = false;
    }

    /// What the cloud must change to hold what the service says.
    fn change(&self, key: &str, view: &View) -> Option<Value> {
        let report = self.reports.get(key)?;
        if self.is_refused(key) {
            return None;
        }
        let reported = view.reported().get(key).unwrap_or(&Value::Null);
        match &report.scope {
            Scope::Nothing => None,
            Scope::Everything => diff(&known(reported), &known(&report.config)),
            Scope::These(keys) => {
                let within = |document: &Value| known(&only(document, keys));
                let (reported, config) = (within(reported), within(&report.config));
                match (&reported, &config) {
                    // Members outside the scope must survive.
                    (Value::Object(_), Value::Null) => diff(&reported, &Value::Object(Map::new())),
                    _ => diff(&reported, &config),
                }
            }
        }
    }

    fn clears(&self, key: &str, view: &View) -> bool {
        let wish = view.desired().get(key);
        let report = self.reports.get(key);
        wish.is_some() && report.is_some_and(|report| report.answered.as_ref() == wish)
    }

    fn add_report(&self, key: &str, view: &View, clears: bool, update: &mut Update) {
        if let Some(change) = self.change(key, view) {
            update.state.reported.insert(key.to_owned(), change);
        }
        let wish = view.desired().get(key).filter(|_| clears);
        if wish.is_some() {
            update.state.desired.insert(key.to_owned(), Value::Null);
        }
        update.keys.insert(key.to_owned(), wish.cloned());
        update.parts += 1;
    }

    fn add_seed(&self, update: &mut Update) {
        for (key, value) in self.seed.iter().flatten() {
            match update.state.reported.get_mut(key) {
                Some(report) => compose(report, value),
                None => {
                    update.state.reported.insert(key.clone(), value.clone());
                }
            }
        }
        update.seed = self.seed.is_some();
        update.create = true;
        update.parts += 1;
    }

    /// Files in their order, as long as there is room and one update can say it.
    fn add_files(&self, update: &mut Update) {
        for file in &self.files {
            let reported = file.of_service && update.keys.contains_key(&file.key);
            if !(reported || self.has_room(update)) {
                continue;
            }
            if !update.take(file) {
                return;
            }
            update.parts += usize::from(!reported);
        }
    }

    /// The cloud has accepted it.
    pub fn accepted(&mut self, update: &Update) {
        self.files.retain(|file| !update.files.contains(&file.id));
        for (key, wish) in &update.keys {
            if let Some(report) = self.reports.get_mut(key)
                && report.answered == *wish
            {
                report.answered = None;
            }
        }
        if update.create {
            self.create = false;
        }
        if update.seed {
            self.seed = None;
        }
        if self.files.is_empty() && self.seed.is_none() {
            self.alone = false;
        }
    }

    /// The cloud will not accept it as it is. What was alone is given up; of several parts each is
    /// sent again by itself, to find out which one is to blame.
    pub fn refused(&mut self, update: &Update) -> GivenUp {
        if update.parts > 1 {
            self.alone = true;
            return GivenUp::default();
        }
        self.files.retain(|file| !update.files.contains(&file.id));
        if update.seed {
            self.seed = None;
        } else if update.create {
            self.create = false;
        }
        for key in update.keys.keys() {
            self.report_refused(key, update);
        }
        GivenUp {
            files: update.files.clone(),
            keys: update.keys.keys().cloned().collect(),
            seed: update.create,
        }
    }

    /// Without its configuration the clearing of the wish may be accepted, and is tried next.
    fn report_refused(&mut self, key: &str, update: &Update) {
        let Some(report) = self.reports.get_mut(key) else {
            return;
        };
        if update.state.reported.contains_key(key) {
            self.refused.insert(key.to_owned(), report.config.clone());
        } else {
            report.answered = None;
        }
    }
}

impl Update {
    /// Whether it must carry the version that it answers.
    pub fn clears(&self) -> bool {
        !self.state.desired.is_empty()
    }

    /// The wishes that it clears, by key.
    pub fn cleared(&self) -> Vec<(String, Value)> {
        let wishes = self.keys.iter();
        wishes
            .filter_map(|(key, wish)| Some((key.clone(), wish.clone()?)))
            .collect()
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

    /// `false`: there is no room, or one update cannot say both.
    fn take(&mut self, file: &File) -> bool {
        if let Some(patch) = &file.patch {
            let full = self.parts > 0 && size(&self.state) + patch.to_string().len() > ROOM;
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
        true
    }
}

fn size(state: &Sections) -> usize {
    [&state.reported, &state.desired]
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.to_string().len() + 4)
        .sum()
}

fn known(document: &Value) -> Value {
    kept(document).unwrap_or(Value::Null)
}
