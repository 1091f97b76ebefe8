//! One service at work: reads its outfile, asks validation, replaces the outfile.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use log::warn;
use serde_json::Value;

use super::javascript;
use super::known_file;
use super::marker;
use super::outfile_plan::{self, Present, Write};
use super::script::Verdict;
use super::service::{Output, Service};
use super::validate::Validator;
use crate::file;
use crate::format::{Format, Rendered};
use crate::offload;
use crate::shadow::document::same;
use crate::shadow::effect::Scope;

/// Outfiles above this size are not ours.
const LARGEST: u64 = 1024 * 1024;
/// Of an outfile that is made new.
const MODE: u32 = 0o644;

/// What became of what was asked for.
#[derive(Debug)]
pub struct Applied {
    /// In force now.
    pub config: Value,
    /// The outfile has changed in a way that the service is notified of.
    pub notify: Notify,
    /// The patches that were rejected, with the reason.
    pub rejected: Vec<(usize, String)>,
}

/// Whether the service is to be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    No,
    /// Its command is to be run, and each start to be counted.
    Owed,
    /// Its command is to be run, and the marker counts the first start already.
    Begun,
}

/// Owns the outfile of one service.
#[derive(Debug)]
pub struct Outfile {
    pub service: Service,
    /// Where the outfile really is. `None`: it is never written.
    outfile: Option<PathBuf>,
    /// What was last written, where the file alone does not show it.
    known: Option<Value>,
    /// What was last said about the outfile, so that it is said once.
    complaint: Option<String>,
    validator: Validator,
    /// How often the notify command was started for a notification that an earlier process has left
    /// owed.
    owed: Option<u32>,
}

impl Outfile {
    /// Looks at what stands beside the outfile: blocks.
    pub fn new(service: Service) -> Outfile {
        Outfile::with(service, Validator::new(javascript::PATIENCE))
    }

    /// The same with a validator of its own.
    pub fn with(service: Service, validator: Validator) -> Outfile {
        let outfile = match &service.output {
            Output::Ephemeral => None,
            Output::File { path, .. } => {
                // Links stay, and what they lead to is replaced.
                let real = file::resolved(path);
                (real != Path::new("/dev/null")).then_some(real)
            }
        };
        let known = outfile.as_deref().and_then(known_file::read);
        let owed = outfile.as_deref().and_then(owed);
        Outfile {
            service,
            outfile,
            known,
            complaint: None,
            validator,
            owed,
        }
    }

    pub fn path(&self) -> Option<&Path> {
        self.outfile.as_deref()
    }

    /// As it was when this was made.
    pub fn owed(&self) -> Option<u32> {
        self.owed
    }

    /// Its validation has come to no end too often: nothing is applied until [`Outfile::enable`].
    pub fn is_disabled(&self) -> bool {
        self.validator.is_disabled()
    }

    pub fn enable(&mut self) {
        self.validator.enable();
    }

    pub fn is_ephemeral(&self) -> bool {
        matches!(self.service.output, Output::Ephemeral)
    }

    /// Which members the service answers for.
    pub fn scope(&self) -> Scope {
        match &self.service.output {
            Output::Ephemeral | Output::File { keys: None, .. } => Scope::Everything,
            Output::File {
                keys: Some(keys), ..
            } => Scope::These(keys.clone()),
        }
    }

    /// Takes up these patches one after the other, and replaces the outfile if that has changed
    /// anything. `reported` is what the cloud knows of this service.
    ///
    /// # Errors
    /// The outfile cannot be read or written now: nothing has changed, try again later.
    pub async fn apply(&mut self, patches: &[Value], reported: &Value) -> Result<Applied> {
        let present = self.present(reported).await?;
        let mut config = present.base.clone();
        let mut rejected = Vec::new();
        for (index, patch) in patches.iter().enumerate() {
            match self.judge(&config, patch).await? {
                Ok(accepted) => config = accepted,
                Err(reason) => rejected.push((index, reason)),
            }
        }
        let rendered =
            outfile_plan::rendered(&self.service, &config).map_err(anyhow::Error::msg)?;
        let mut notify = Notify::No;
        if let Some(rendered) = rendered {
            config = outfile_plan::as_rendered(&self.service, config, &rendered);
            notify = self.write(&present, &config, rendered).await?;
        }
        Ok(Applied {
            config,
            notify,
            rejected,
        })
    }

