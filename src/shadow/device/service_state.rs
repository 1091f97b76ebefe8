//! One service at work: its outfile, what is held back until its command has ended, and its effects.

use log::{Level, info, log, warn};
use serde_json::Value;

use super::effects::{Effects, FileEnd, ReadUpdate};
use super::notify::{NotifyRun, NotifyRunner};
use super::outfile::{Applied, Notify, Outfile};
use super::outfile_plan;
use crate::log_throttle::LogThrottle;
use crate::shadow::document::Rules;
use crate::shadow::effect::{DesiredAnswer, Effect, FileId, Report, Target};

#[derive(Debug)]
pub struct ServiceState {
    pub outfile: Outfile,
    troubles: LogThrottle,
    /// Notified at the first fetch, if it asks for that.
    initially_notified: bool,
    /// Reported when the notify command has ended, because there is no outfile that would
    /// remember the change.
    held: Option<HeldReport>,
}

#[derive(Debug)]
struct HeldReport {
    report: Report,
    files: Vec<(FileId, Option<Value>)>,
}

impl ServiceState {
    pub fn new(outfile: Outfile) -> ServiceState {
        ServiceState {
            outfile,
            troubles: LogThrottle::default(),
            initially_notified: false,
            held: None,
        }
    }

    /// Something is in its way.
    pub fn tell(&mut self, trouble: &anyhow::Error) {
        let text = format!("{trouble:#}");
        let again = self.troubles.again(Level::Error, &text);
        log!(again.level, "{}: {text}", self.outfile.service.key);
    }

    /// A run of its notify command. `stdin`: what a command of an ephemeral service reads.
    pub fn run(&self, stdin: Option<Value>) -> NotifyRun {
        NotifyRun::new(&self.outfile.service, self.outfile.path(), stdin)
    }

    /// The run that is due when the first document is known, once. `busy`: its command runs already.
    pub fn initial_run(&mut self, busy: bool) -> Option<NotifyRun> {
        let asks = self.outfile.service.initial_notify && !self.outfile.is_ephemeral();
        let due = asks && !self.initially_notified && !busy;
        self.initially_notified = true;
        due.then(|| self.run(None))
    }

    /// Brings it in line with the document.
    ///
    /// # Errors
    /// What is in its way for now.
    pub async fn reconcile(
        &mut self,
        target: Target,
        rules: Rules,
        runner: &mut NotifyRunner,
    ) -> anyhow::Result<Vec<Effect>> {
        let idle = target.unanswered.is_none() && self.outfile.is_ephemeral();
        if idle || self.outfile.is_disabled() {
            return Ok(Vec::new());
        }
        let answers = target.unanswered.is_some();
        let patch = target.unanswered.map(|patch| rules.normalise(patch));
        let applied = self.outfile.apply(patch.as_slice(), &target.reported);
        let applied = applied.await?;
        self.troubles.clear();
        let (answer, mut effects) = self.answer(applied, runner);
        // After the report: only what is reported may be cleared.
        effects.extend(
            target
                .desired
                .filter(|_| answers)
                .map(|desired| Effect::Answered {
                    key: target.key,
                    desired,
                    version: target.version,
                    answer,
                }),
        );
        Ok(effects)
    }

    /// A desired value, if there was one, was taken up or rejected.
    pub fn answer(
        &mut self,
        applied: Applied,
        runner: &mut NotifyRunner,
    ) -> (DesiredAnswer, Vec<Effect>) {
        let key = &self.outfile.service.key;
        for (_, reason) in &applied.rejected {
            warn!("{key}: the desired value is rejected: {reason}");
        }
        if self.outfile.is_ephemeral() {
            let good = applied.rejected.is_empty() && !applied.config.is_null();
            let command = good.then_some(applied.config);
            return (DesiredAnswer::Command(command), Vec::new());
        }
        self.put(applied, Vec::new(), runner)
    }

