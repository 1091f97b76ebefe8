//! The services of one shadow: each answers for its own key, and what goes wrong with one is no
//! matter of the others.

use std::collections::BTreeMap;

use log::{Level, error, info, log, warn};
use serde_json::{Map, Value};

use super::document::Rules;
use super::keeper::{Keeper, Settled};
use super::notices::{Ended, Notices, Run};
use super::outbox::{FileId, LARGEST_REPORT, Outbox, Report};
use super::plan;
use super::service::Service;
use super::view::View;
use super::wish::{Answer, Order};
use crate::repeats::{Repeats, worth_a_line};
use crate::spool::starts::Starts;

/// An update file, read.
#[derive(Debug)]
pub struct Change {
    pub id: FileId,
    pub patch: Value,
    /// Counts how often its command is started, if it is one of an ephemeral service.
    pub starts: Option<Starts>,
}

/// What became of update files of one service.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Validation left nothing to be done.
    pub done: Vec<FileId>,
    pub rejected: Vec<(FileId, String)>,
    /// Something is in the way for now.
    pub postponed: Vec<(FileId, String)>,
}

#[derive(Debug)]
struct Served {
    keeper: Keeper,
    troubles: Repeats,
    /// Notified at the first fetch, if it asks for that.
    greeted: bool,
    /// Told to the cloud when the notify command has ended, because there is no outfile that would
    /// remember the change.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    report: Report,
    files: Vec<(FileId, Option<Value>)>,
}

/// All services of one shadow.
#[derive(Debug)]
pub struct Services {
    served: BTreeMap<String, Served>,
    notices: Notices,
    rules: Rules,
}

impl Services {
    /// Begins with the notifications that are owed. Must be called within the runtime.
    pub fn new(keepers: Vec<Keeper>, rules: Rules) -> Services {
        let mut notices = Notices::default();
        let mut served = BTreeMap::new();
        for keeper in keepers {
            if let (Some(outfile), Some(starts)) = (keeper.outfile(), keeper.owed()) {
                notices.catch_up(&keeper.service, outfile, starts);
            }
            let key = keeper.service.key.clone();
            served.insert(key, Served::new(keeper));
        }
        Services {
            served,
            notices,
            rules,
        }
    }

    /// A person asks to try again what was given up.
    pub fn enable(&mut self) {
        for served in self.served.values_mut() {
            served.keeper.enable();
        }
    }

    /// The service that a key belongs to.
    pub fn of(&self, key: &str) -> Option<&Service> {
        Some(&self.served.get(key)?.keeper.service)
    }

    /// Answers the wishes of the document; with `all`, brings every service in line with it.
    /// `false`: something is in the way, look again later.
    pub async fn consider(&mut self, view: &View, all: bool, outbox: &mut Outbox) -> bool {
        let mut well = true;
        for (key, served) in &mut self.served {
            let desired = view.desired().get(key);
            let fresh = outbox.wishes.fresh(key, desired);
            let nothing = fresh.is_none() && (!all || served.keeper.is_ephemeral());
            if nothing || served.keeper.is_disabled() {
                continue;
            }
            let reported = view.reported().get(key).unwrap_or(&Value::Null);
            let wish = desired.filter(|_| fresh.is_some());
            let patches: Vec<Value> = fresh
                .into_iter()
                .map(|fresh| self.rules.normalise(fresh))
                .collect();
            match served.keeper.settle(&patches, reported).await {
                Ok(settled) => {
                    served.troubles.clear();
                    let answer = served.answer(settled, outbox, &mut self.notices);
                    if let Some(wish) = wish {
                        let version = view.version().unwrap_or_default();
                        outbox.wishes.answer(key, wish, version, answer);
                    }
                }
                Err(trouble) => {
                    served.tell(&trouble);
                    well = false;
                }
            }
        }
        well
    }