    /// The configuration with this patch, or why it is rejected.
    async fn judge(&mut self, config: &Value, patch: &Value) -> Result<Result<Value, String>> {
        let asked = outfile_plan::asked_for(config, patch);
        if same(&asked, config) && !self.is_ephemeral() {
            return Ok(Ok(asked));
        }
        let accepted = match self.validator.verdict(&self.service, asked).await? {
            Verdict::Accepted(config) => config,
            Verdict::Remove => Value::Null,
            Verdict::Rejected(reason) | Verdict::Failed(reason) => return Ok(Err(reason)),
        };
        Ok(outfile_plan::rendered(&self.service, &accepted).map(|_| accepted))
    }

    async fn present(&mut self, reported: &Value) -> Result<Present> {
        // What the cloud holds, as far as it can be in force here.
        let reported = outfile_plan::written(&self.service, reported);
        let reported = match outfile_plan::rendered(&self.service, &reported) {
            Ok(_) => reported,
            Err(_) => Value::Null,
        };
        let (Some(path), Output::File { format, .. }) =
            (self.outfile.clone(), &self.service.output)
        else {
            // Without a file there is what this process has applied, and before that what the cloud
            // reports.
            let value = match (&self.known, self.is_ephemeral()) {
                (_, true) => Value::Null,
                (Some(known), false) => known.clone(),
                (None, false) => reported,
            };
            return Ok(Present {
                bytes: None,
                base: value.clone(),
                value,
            });
        };
        let format = *format;
        match contents(path.clone()).await? {
            Some(bytes) => self.read(&path, format, bytes, reported).await,
            None => Ok(Present {
                bytes: None,
                value: Value::Null,
                base: Value::Null,
            }),
        }
    }

    /// What the outfile's bytes say.
    async fn read(
        &mut self,
        path: &Path,
        format: Format,
        bytes: Vec<u8>,
        reported: Value,
    ) -> Result<Present> {
        let known = self.known.as_ref().unwrap_or(&reported);
        let (value, base) = match outfile_plan::parsed(format, &bytes, known) {
            Ok(value) => {
                self.complaint = None;
                (value.clone(), value)
            }
            Err(why) => {
                let (own, kept) = (path.to_owned(), bytes.clone());
                offload::run(move || keep_aside(&own, &kept)).await?;
                self.complain(format!("{} {why}", path.display()));
                (Value::Null, reported)
            }
        };
        Ok(Present {
            bytes: Some(bytes),
            value: outfile_plan::written(&self.service, &value),
            base: outfile_plan::written(&self.service, &base),
        })
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint.as_ref() != Some(&complaint) {
            warn!(
                "{complaint}; it is made anew from what was last reported, and kept beside it as .NAME.bad"
            );
            self.complaint = Some(complaint);
        }
    }

