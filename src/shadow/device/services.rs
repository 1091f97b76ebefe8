//! The services of one shadow: each answers for its own key, and what goes wrong with one is no
//! matter of the others.

use std::collections::BTreeMap;

use log::{Level, error, info, log, warn};
use serde_json::{Map, Value};

use super::notify::{NotifyExit, NotifyRun, NotifyRunner};
use super::outfile::{Outfile, Settled};
use super::outfile_plan;
use super::service::Service;
use crate::log_throttle::{LogThrottle, worth_a_line};
use crate::shadow::cloud::desired::{DesiredAnswer, OneShot};
use crate::shadow::cloud::outbox::{FileId, LARGEST_REPORT, Outbox, Report};
use crate::shadow::cloud::view::View;
use crate::shadow::document::Rules;
use crate::spool::starts::Starts;

/// An update file, read.
#[derive(Debug)]
pub struct ReadUpdate {
    pub id: FileId,
    pub patch: Value,
    /// Counts how often its command is started, if it is one of an ephemeral service.
    pub starts: Option<Starts>,
}

/// What became of update files of one service.
#[derive(Debug, Default)]
pub struct UpdateOutcome {
    /// Validation left nothing to be done.
    pub done: Vec<FileId>,
    pub rejected: Vec<(FileId, String)>,
    /// Something is in the way for now.
    pub postponed: Vec<(FileId, String)>,
}

#[derive(Debug)]
struct ServiceState {
    outfile: Outfile,
    troubles: LogThrottle,
    /// Notified at the first fetch, if it asks for that.
    initially_notified: bool,
    /// Told to the cloud when the notify command has ended, because there is no outfile that would
    /// remember the change.
    held: Option<HeldReport>,
}

