//! The services of one shadow: each answers for its own key, and what goes wrong with one is no
//! matter of the others. What they have done comes back as [`Effects`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::effects::{Effects, FileEnd, ReadUpdate};
use super::notify::{NotifyExit, NotifyRunner};
use super::outfile::Outfile;
use super::outfile_plan;
use super::service::Service;
use super::service_state::ServiceState;
use crate::shadow::document::Rules;
use crate::shadow::effect::{Effect, OneShot, Target};

/// All services of one shadow.
#[derive(Debug)]
pub struct Services {
    states: BTreeMap<String, ServiceState>,
    notify: NotifyRunner,
    rules: Rules,
}

impl Services {
    /// Begins with the notifications that are owed. Must be called within the runtime.
    pub fn new(outfiles: Vec<Outfile>, rules: Rules) -> Services {
        let mut notify = NotifyRunner::default();
        let mut states = BTreeMap::new();
        for outfile in outfiles {
            if let (Some(path), Some(starts)) = (outfile.path(), outfile.owed()) {
                // The marker was written before the outfile was replaced: a crash in between notifies once too often,
                // never once too seldom.
                notify.catch_up(&outfile.service, path, starts);
            }
            let key = outfile.service.key.clone();
            states.insert(key, ServiceState::new(outfile));
        }
        Services {
            states,
            notify,
            rules,
        }
    }

    /// A person asks to try again what was given up.
    pub fn enable(&mut self) {
        for state in self.states.values_mut() {
            state.outfile.enable();
        }
    }

    /// The service that a key belongs to.
    pub fn of(&self, key: &str) -> Option<&Service> {
        Some(&self.states.get(key)?.outfile.service)
    }

    /// The keys of all services, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.states.keys().map(String::as_str)
    }

    /// Brings services in line with the document.
    pub async fn reconcile(&mut self, targets: Vec<Target>) -> Effects {
        let mut effects = Effects::default();
        for target in targets {
            if let Some(state) = self.states.get_mut(&target.key) {
                let outcome = state.reconcile(target, self.rules, &mut self.notify).await;
                effects.add(state, outcome);
            }
        }
        effects
    }

    /// The first document is known: services that ask for it are notified once.
    pub fn initial_notify(&mut self) {
        for state in self.states.values_mut() {
            let busy = self.notify.is_busy(&state.outfile.service.key);
            let run = state.initial_run(busy);
            run.into_iter().for_each(|run| self.notify.notify(run));
        }
    }

    /// There is no shadow yet: hands out the parts of the default one. Gives what belongs to no
    /// service.
    pub async fn seed(
        &mut self,
        mut document: Map<String, Value>,
    ) -> (Map<String, Value>, Effects) {
        let mut effects = Effects::default();
        for (key, state) in &mut self.states {
            let part = document.remove(key);
            // A default is no command: what is ephemeral must not be run because a shadow was missing.
            if state.outfile.is_ephemeral() || state.outfile.is_disabled() {
                continue;
            }
            let patch = part.map(|patch| self.rules.normalise(patch));
            let patches = patch.as_slice();
            match state.outfile.apply(patches, &Value::Null).await {
                Ok(applied) => {
                    let service = &state.outfile.service;
                    let beyond = patches
                        .first()
                        .and_then(|patch| outfile_plan::beyond(service, patch, &applied.config));
                    if let Some(beyond) = beyond {
                        document.insert(key.clone(), beyond);
                    }
                    let (_, done) = state.answer(applied, &mut self.notify);
                    effects.cloud.extend(done);
                }
                Err(trouble) => effects.add(state, Err(trouble)),
            }
        }
        (document, effects)
    }

    /// Takes up update files of one service, in their order. `reported`: what the cloud has of it.
    pub async fn change(
        &mut self,
        key: &str,
        updates: Vec<ReadUpdate>,
        reported: &Value,
    ) -> Effects {
        match self.states.get_mut(key) {
            Some(state) if state.outfile.is_ephemeral() => {
                state.carry_out(updates, &mut self.notify).await
            }
            Some(state) => state.change(updates, reported, &mut self.notify).await,
            None => Effects::default(),
        }
    }

    /// Carries out commands whose desired values the cloud has cleared at our request.
    pub fn run_one_shots(&mut self, commands: Vec<OneShot>) {
        for (key, config) in commands {
            // Only now that the cloud has cleared it: before, a crash would run it a second time at the next start.
            if let Some(state) = self.states.get(&key) {
                self.notify.notify(state.run(Some(config)));
            }
        }
    }

    /// Waits for a notify command to end. May be dropped while it waits.
    pub async fn notified(&mut self) -> NotifyExit {
        self.notify.ended().await
    }

    /// A notify command has ended.
    pub async fn command_ended(&mut self, ended: NotifyExit) -> Effects {
        let key = ended.key.clone();
        let finished = self.notify.finished(ended).await;
        // Another run may be due for a later change: what is held waits for that one, too.
        let state = self.states.get_mut(&key).filter(|_| finished.quiet);
        let files = finished.file.map(|(id, end)| match end {
            Ok(()) => (id, FileEnd::CarriedOut),
            Err(reason) => (id, FileEnd::Rejected(reason)),
        });
        Effects {
            cloud: state.map(ServiceState::release).unwrap_or_default(),
            files: files.into_iter().collect(),
            look_again: false,
        }
    }
}

impl Effects {
    /// What came of one service, or what is in its way.
    fn add(&mut self, state: &mut ServiceState, outcome: anyhow::Result<Vec<Effect>>) {
        match outcome {
            Ok(effects) => self.cloud.extend(effects),
            Err(trouble) => {
                state.tell(&trouble);
                self.look_again = true;
            }
        }
    }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