    /// Replaces the outfile if need be.
    async fn write(
        &mut self,
        present: &Present,
        config: &Value,
        rendered: Rendered,
    ) -> Result<Notify> {
        let write = outfile_plan::compare(&self.service, present, config, rendered.bytes);
        let (bytes, notify) = match write {
            Write::Nothing => return Ok(Notify::No),
            Write::Meaning(bytes) => {
                self.remember(config, &bytes).await?;
                return Ok(Notify::No);
            }
            Write::These { bytes, notify } => (bytes, notify),
        };
        for warning in rendered.warnings {
            warn!("{}: {warning}", self.service.key);
        }
        let mut notify = if notify { Notify::Owed } else { Notify::No };
        if let Some(path) = self.outfile.clone() {
            let (old, new) = (&present.value, outfile_plan::written(&self.service, config));
            if self.known.is_some() || outfile_plan::worth_knowing(&self.service, &bytes, &new) {
                // Until it is replaced, a kill may leave the old file or the new one: both must be
                // read as they were meant.
                self.persist_known(Some(outfile_plan::asked_for(old, &new)))
                    .await?;
            }
            let contents = bytes.clone();
            notify = offload::run(move || replace(&path, &contents, notify)).await??;
        }
        self.remember(config, &bytes).await?;
        Ok(notify)
    }

    /// Remembers what the file means, where its text alone does not show it.
    async fn remember(&mut self, config: &Value, bytes: &[u8]) -> Result<()> {
        let written = outfile_plan::written(&self.service, config);
        if self.outfile.is_none() {
            self.known = Some(written);
            return Ok(());
        }
        let worth = outfile_plan::worth_knowing(&self.service, bytes, &written);
        self.persist_known(worth.then_some(written)).await
    }

    async fn persist_known(&mut self, known: Option<Value>) -> Result<()> {
        if let (Some(path), true) = (self.outfile.clone(), known != self.known) {
            let remembered = known.clone();
            offload::run(move || known_file::write(&path, remembered.as_ref())).await??;
            self.known = known;
        }
        Ok(())
    }
}

/// How often the command was started for a notification that is owed. One that was started too often
/// is owed no longer.
fn owed(outfile: &Path) -> Option<u32> {
    let starts = marker::starts(outfile)?;
    if starts >= marker::MOST_STARTS {
        marker::clear(outfile).unwrap_or_else(|error| {
            warn!(
                "cannot remove the marker beside {}: {error}",
                outfile.display()
            )
        });
    }
    Some(starts)
}

/// What is in the file, if there is one. However long the disk takes: other services of the shadow wait
/// meanwhile, and nothing else does.
async fn contents(path: PathBuf) -> Result<Option<Vec<u8>>> {
    let shown = path.display().to_string();
    match offload::run(move || file::read_own(&path, LARGEST)).await? {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
    }
}

/// A person may have mistyped something, and would like to correct it.
fn keep_aside(path: &Path, bytes: &[u8]) {
    let kept = file::beside(path, "bad").and_then(|kept| file::replace(&kept, bytes, 0o600));
    if let Err(error) = kept {
        warn!("cannot keep the old {}: {error}", path.display());
    }
}

fn replace(path: &Path, bytes: &[u8], notify: Notify) -> Result<Notify> {
    let owed = marker::starts(path).is_some();
    let replaced = match notify {
        Notify::No => file::replace(path, bytes, MODE).map(|()| Notify::No),
        Notify::Owed | Notify::Begun => marked_and_replaced(path, bytes),
    };
    match &replaced {
        Err(error) if file::read_own(path, LARGEST).is_ok_and(|there| there == bytes) => {
            warn!("{} may not survive a power cut: {error}", path.display());
            return Ok(notify);
        }
        Err(_) if !owed => drop(marker::clear(path)),
        Ok(_) | Err(_) => {}
    }
    replaced.with_context(|| format!("cannot write {}", path.display()))
}

/// The marker is durable before the outfile changes.
fn marked_and_replaced(path: &Path, bytes: &[u8]) -> io::Result<Notify> {
    let Some(marker) = marker::begin(path)? else {
        marker::set(path)?;
        file::replace(path, bytes, MODE)?;
        return Ok(Notify::Owed);
    };
    // The marker afterwards: what makes the larger one durable often does it for both.
    let staged = file::stage(path, bytes, MODE)?;
    marker.sync_all()?;
    file::sync_directory(path)?;
    staged.put()?;
    Ok(Notify::Begun)
}