#[derive(Debug)]
struct HeldReport {
    report: Report,
    files: Vec<(FileId, Option<Value>)>,
}

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
        let mut runner = NotifyRunner::default();
        let mut state = BTreeMap::new();
        for outfile in outfiles {
            if let (Some(path), Some(starts)) = (outfile.path(), outfile.owed()) {
                runner.catch_up(&outfile.service, path, starts);
            }
            let key = outfile.service.key.clone();
            state.insert(key, ServiceState::new(outfile));
        }
        Services {
            states: state,
            notify: runner,
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

    /// Answers the wishes of the document; with `all`, brings every service in line with it.
    /// `false`: something is in the way, look again later.
    pub async fn reconcile(&mut self, view: &View, all: bool, outbox: &mut Outbox) -> bool {
        let mut well = true;
        for (key, state) in &mut self.states {
            let desired = view.desired().get(key);
            let fresh = outbox.desired.fresh(key, desired);
            let nothing = fresh.is_none() && (!all || state.outfile.is_ephemeral());
            if nothing || state.outfile.is_disabled() {
                continue;
            }
            let reported = view.reported().get(key).unwrap_or(&Value::Null);
            let wish = desired.filter(|_| fresh.is_some());
            let patches: Vec<Value> = fresh
                .into_iter()
                .map(|fresh| self.rules.normalise(fresh))
                .collect();
            match state.outfile.settle(&patches, reported).await {
                Ok(settled) => {
                    state.troubles.clear();
                    let answer = state.answer(settled, outbox, &mut self.notify);
                    if let Some(wish) = wish {
                        let version = view.version().unwrap_or_default();
                        outbox.desired.answer(key, wish, version, answer);
                    }
                }
                Err(trouble) => {
                    state.tell(&trouble);
                    well = false;
                }
            }
        }
        well
    }

    /// The first document is known: services that ask for it are notified once.
    pub fn initial_notify(&mut self) {
        for state in self.states.values_mut() {
            let asks = state.outfile.service.initial_notify && !state.outfile.is_ephemeral();
            let busy = self.notify.is_busy(&state.outfile.service.key);
            if asks && !state.initially_notified && !busy {
                self.notify.notify(state.run(None));
            }
            state.initially_notified = true;
        }
    }

    /// There is no shadow yet: hands out the parts of the default one. Gives what belongs to no
    /// service.
    pub async fn seed(
        &mut self,
        mut document: Map<String, Value>,
        outbox: &mut Outbox,
    ) -> (Map<String, Value>, bool) {
        let mut well = true;
        for (key, state) in &mut self.states {
            let patches: Vec<Value> = document
                .remove(key)
                .map(|patch| self.rules.normalise(patch))
                .into_iter()
                .collect();
            if state.outfile.is_ephemeral() || state.outfile.is_disabled() {
                continue;
            }
            match state.outfile.settle(&patches, &Value::Null).await {
                Ok(settled) => {
                    let service = &state.outfile.service;
                    let beyond = patches
                        .first()
                        .and_then(|patch| outfile_plan::beyond(service, patch, &settled.config));
                    if let Some(beyond) = beyond {
                        document.insert(key.clone(), beyond);
                    }
                    state.answer(settled, outbox, &mut self.notify);
                }
                Err(trouble) => {
                    state.tell(&trouble);
                    well = false;
                }
            }
        }
        (document, well)
    }

    /// Takes up update files of one service, in their order.
    pub async fn change(
        &mut self,
        key: &str,
        changes: Vec<ReadUpdate>,
        view: &View,
        outbox: &mut Outbox,
    ) -> UpdateOutcome {
        let Some(state) = self.states.get_mut(key) else {
            return UpdateOutcome::default();
        };
        if state.outfile.is_ephemeral() {
            return state.carry_out(changes, &mut self.notify).await;
        }
        let reported = view.reported().get(key).unwrap_or(&Value::Null);
        let (ids, patches): (Vec<FileId>, Vec<Value>) = changes
            .into_iter()
            .map(|change| (change.id, change.patch))
            .unzip();
        match state.outfile.settle(&patches, reported).await {
            Ok(settled) => state.changed(ids, &patches, settled, outbox, &mut self.notify),
            Err(trouble) => UpdateOutcome {
                postponed: ids
                    .into_iter()
                    .map(|id| (id, format!("{trouble:#}")))
                    .collect(),
                ..UpdateOutcome::default()
            },
        }
    }

    /// Carries out commands whose wishes the cloud has cleared at our request.
    pub fn run_one_shots(&mut self, orders: Vec<OneShot>) {
        for (key, config) in orders {
            if let Some(state) = self.states.get(&key) {
                self.notify.notify(state.run(Some(config)));
            }
        }
    }

    /// Waits for a notify command to end. May be dropped while it waits.
    pub async fn notified(&mut self) -> NotifyExit {
        self.notify.ended().await
    }

    /// A notify command has ended. Gives the update file that asked for it, and why its command is
    /// not started any more if that is so.
    pub async fn settle(
        &mut self,
        ended: NotifyExit,
        outbox: &mut Outbox,
    ) -> Option<(FileId, Result<(), String>)> {
        let key = ended.key.clone();
        let over = self.notify.settle(ended).await;
        if over.quiet
            && let Some(held) = self.states.get_mut(&key).and_then(|it| it.held.take())
        {
            tell_cloud(&key, held.report, held.files, outbox);
            outbox.desired.release(&key);
        }
        over.file
    }
}

fn tell_cloud(key: &str, report: Report, files: Vec<(FileId, Option<Value>)>, outbox: &mut Outbox) {
    if !outbox.report(key, report) {
        error!(
            "{key}: the configuration is in force but too large to be reported, more than {} KiB",
            LARGEST_REPORT / 1024
        );
    }
    for (id, rest) in files {
        outbox.taken_up(id, key, rest);
    }
}

impl ServiceState {
    fn new(outfile: Outfile) -> ServiceState {
        ServiceState {
            outfile,
            troubles: LogThrottle::default(),
            initially_notified: false,
            held: None,
        }
    }

