//! The device's side of a shadow's task: services, their effects, and update files.

use std::time::Duration;

use anyhow::{Context, Result};
use log::{error, info, warn};
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::ShadowAgent;
use crate::clock::now;
use crate::file::without_byte_order_mark;
use crate::format::Format;
use crate::log_throttle::worth_a_line;
use crate::offload::{self, Lost};
use crate::process;
use crate::shadow::ShadowOptions;
use crate::shadow::device::definitions::{self, Loaded};
use crate::shadow::device::effects::{Effects, FileEnd, ReadUpdate};
use crate::shadow::device::notify::NotifyExit;
use crate::shadow::device::outfile::Outfile;
use crate::shadow::device::services::Services;
use crate::shadow::device::updates::UpdateFile;
use crate::shadow::document::without_nulls;
use crate::shadow::effect::{FileId, Target};
use crate::spool::outcome::Outcome;
use crate::spool::starts;

/// The default shadow's command has this long.
const SEED_LIMIT: Duration = Duration::from_secs(5);
/// What a default shadow may take.
const LARGEST_SEED: u64 = 64 * 1024;
/// After an error of an outfile we look again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// After the machine was too short of something to load the definitions.
const SHORT_REST: Duration = Duration::from_secs(2);

impl ShadowAgent {
    /// However long it takes: a disk that is slow, and definitions that hang, hold up nobody else.
    pub(super) async fn load(&mut self) {
        let mut shortages = 0;
        let (loaded, outfiles) = loop {
            let options = self.options.clone();
            match offload::run(move || loaded(&options))
                .await
                .and_then(|it| it)
            {
                Ok(all) => break all,
                Err(shortage) => {
                    shortages += 1;
                    if worth_a_line(shortages) {
                        let (id, why) = (&self.options.id, anyhow::Error::new(shortage));
                        warn!("the service definitions of {id} are loaded later: {why:#}");
                    }
                    sleep(SHORT_REST).await;
                }
            }
        };
        for problem in loaded.problems {
            error!("{problem}");
        }
        self.unusable = loaded.unusable;
        self.services = Services::new(outfiles, self.options.rules);
    }

    /// Brings services in line with the document.
    pub(super) async fn reconcile(&mut self, targets: Vec<Target>) {
        let effects = self.services.reconcile(targets).await;
        self.apply(effects);
    }

    /// A notify command has ended.
    pub(super) async fn command_ended(&mut self, ended: NotifyExit) {
        let effects = self.services.command_ended(ended).await;
        self.apply(effects);
    }

    fn apply(&mut self, effects: Effects) {
        for effect in effects.cloud {
            if let Err(why) = self.conversation.apply(effect) {
                error!("{why}");
            }
        }
        for (id, end) in effects.files {
            self.file_ended(&id, end);
        }
        if effects.look_again {
            self.conversation.refetch_at(now() + LOOK_AGAIN);
        }
    }

    fn file_ended(&mut self, id: &FileId, end: FileEnd) {
        match end {
            FileEnd::Nothing => {
                let done = format!("nothing is to be done for '{}'", id.name);
                self.updates.settle_as(id, Outcome::Delivered, &done);
            }
            FileEnd::CarriedOut => {
                let done = format!("carried out '{}'", id.name);
                self.updates.settle_as(id, Outcome::Delivered, &done);
            }
            FileEnd::Rejected(reason) => self.updates.settle(id, Outcome::Unusable(reason)),
            FileEnd::Postponed { key, reason } => self.updates.postpone(id, &key, reason),
        }
    }

    /// There is no shadow: the default one is handed to the services and becomes the first report.
    pub(super) async fn seed(&mut self) {
        let id = &self.options.id;
        match self.options.default_shadow {
            Some(_) => info!("there is no shadow of {id}"),
            None => info!("there is no shadow of {id}, and no --defaultshadow that would make it"),
        }
        let document = match &self.options.default_shadow {
            None => None,
            Some(command) => Some(default_shadow(command, &id.to_string()).await),
        };
        let make = document.is_some();
        let document = document
            .unwrap_or_else(|| Ok(Map::new()))
            .unwrap_or_else(|fault| {
                error!("the default shadow of {id} stays empty: {fault:#}");
                Map::new()
            });
        let (rest, effects) = self.services.seed(document).await;
        self.apply(effects);
        if make {
            let rest = without_nulls(self.options.rules.normalise(rest.into()));
            self.conversation
                .seed(rest.as_object().cloned().unwrap_or_default());
        }
    }

    /// Takes up update files as soon as it is known what the cloud holds.
    pub(super) async fn take_updates(&mut self) {
        if self.conversation.view().is_none() {
            return;
        }
        let mut of_services: Vec<(String, Vec<ReadUpdate>)> = Vec::new();
        for update in self.updates.take() {
            if let Some(obstacle) = self.obstacle(&update.key) {
                self.updates.postpone(&update.id, &update.key, obstacle);
                continue;
            }
            let Some(patch) = self.read(&update) else {
                continue;
            };
            let UpdateFile { id, key, .. } = update;
            if self.services.of(&key).is_none() {
                self.conversation.patch(id, &key, patch);
                continue;
            }
            let starts = self.updates.starts(&id);
            let update = ReadUpdate { id, patch, starts };
            match of_services.iter_mut().find(|(other, _)| *other == key) {
                Some((_, updates)) => updates.push(update),
                None => of_services.push((key, vec![update])),
            }
        }
        for (key, updates) in of_services {
            let reported = self.conversation.reported(&key);
            let effects = self.services.change(&key, updates, &reported).await;
            self.apply(effects);
        }
    }

    /// A service that is not loaded may decide about this key: nothing is reported without it.
    fn obstacle(&self, key: &str) -> Option<String> {
        let unusable = match self.services.of(key) {
            Some(_) => None,
            None => self.unusable.iter().find(|it| it.may_define(key)),
        }?;
        Some(format!(
            "{} may be the definition of its key and cannot be used: repair it and start again",
            unusable.path.display()
        ))
    }

    /// The patch in an update file. One that has none is given up.
    fn read(&mut self, update: &UpdateFile) -> Option<Value> {
        let format = self
            .services
            .of(&update.key)
            .map(|service| service.informat);
        match update.patch(format.unwrap_or(Format::Json)) {
            Ok(patch) => Some(self.options.rules.normalise(patch)),
            Err(why) => {
                self.updates.settle(&update.id, Outcome::Unusable(why));
                None
            }
        }
    }
}

/// The definitions, and their services with what stands beside their outfiles.
fn loaded(options: &ShadowOptions) -> Result<(Loaded, Vec<Outfile>), Lost> {
    options.updates.iter().for_each(|dir| starts::sweep(dir));
    let mut loaded = definitions::load_all(&options.services)?;
    let services = std::mem::take(&mut loaded.services);
    Ok((loaded, services.into_iter().map(Outfile::new).collect()))
}

/// The thing's name is on the command's standard input.
async fn default_shadow(command: &str, thing: &str) -> Result<Map<String, Value>> {
    let task = process::shell("defaultshadow", command, SEED_LIMIT);
    let printed = task
        .stdin(format!("{thing}\n").into_bytes())
        .output(LARGEST_SEED)
        .await?;
    serde_json::from_slice(without_byte_order_mark(&printed))
        .context("what defaultshadow printed is not a JSON object")
}
