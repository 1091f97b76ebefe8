//! Pure: what services are asked for, and what they have done.

use serde_json::Value;

use super::{LARGEST_REPORT, Outbox};
use crate::shadow::cloud::view::View;
use crate::shadow::effect::{Effect, Target};

impl Outbox {
    /// What these services are to be asked: those with something unanswered, or with `all` every one.
    pub fn targets<'a>(
        &self,
        view: &View,
        keys: impl Iterator<Item = &'a str>,
        all: bool,
    ) -> Vec<Target> {
        let target = |key: &str| {
            let desired = view.desired().get(key);
            let unanswered = self.desired.fresh(key, desired);
            (all || unanswered.is_some()).then(|| Target {
                key: key.to_owned(),
                desired: desired.cloned(),
                version: view.version().unwrap_or_default(),
                unanswered,
                reported: view.reported().get(key).cloned().unwrap_or(Value::Null),
            })
        };
        keys.filter_map(target).collect()
    }

    /// Takes over what a service has done.
    ///
    /// # Errors
    /// Why the configuration that is in force cannot be reported: no message can hold it.
    pub fn apply(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Reported { key, report } => {
                if !self.report(&key, report) {
                    return Err(format!(
                        "{key}: the configuration is in force but too large to be reported, more than {} KiB",
                        LARGEST_REPORT / 1024
                    ));
                }
            }
            Effect::TakenUp { id, key, rest } => self.taken_up(id, &key, rest),
            Effect::Answered {
                key,
                desired,
                version,
                answer,
            } => self.desired.answer(&key, &desired, version, answer),
            Effect::Released { key } => self.desired.release(&key),
        }
        Ok(())
    }
}
