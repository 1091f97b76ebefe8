//! Pure: what the cloud does not take of an update: which part is to blame, and what is given up.

use super::{GivenUp, LARGEST_REPORT, Outbox};
use crate::shadow::cloud::update::{PendingFile, Update};
use crate::shadow::effect::FileId;
use serde_json::Value;

impl Outbox {
    /// The configuration in force was refused as it is.
    pub(super) fn is_refused(&self, key: &str) -> bool {
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
            // The refusal does not say which part it means.
            self.alone = true;
            return GivenUp::default();
        }
        if too_large && self.fits_without_desired(update) {
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
        // Given up, not forgiven: what comes next for this key starts with a clean record.
        if let Some(subject) = update.subjects.first() {
            self.suspects.forget(subject);
        }
        GivenUp {
            files: update.files.clone(),
            keys: update.reports.keys().cloned().collect(),
            seed: update.create,
        }
    }

    /// A report that was too large beside its own desired value is sent again together with the
    /// clearing.
    fn fits_without_desired(&mut self, update: &Update) -> bool {
        let beside = |key: &&String| self.desired.waits(key) && !update.clears();
        match update.reports.keys().find(beside) {
            Some(key) => self.together.insert(key.clone()),
            None => false,
        }
    }

    /// Without its configuration the clearing of the desired value may be accepted, and is tried
    /// next.
    fn report_refused(&mut self, key: &str, update: &Update) {
        if !update.state.reported.contains_key(key) {
            self.desired.refused(key);
            return;
        }
        // The update was refused as a whole, so its clearing has not happened either.
        self.desired.not_cleared(key);
        if let Some(Some(config)) = update.reports.get(key) {
            self.refused.insert(key.to_owned(), config.clone());
        }
    }
}
