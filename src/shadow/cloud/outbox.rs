//! Pure: what the device still has to send to the cloud, and how much of it goes into one update.

mod effects;
mod refusals;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::desired::DesiredAnswers;
use super::suspects::Suspects;
use super::update::{PendingFile, SEED, Update};
use super::view::View;
use crate::shadow::document::{diff, kept, only, same};
use crate::shadow::effect::{FileId, OneShot, Report, Scope};

/// What a message can hold, with something to spare for the rest of the update.
pub const LARGEST_REPORT: usize = 120 * 1024;

/// Why a report is to be compared with what the cloud has. In between it is not: what others write
/// there is left until something is settled or fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// The cloud was looked at.
    Looked,
    /// The configuration is another one than before.
    Changed,
}

#[derive(Debug)]
struct ReportState {
    report: Report,
    due: Option<Due>,
    /// The configuration that the cloud has accepted last.
    accepted: Option<Value>,
}

/// The parts of a refused update that are given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    pub files: Vec<FileId>,
    /// Configurations that the cloud does not take.
    pub keys: Vec<String>,
    pub seed: bool,
}

/// Everything that waits to be sent.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Which desired values were answered, and are to be cleared.
    pub(in crate::shadow) desired: DesiredAnswers,
    reports: BTreeMap<String, ReportState>,
    files: VecDeque<PendingFile>,
    /// The default shadow's members that belong to no service.
    seed: Option<Map<String, Value>>,
    /// The shadow is to be made, even if there is nothing to say.
    create: bool,
    /// Configurations that were refused as they are: not sent again.
    refused: BTreeMap<String, Value>,
    /// Something in an update was refused: one thing at a time, to find out what.
    alone: bool,
    /// Keys whose desired value and report do not fit into the shadow beside each other.
    together: BTreeSet<String>,
    suspects: Suspects,
}

impl Outbox {
    /// The latest result of a service. `false`: no message can hold the configuration, so it is not
    /// reported.
    pub fn report(&mut self, key: &str, report: Report) -> bool {
        let fits = report.config.to_string().len() <= LARGEST_REPORT;
        if !fits {
            self.refused.insert(key.to_owned(), report.config.clone());
        }
        // The same configuration is not news. Saying it again would make two devices that share a key
        // answer each other for ever.
        let earlier = self.reports.remove(key);
        let unchanged = earlier.as_ref().is_some_and(|word| {
            word.due != Some(Due::Changed) && same(&word.report.config, &report.config)
        });
        let due = if unchanged { Due::Looked } else { Due::Changed };
        let word = ReportState {
            report,
            due: Some(due),
            accepted: earlier.and_then(|word| word.accepted),
        };
        self.reports.insert(key.to_owned(), word);
        fits
    }

    /// An update file for a key without service. Repetition is harmless.
    pub fn patch(&mut self, id: FileId, key: &str, patch: Value) {
        self.add(PendingFile {
            id,
            key: key.to_owned(),
            patch: Some(patch),
            of_service: false,
        });
    }

    /// An update file whose contents a service has taken up; `rest` is what the service neither
    /// writes nor reports by itself.
    pub fn taken_up(&mut self, id: FileId, key: &str, rest: Option<Value>) {
        self.add(PendingFile {
            id,
            key: key.to_owned(),
            patch: rest,
            of_service: true,
        });
    }

    fn add(&mut self, file: PendingFile) {
        // The same file may come twice, when its service was asked again before the cloud has answered.
        self.files.retain(|other| other.id != file.id);
        self.files.push_back(file);
    }

    /// Makes the shadow, with these reported members of keys without service.
    pub fn seed(&mut self, members: Map<String, Value>) {
        self.seed = (!members.is_empty()).then_some(members);
        self.create = true;
    }

    /// Files whose contents the cloud has already, as far as is known. What the cloud has of the
    /// reports needs not be compared any more.
    pub fn settled(&mut self, view: &View) -> Vec<FileId> {
        self.compare(view);
        let silent: Vec<FileId> = self
            .files
            .iter()
            .filter(|file| {
                // What the cloud has already needs no update, and no version: the file is done at once.
                file.of_service
                    && file.patch.is_none()
                    && !self.is_refused(&file.key)
                    && !self.desired.waits(&file.key)
                    && self.change(&file.key, view).is_none()
            })
            .map(|file| file.id.clone())
            .collect();
        self.files.retain(|file| !silent.contains(&file.id));
        silent
    }

    fn compare(&mut self, view: &View) {
        let said: Vec<String> = self
            .reports
            .keys()
            .filter(|key| self.change(key, view).is_none())
            .cloned()
            .collect();
        for key in said {
            let refused = self.is_refused(&key);
            if let Some(word) = self.reports.get_mut(&key).filter(|word| word.due.is_some()) {
                word.due = None;
                if !refused {
                    word.accepted = Some(word.report.config.clone());
                }
            }
        }
    }

    /// The next update. `None`: there is nothing to send. `clears`: it may clear desired values.
    /// What has failed by itself goes when there is nothing else.
    pub fn next(&self, view: &View, clears: bool) -> Option<Update> {
        // A shadow that does not exist is made by the default shadow and by update files alone.
        if view.version().is_none() && !self.create && self.files.is_empty() {
            return None;
        }
        // What has failed alone before must not hold up what never failed.
        let first = self.filled(view, clears, |key| !self.suspects.contains(key));
        first.or_else(|| {
            let mut suspects = self.suspects.in_turn().into_iter();
            suspects.find_map(|suspect| self.filled(view, clears, |key| key == suspect))
        })
    }

