//! Pure: what the device still has to tell the cloud, and how much of it goes into one update.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::desired::{DesiredAnswers, OneShot};
use super::suspects::Suspects;
use super::update::{SEED, Update};
use super::view::View;
use crate::shadow::device::outfile_plan::only;
use crate::shadow::document::{diff, kept, same};
use crate::spool::Name;

/// What a message can hold, with something to spare for the rest of the update.
pub const LARGEST_REPORT: usize = 120 * 1024;

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
}

/// Which reported members of its key a service answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    These(Vec<String>),
    Everything,
}

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
    /// Which wishes were answered, and are to be cleared.
    pub desired: DesiredAnswers,
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
    /// Keys whose wish and report do not fit into the shadow beside each other.
    together: BTreeSet<String>,
    suspects: Suspects,
}

impl Outbox {
    /// The latest word of a service. `false`: no message can hold the configuration, so it is not
    /// reported.
    pub fn report(&mut self, key: &str, report: Report) -> bool {
        let fits = report.config.to_string().len() <= LARGEST_REPORT;
        if !fits {
            self.refused.insert(key.to_owned(), report.config.clone());
        }
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

    /// The next update. `None`: there is nothing to tell. `clears`: it may clear wishes. What has
    /// failed by itself goes when there is nothing else.
    pub fn next(&self, view: &View, clears: bool) -> Option<Update> {
        // A shadow that does not exist is made by the default shadow and by update files alone.
        if view.version().is_none() && !self.create && self.files.is_empty() {
            return None;
        }
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
        let clears = clears && self.desired.clears(key, view.desired().get(key));
        let fits = clears || !(self.together.contains(key) && self.desired.waits(key));
        let change = self.change(key, view).filter(|_| fits);
        if change.is_none() && !clears {
            return;
        }
        let word = self.reports.get(key);
        let changed = change.is_some() && word.is_some_and(|it| it.due == Some(Due::Changed));
        let repeats = clears && self.desired.repeats(key);
        let undone = change.is_some()
            && word.is_some_and(|it| it.accepted.as_ref() == Some(&it.report.config));
        update.prompted |= changed || (clears && !repeats);
        update.again |= undone || (repeats && !self.desired.is_command(key));
        let change = change.zip(word.map(|word| &word.report.config));
        update.report(key, change, clears);
    }

    /// Files in their order, as long as there is room and one update can say it. One that has
    /// overtaken a wish goes when that is cleared: were it gone before, the wish would come back
    /// with the next start.
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

    /// The configuration in force was refused as it is.
    fn is_refused(&self, key: &str) -> bool {
        let word = self.reports.get(key);
        word.is_some_and(|word| self.refused.get(key) == Some(&word.report.config))
    }

    /// Files whose contents are in a configuration that was refused.
    pub fn hopeless(&mut self) -> Vec<FileId> {
        let hopeless = |file: &PendingFile| file.of_service && self.is_refused(&file.key);
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
        self.desired.forget_refusals();
    }

    /// The shadow has been made by somebody else.
    pub fn drop_seed(&mut self) {
        self.seed = None;
        self.create = false;
    }

    /// There is no shadow any more, so there is nothing that could be undone or cleared.
    pub fn forget_cloud(&mut self) {
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

    /// The cloud has accepted it, which made this version. Gives the commands whose wishes it has
    /// cleared.
    pub fn accepted(&mut self, update: &Update, version: u64) -> Vec<OneShot> {
        self.files.retain(|file| !update.files.contains(&file.id));
        for (key, config) in &update.reports {
            self.together.remove(key);
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
        if self.files.is_empty() && self.seed.is_none() {
            self.alone = false;
        }
        self.suspects.accepted(update.subjects.iter());
        let cleared = update.cleared();
        let wishes = &mut self.desired;
        cleared
            .filter_map(|key| wishes.cleared(key, version))
            .collect()
    }

    /// The cloud has not carried it out.
    pub fn not_accepted(&mut self, update: &Update) {
        for key in update.cleared() {
            self.desired.not_cleared(key);
        }
    }

    /// It has failed for no reason of its own that is known. After a few times each part goes by
    /// itself, and then one that fails lets the others go first.
    pub fn failed(&mut self, update: &Update) {
        self.suspects.failed();
        if !self.suspects.are_likely() {
            return;
        }
        match update.subjects.first() {
            Some(subject) if update.parts == 1 => self.suspects.blame(subject),
            _ => self.alone = true,
        }
    }

    /// Whether updates have failed again and again.
    pub fn fails_often(&self) -> bool {
        self.suspects.are_likely()
    }

    /// The cloud does not allow it. It is given up if the cloud has accepted others meanwhile.
    pub fn denied(&mut self, update: &Update) -> GivenUp {
        self.not_accepted(update);
        let subject = update.subjects.first();
        let proven = subject.is_some_and(|subject| self.suspects.is_proven(subject));
        if update.parts == 1 && proven {
            return self.refused(update, false);
        }
        self.failed(update);
        GivenUp::default()
    }

    /// The cloud will not accept it as it is. What was alone is given up; of several parts each is
    /// sent again by itself, to find out which one is to blame. `too_large`: the shadow would be.
    pub fn refused(&mut self, update: &Update, too_large: bool) -> GivenUp {
        if update.parts > 1 {
            self.not_accepted(update);
            self.alone = true;
            return GivenUp::default();
        }
        if too_large && self.fits_without_wish(update) {
            return GivenUp::default();
        }
        self.files.retain(|file| !update.files.contains(&file.id));
        if update.seed {
            self.seed = None;
        } else if update.create {
            self.create = false;
        }
        for key in update.reports.keys() {
            self.report_refused(key, update);
        }
        if let Some(subject) = update.subjects.first() {
            self.suspects.forget(subject);
        }
        GivenUp {
            files: update.files.clone(),
            keys: update.reports.keys().cloned().collect(),
            seed: update.create,
        }
    }

    /// A report that was too large beside its own wish is sent again together with the clearing.
    fn fits_without_wish(&mut self, update: &Update) -> bool {
        let beside = |key: &&String| self.desired.waits(key) && !update.clears();
        match update.reports.keys().find(beside) {
            Some(key) => self.together.insert(key.clone()),
            None => false,
        }
    }

    /// Without its configuration the clearing of the wish may be accepted, and is tried next.
    fn report_refused(&mut self, key: &str, update: &Update) {
        if !update.state.reported.contains_key(key) {
            self.desired.refused(key);
            return;
        }
        self.desired.not_cleared(key);
        if let Some(Some(config)) = update.reports.get(key) {
            self.refused.insert(key.to_owned(), config.clone());
        }
    }
}

fn known(document: &Value) -> Value {
    kept(document).unwrap_or(Value::Null)
}