    /// Notifies the service and reports to the cloud.
    fn put(
        &mut self,
        applied: Applied,
        files: Vec<(FileId, Option<Value>)>,
        runner: &mut NotifyRunner,
    ) -> (DesiredAnswer, Vec<Effect>) {
        let report = Report {
            config: applied.config,
            scope: self.outfile.scope(),
        };
        let notify = applied.notify != Notify::No;
        if notify {
            info!(
                "{}: the configuration has changed",
                self.outfile.service.key
            );
            // A change that comes before the first document has been notified already.
            self.initially_notified = true;
            let run = self.run(None);
            runner.notify(match applied.notify {
                Notify::Begun => run.counted(),
                Notify::Owed | Notify::No => run,
            });
        }
        // Without an outfile only the cloud remembers the change: it must not see it before the
        // command has ended, or a crash in between would lose the notification.
        let remembered = self.outfile.path().is_some();
        if let Some(held) = &mut self.held {
            held.report = report;
            held.files.extend(files);
        } else if notify && !remembered {
            self.held = Some(HeldReport { report, files });
        } else {
            return (DesiredAnswer::InForce, self.effects(report, files));
        }
        (DesiredAnswer::Held, Vec::new())
    }

    fn effects(&self, report: Report, files: Vec<(FileId, Option<Value>)>) -> Vec<Effect> {
        let key = &self.outfile.service.key;
        let taken_up = files.into_iter().map(|(id, rest)| Effect::TakenUp {
            id,
            key: key.clone(),
            rest,
        });
        let reported = Effect::Reported {
            key: key.clone(),
            report,
        };
        [reported].into_iter().chain(taken_up).collect()
    }

    /// Nothing more is owed to it: what was held back for that.
    pub fn release(&mut self) -> Vec<Effect> {
        let Some(held) = self.held.take() else {
            return Vec::new();
        };
        let mut effects = self.effects(held.report, held.files);
        let key = self.outfile.service.key.clone();
        effects.push(Effect::Released { key });
        effects
    }

    /// Each file of an ephemeral service is a command of its own.
    pub async fn carry_out(
        &mut self,
        updates: Vec<ReadUpdate>,
        runner: &mut NotifyRunner,
    ) -> Effects {
        let mut effects = Effects::default();
        for ReadUpdate { id, patch, starts } in updates {
            match self.outfile.apply(&[patch], &Value::Null).await {
                // The command was not started, so the file stays, and its successors stay behind it.
                Err(trouble) => effects.files.push((id, self.postponed(&trouble))),
                Ok(mut applied) => match applied.rejected.pop() {
                    Some((_, reason)) => effects.files.push((id, FileEnd::Rejected(reason))),
                    None if applied.config.is_null() => effects.files.push((id, FileEnd::Nothing)),
                    None => {
                        let run = self.run(Some(applied.config));
                        runner.notify(run.of_file(id, starts));
                    }
                },
            }
        }
        effects
    }

    /// Takes up update files, in their order. `reported`: what the cloud has of the key.
    pub async fn change(
        &mut self,
        updates: Vec<ReadUpdate>,
        reported: &Value,
        runner: &mut NotifyRunner,
    ) -> Effects {
        let updates = updates.into_iter().map(|update| (update.id, update.patch));
        let (ids, patches): (Vec<FileId>, Vec<Value>) = updates.unzip();
        match self.outfile.apply(&patches, reported).await {
            Ok(applied) => self.changed(ids, &patches, applied, runner),
            Err(trouble) => Effects {
                files: ids
                    .into_iter()
                    .map(|id| (id, self.postponed(&trouble)))
                    .collect(),
                ..Effects::default()
            },
        }
    }

    fn postponed(&self, trouble: &anyhow::Error) -> FileEnd {
        FileEnd::Postponed {
            key: self.outfile.service.key.clone(),
            reason: format!("{trouble:#}"),
        }
    }

    fn changed(
        &mut self,
        ids: Vec<FileId>,
        patches: &[Value],
        applied: Applied,
        runner: &mut NotifyRunner,
    ) -> Effects {
        let (mut ended, mut files) = (Vec::new(), Vec::new());
        for (index, (id, patch)) in ids.into_iter().zip(patches).enumerate() {
            let reason = applied.rejected.iter().find(|(at, _)| *at == index);
            if let Some((_, reason)) = reason {
                ended.push((id, FileEnd::Rejected(reason.clone())));
            } else {
                let rest = outfile_plan::beyond(&self.outfile.service, patch, &applied.config);
                files.push((id, rest));
            }
        }
        let (_, cloud) = self.put(applied, files, runner);
        Effects {
            cloud,
            files: ended,
            look_again: false,
        }
    }
}