    /// The first document is known: services that ask for it are notified once.
    pub fn greet(&mut self) {
        for served in self.served.values_mut() {
            let asks = served.keeper.service.initial_notify && !served.keeper.is_ephemeral();
            let busy = self.notices.is_busy(&served.keeper.service.key);
            if asks && !served.greeted && !busy {
                self.notices.notify(served.run(None));
            }
            served.greeted = true;
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
        for (key, served) in &mut self.served {
            let patches: Vec<Value> = document
                .remove(key)
                .map(|patch| self.rules.normalise(patch))
                .into_iter()
                .collect();
            if served.keeper.is_ephemeral() || served.keeper.is_disabled() {
                continue;
            }
            match served.keeper.settle(&patches, &Value::Null).await {
                Ok(settled) => {
                    let service = &served.keeper.service;
                    let beyond = patches
                        .first()
                        .and_then(|patch| plan::beyond(service, patch, &settled.config));
                    if let Some(beyond) = beyond {
                        document.insert(key.clone(), beyond);
                    }
                    served.answer(settled, outbox, &mut self.notices);
                }
                Err(trouble) => {
                    served.tell(&trouble);
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
        changes: Vec<Change>,
        view: &View,
        outbox: &mut Outbox,
    ) -> Outcome {
        let Some(served) = self.served.get_mut(key) else {
            return Outcome::default();
        };
        if served.keeper.is_ephemeral() {
            return served.carry_out(changes, &mut self.notices).await;
        }
        let reported = view.reported().get(key).unwrap_or(&Value::Null);
        let (ids, patches): (Vec<FileId>, Vec<Value>) = changes
            .into_iter()
            .map(|change| (change.id, change.patch))
            .unzip();
        match served.keeper.settle(&patches, reported).await {
            Ok(settled) => served.changed(ids, &patches, settled, outbox, &mut self.notices),
            Err(trouble) => Outcome {
                postponed: ids
                    .into_iter()
                    .map(|id| (id, format!("{trouble:#}")))
                    .collect(),
                ..Outcome::default()
            },
        }
    }

    /// Carries out commands whose wishes the cloud has cleared at our request.
    pub fn fire(&mut self, orders: Vec<Order>) {
        for (key, config) in orders {
            if let Some(served) = self.served.get(&key) {
                self.notices.notify(served.run(Some(config)));
            }
        }
    }

    /// Waits for a notify command to end. May be dropped while it waits.
    pub async fn notified(&mut self) -> Ended {
        self.notices.ended().await
    }

    /// A notify command has ended. Gives the update file that asked for it, and why its command is
    /// not started any more if that is so.
    pub async fn settle(
        &mut self,
        ended: Ended,
        outbox: &mut Outbox,
    ) -> Option<(FileId, Result<(), String>)> {
        let key = ended.key.clone();
        let over = self.notices.settle(ended).await;
        if over.quiet
            && let Some(held) = self.served.get_mut(&key).and_then(|it| it.held.take())
        {
            tell_cloud(&key, held.report, held.files, outbox);
            outbox.wishes.release(&key);
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

impl Served {
    fn new(keeper: Keeper) -> Served {
        Served {
            keeper,
            troubles: Repeats::default(),
            greeted: false,
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
        log!(level, "{}: {text}", self.keeper.service.key);
    }

    fn run(&self, stdin: Option<Value>) -> Run {
        Run::new(&self.keeper.service, self.keeper.outfile(), stdin)
    }

    fn report(&self, config: Value) -> Report {
        Report {
            config,
            scope: self.keeper.scope(),
        }
    }

    /// A wish, if there was one, was taken up or turned down.
    fn answer(&mut self, settled: Settled, outbox: &mut Outbox, notices: &mut Notices) -> Answer {
        let key = &self.keeper.service.key;
        for (_, reason) in &settled.rejected {
            warn!("{key}: what the cloud wants is turned down: {reason}");
        }
        if self.keeper.is_ephemeral() {
            let good = settled.rejected.is_empty() && !settled.config.is_null();
            return Answer::Command(good.then_some(settled.config));
        }
        let report = self.report(settled.config);
        self.put(report, Vec::new(), settled.notify, outbox, notices)
    }

    /// Tells the service and the cloud.
    fn put(
        &mut self,
        report: Report,
        files: Vec<(FileId, Option<Value>)>,
        notify: bool,
        outbox: &mut Outbox,
        notices: &mut Notices,
    ) -> Answer {
        let key = self.keeper.service.key.clone();
        if notify {
            info!("{key}: the configuration has changed");
            self.greeted = true;
            notices.notify(self.run(None));
        }
        let remembered = self.keeper.outfile().is_some();
        if let Some(held) = &mut self.held {
            held.report = report;
            held.files.extend(files);
        } else if notify && !remembered {
            self.held = Some(Held { report, files });
        } else {
            tell_cloud(&key, report, files, outbox);
            return Answer::InForce;
        }
        Answer::Held
    }

    /// Each file of an ephemeral service is a command of its own.
    async fn carry_out(&mut self, changes: Vec<Change>, notices: &mut Notices) -> Outcome {
        let mut outcome = Outcome::default();
        for Change { id, patch, starts } in changes {
            match self.keeper.settle(&[patch], &Value::Null).await {
                Err(trouble) => outcome.postponed.push((id, format!("{trouble:#}"))),
                Ok(mut settled) => match settled.rejected.pop() {
                    Some((_, reason)) => outcome.rejected.push((id, reason)),
                    None if settled.config.is_null() => outcome.done.push(id),
                    None => {
                        let run = self.run(Some(settled.config));
                        notices.notify(run.of_file(id, starts));
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
        notices: &mut Notices,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut files = Vec::new();
        for (index, (id, patch)) in ids.into_iter().zip(patches).enumerate() {
            let reason = settled.rejected.iter().find(|(at, _)| *at == index);
            if let Some((_, reason)) = reason {
                outcome.rejected.push((id, reason.clone()));
            } else {
                let rest = plan::beyond(&self.keeper.service, patch, &settled.config);
                files.push((id, rest));
            }
        }
        let report = self.report(settled.config);
        self.put(report, files, settled.notify, outbox, notices);
        outcome
    }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