    fn filled(&self, view: &View, clears: bool, goes: impl Fn(&str) -> bool) -> Option<Update> {
        let mut update = Update::default();
        let keys: BTreeSet<&String> = self.reports.keys().chain(self.desired.keys()).collect();
        for key in keys.into_iter().filter(|key| goes(key)) {
            if update.has_room(self.alone) {
                self.add_report(key, view, clears, &mut update);
            }
        }
        if self.create && goes(SEED) && update.has_room(self.alone) {
            update.plant(self.seed.as_ref());
        }
        self.add_files(&mut update, goes);
        (update.parts > 0).then_some(update)
    }

    fn add_report(&self, key: &str, view: &View, clears: bool, update: &mut Update) {
        // A desired value goes together with the report of what became of it, in one update: between two,
        // a crash would leave the cloud with neither.
        let clears = clears && self.desired.clears(key, view.desired().get(key));
        let fits = clears || !(self.together.contains(key) && self.desired.waits(key));
        let change = self.change(key, view).filter(|_| fits);
        if change.is_none() && !clears {
            return;
        }
        let word = self.reports.get(key);
        let changed = change.is_some() && word.is_some_and(|it| it.due == Some(Due::Changed));
        let repeats = clears && self.desired.repeats(key);
        // The cloud had accepted exactly this, and has something else now: somebody else undoes it.
        let undone = change.is_some()
            && word.is_some_and(|it| it.accepted.as_ref() == Some(&it.report.config));
        update.prompted |= changed || (clears && !repeats);
        update.again |= undone || (repeats && !self.desired.is_command(key));
        let change = change.zip(word.map(|word| &word.report.config));
        update.report(key, change, clears);
    }

    /// Files in their order, as long as there is room and one update can say it. One that has
    /// overtaken a desired value goes when that is cleared: were it gone before, the desired value
    /// would come back with the next start.
    fn add_files(&self, update: &mut Update, goes: impl Fn(&str) -> bool) {
        for file in self.files.iter().filter(|file| goes(&file.key)) {
            let reported = file.of_service && update.reports.contains_key(&file.key);
            let early = file.of_service
                && self.desired.waits(&file.key)
                && !update.state.desired.contains_key(&file.key);
            if early || !(reported || update.has_room(self.alone)) {
                continue;
            }
            if !update.take(file) {
                return;
            }
        }
    }

    /// The shadow has been made by somebody else.
    pub fn drop_seed(&mut self) {
        self.seed = None;
        self.create = false;
    }

    /// There is no shadow any more, so there is nothing that could be undone or cleared.
    pub fn forget_cloud(&mut self) {
        // Versions begin again with a new shadow, so an old answer could be taken for one to a new value.
        self.desired.forget();
        for word in self.reports.values_mut() {
            word.accepted = None;
        }
    }

    /// What the cloud must change to hold what the service says, if that is to be compared.
    fn change(&self, key: &str, view: &View) -> Option<Value> {
        let word = self.reports.get(key)?;
        if word.due.is_none() || self.is_refused(key) {
            return None;
        }
        let reported = view.reported().get(key).unwrap_or(&Value::Null);
        match &word.report.scope {
            Scope::Everything => diff(&known(reported), &known(&word.report.config)),
            Scope::These(keys) => {
                let within = |document: &Value| known(&only(document, keys));
                let (reported, config) = (within(reported), within(&word.report.config));
                match (&reported, &config) {
                    // Members outside the scope must survive.
                    (Value::Object(_), Value::Null) => diff(&reported, &Value::Object(Map::new())),
                    _ => diff(&reported, &config),
                }
            }
        }
    }

    /// It is on its way.
    pub fn sent(&mut self, update: &Update) {
        for key in update.cleared() {
            self.desired.clearing(key);
        }
    }

    /// The cloud has accepted it, which made this version. Gives the commands whose desired values
    /// it has cleared.
    pub fn accepted(&mut self, update: &Update, version: u64) -> Vec<OneShot> {
        self.files.retain(|file| !update.files.contains(&file.id));
        for (key, config) in &update.reports {
            self.together.remove(key);
            // The service may have changed its mind while the update was on its way: then the newer report stays due.
            let word = self.reports.get_mut(key);
            if let Some(word) = word.filter(|word| config.as_ref() == Some(&word.report.config)) {
                word.due = None;
                word.accepted.clone_from(config);
            }
        }
        if update.create {
            self.create = false;
        }
        if update.seed {
            self.seed = None;
        }
        // What was sent one by one to find the culprit may travel together again.
        if self.files.is_empty() && self.seed.is_none() {
            self.alone = false;
        }
        self.suspects.accepted(update.subjects.iter());
        let cleared = update.cleared();
        let answers = &mut self.desired;
        cleared
            .filter_map(|key| answers.cleared(key, version))
            .collect()
    }

    /// The cloud has not carried it out.
    pub fn not_accepted(&mut self, update: &Update) {
        for key in update.cleared() {
            self.desired.not_cleared(key);
        }
    }
}

fn known(document: &Value) -> Value {
    kept(document).unwrap_or(Value::Null)
}
