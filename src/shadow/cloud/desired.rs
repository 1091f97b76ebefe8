//! Pure: what became of the desired value of each key: answered, being cleared, gone.
//!
//! A desired value is answered once, however late the cloud clears it. What is added to an answered
//! desired value is new, and only that. This is the one place that knows which desired value was
//! answered.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::part::{beyond, common, meets, union, without};
use super::view::View;
use crate::shadow::document::same;
use crate::shadow::effect::{DesiredAnswer, OneShot};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its clearing waits for something else.
    Held,
    /// It is to be cleared.
    Answered,
    /// It was asked to be cleared, and it is not known what became of that.
    Clearing,
    /// The cloud will not clear it.
    Stuck,
}

#[derive(Clone, Debug)]
struct AnsweredDesired {
    /// What was answered, as the cloud has it.
    answered: Value,
    /// The version of the shadow that it was read from.
    version: u64,
    stage: Stage,
    /// `None`: a setting. `Some(None)`: a command that needs nothing to be done.
    command: Option<Option<Value>>,
}

/// The desired values that were answered, by key.
#[derive(Debug, Default)]
pub struct DesiredAnswers {
    answered: BTreeMap<String, AnsweredDesired>,
    /// The last desired value of each key that the cloud has cleared.
    cleared: BTreeMap<String, Value>,
}

impl DesiredAnswers {
    /// What is still to be answered of the desired value that there is now. For a command that is
    /// the whole desired value, because what was not carried out yet becomes a part of it.
    pub fn fresh(&self, key: &str, desired: Option<&Value>) -> Option<Value> {
        let desired = desired?;
        match self.answered.get(key) {
            None => Some(desired.clone()),
            Some(entry) if entry.command.is_none() => beyond(&entry.answered, desired),
            // Whether the earlier one is carried out depends on the answer to its clearing.
            Some(entry) if entry.stage == Stage::Clearing => None,
            Some(entry) => (!same(&entry.answered, desired)).then(|| desired.clone()),
        }
    }

    /// The desired value that there is now was answered as a whole.
    pub fn answer(&mut self, key: &str, desired: &Value, version: u64, answer: DesiredAnswer) {
        let (stage, command) = match answer {
            DesiredAnswer::InForce => (Stage::Answered, None),
            DesiredAnswer::Held => (Stage::Held, None),
            DesiredAnswer::Command(command) => (Stage::Answered, Some(command)),
        };
        let earlier = self.answered.remove(key);
        // A delta leaves out what is reported already, though it was answered and is there still.
        let answered = match earlier.filter(|_| command.is_none()) {
            Some(earlier) => union(earlier.answered, desired),
            None => desired.clone(),
        };
        let entry = AnsweredDesired {
            answered,
            version,
            stage,
            command,
        };
        self.answered.insert(key.to_owned(), entry);
    }

    /// What was held may be cleared now.
    pub fn release(&mut self, key: &str) {
        self.change(key, Stage::Held, Stage::Answered);
    }

    /// Whether the desired value that there is now is to be cleared: nothing in it is unanswered.
    pub fn clears(&self, key: &str, desired: Option<&Value>) -> bool {
        let entry = self.answered.get(key);
        entry.is_some_and(|entry| entry.stage == Stage::Answered)
            && desired.is_some()
            && self.fresh(key, desired).is_none()
    }

    /// Whether an answered desired value of this key is still to be cleared.
    pub fn waits(&self, key: &str) -> bool {
        let entry = self.answered.get(key);
        entry.is_some_and(|entry| entry.stage != Stage::Stuck)
    }

    /// Whether the answered desired value says again what was cleared last.
    pub fn repeats(&self, key: &str) -> bool {
        let cleared = self.cleared.get(key);
        let entry = self.answered.get(key);
        entry.is_some_and(|entry| cleared.is_some_and(|last| same(&entry.answered, last)))
    }

    /// Whether the answered desired value is a command.
    pub fn is_command(&self, key: &str) -> bool {
        let entry = self.answered.get(key);
        entry.is_some_and(|entry| entry.command.is_some())
    }