    fn tell(&mut self, trouble: &anyhow::Error) {
        let text = format!("{trouble:#}");
        let count = self.troubles.count(&text);
        let level = if worth_a_line(count) {
            Level::Error
        } else {
            Level::Debug
        };
        log!(level, "{}: {text}", self.outfile.service.key);
    }

    fn run(&self, stdin: Option<Value>) -> NotifyRun {
        NotifyRun::new(&self.outfile.service, self.outfile.path(), stdin)
    }

    fn report(&self, config: Value) -> Report {
        Report {
            config,
            scope: self.outfile.scope(),
        }
    }

    /// A wish, if there was one, was taken up or turned down.
    fn answer(
        &mut self,
        settled: Settled,
        outbox: &mut Outbox,
        runner: &mut NotifyRunner,
    ) -> DesiredAnswer {
        let key = &self.outfile.service.key;
        for (_, reason) in &settled.rejected {
            warn!("{key}: what the cloud wants is turned down: {reason}");
        }
        if self.outfile.is_ephemeral() {
            let good = settled.rejected.is_empty() && !settled.config.is_null();
            return DesiredAnswer::Command(good.then_some(settled.config));
        }
        let report = self.report(settled.config);
        self.put(report, Vec::new(), settled.notify, outbox, runner)
    }

    /// Tells the service and the cloud.
    fn put(
        &mut self,
        report: Report,
        files: Vec<(FileId, Option<Value>)>,
        notify: bool,
        outbox: &mut Outbox,
        runner: &mut NotifyRunner,
    ) -> DesiredAnswer {
        let key = self.outfile.service.key.clone();
        if notify {
            info!("{key}: the configuration has changed");
            self.initially_notified = true;
            runner.notify(self.run(None));
        }
        let remembered = self.outfile.path().is_some();
        if let Some(held) = &mut self.held {
            held.report = report;
            held.files.extend(files);
        } else if notify && !remembered {
            self.held = Some(HeldReport { report, files });
        } else {
            tell_cloud(&key, report, files, outbox);
            return DesiredAnswer::InForce;
        }
        DesiredAnswer::Held
    }

    /// Each file of an ephemeral service is a command of its own.
    async fn carry_out(
        &mut self,
        changes: Vec<ReadUpdate>,
        runner: &mut NotifyRunner,
    ) -> UpdateOutcome {
        let mut outcome = UpdateOutcome::default();
        for ReadUpdate { id, patch, starts } in changes {
            match self.outfile.settle(&[patch], &Value::Null).await {
                Err(trouble) => outcome.postponed.push((id, format!("{trouble:#}"))),
                Ok(mut settled) => match settled.rejected.pop() {
                    Some((_, reason)) => outcome.rejected.push((id, reason)),
                    None if settled.config.is_null() => outcome.done.push(id),
                    None => {
                        let run = self.run(Some(settled.config));
                        runner.notify(run.of_file(id, starts));
                    }
                },
            }
        }
        outcome
    }

    fn changed(
        &mut self,
        ids: Vec<FileId>,
        patches: &[Value],
        settled: Settled,
        outbox: &mut Outbox,
        runner: &mut NotifyRunner,
    ) -> UpdateOutcome {
        let mut outcome = UpdateOutcome::default();
        let mut files = Vec::new();
        for (index, (id, patch)) in ids.into_iter().zip(patches).enumerate() {
            let reason = settled.rejected.iter().find(|(at, _)| *at == index);
            if let Some((_, reason)) = reason {
                outcome.rejected.push((id, reason.clone()));
            } else {
                let rest = outfile_plan::beyond(&self.outfile.service, patch, &settled.config);
                files.push((id, rest));
            }
        }
        let report = self.report(settled.config);
        self.put(report, files, settled.notify, outbox, runner);
        outcome
    }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