    /// The keys of all answered desired values.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.answered.keys()
    }

    /// The cloud is asked to clear it.
    pub fn clearing(&mut self, key: &str) {
        self.change(key, Stage::Answered, Stage::Clearing);
    }

    /// The cloud has not cleared it.
    pub fn not_cleared(&mut self, key: &str) {
        self.change(key, Stage::Clearing, Stage::Answered);
    }

    /// The cloud will not clear it.
    pub fn refused(&mut self, key: &str) {
        self.change(key, Stage::Clearing, Stage::Stuck);
    }

    /// What was refused may be accepted by now.
    pub fn forget_refusals(&mut self) {
        for entry in self.answered.values_mut() {
            if entry.stage == Stage::Stuck {
                entry.stage = Stage::Answered;
            }
        }
    }

    /// The cloud has cleared it at our request, which made this version. What was answered of a
    /// newer one is another desired value.
    pub fn cleared(&mut self, key: &str, version: u64) -> Option<OneShot> {
        let older = |entry: &&mut AnsweredDesired| entry.version < version;
        self.answered.get_mut(key).filter(older)?;
        let (key, entry) = self.answered.remove_entry(key)?;
        self.cleared.insert(key.clone(), entry.answered);
        Some((key, entry.command.flatten()?))
    }

    /// Looks at all that is desired, when the copy has all of it: what is gone from there is gone,
    /// and the same desired value is a new one when it comes again.
    ///
    /// `ours`: what is gone after its clearing was asked for was cleared at our request, and not by
    /// somebody else. Gives the commands that are to be carried out then.
    pub fn look(&mut self, view: &View, ours: bool) -> Vec<OneShot> {
        let mut orders = Vec::new();
        if !view.is_whole() {
            return orders;
        }
        for key in self.answered.keys().cloned().collect::<Vec<_>>() {
            let desired = view.desired().get(&key);
            if self.is_gone(&key, desired) {
                orders.extend(self.take(&key).filter(|_| ours));
            } else {
                self.not_cleared(&key);
            }
        }
        orders
    }

    /// Takes away what is gone. Gives its command, if its clearing was asked for.
    fn take(&mut self, key: &str) -> Option<OneShot> {
        let (key, entry) = self.answered.remove_entry(key)?;
        if entry.stage != Stage::Clearing {
            return None;
        }
        self.cleared.insert(key.clone(), entry.answered);
        Some((key, entry.command.flatten()?))
    }

    /// Whether nothing is left of the answered desired value. Of a setting only what is left stays
    /// answered.
    fn is_gone(&mut self, key: &str, desired: Option<&Value>) -> bool {
        let (Some(entry), Some(desired)) = (self.answered.get_mut(key), desired) else {
            return true;
        };
        if entry.command.is_some() {
            return !meets(&entry.answered, desired);
        }
        match common(&entry.answered, desired) {
            Some(left) => entry.answered = left,
            None => return true,
        }
        false
    }

    /// Somebody has set this in `desired` in the update that made this version: it is new, also
    /// where it says what was answered before. Returns whether there was such a value.
    pub fn desired_again(&mut self, desired: &Map<String, Value>, version: u64) -> bool {
        let mut again = false;
        for (key, patch) in desired {
            let older =
                |entry: &&mut AnsweredDesired| entry.version < version && entry.command.is_none();
            let Some(entry) = self.answered.get_mut(key).filter(older) else {
                continue;
            };
            match without(&entry.answered, patch) {
                Some(rest) => entry.answered = rest,
                None => drop(self.answered.remove(key)),
            }
            again = true;
        }
        again
    }

    /// There is no shadow any more, and no desired value. Nobody knows who took back the commands.
    pub fn forget(&mut self) {
        self.answered.clear();
    }

    fn change(&mut self, key: &str, from: Stage, to: Stage) {
        let entry = self.answered.get_mut(key);
        if let Some(entry) = entry.filter(|entry| entry.stage == from) {
            entry.stage = to;
        }
    }
}

#[cfg(test)]
#[path = "desired_tests.rs"]
mod tests;
