//! One service at work: reads its outfile, asks validation, replaces the outfile.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use log::warn;
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::document::same;
use super::marker;
use super::memory;
use super::outbox::Scope;
use super::plan::{self, Present, Write};
use super::script::Verdict;
use super::service::{Output, Service};
use super::validate::verdict;
use crate::file;
use crate::format::Rendered;

/// Outfiles above this size are not ours.
const LARGEST: u64 = 1024 * 1024;
/// Of an outfile that is made new.
const MODE: u32 = 0o644;

/// What became of what was asked for.
#[derive(Debug)]
pub struct Settled {
    /// In force now.
    pub config: Value,
    /// The outfile has changed in a way that the service is told of.
    pub notify: bool,
    /// The patches that were turned down, with the reason.
    pub rejected: Vec<(usize, String)>,
}

/// Owns the outfile of one service.
#[derive(Debug)]
pub struct Keeper {
    pub service: Service,
    /// Where the outfile really is. `None`: it is never written.
    outfile: Option<PathBuf>,
    /// What was last written, where the file alone does not tell.
    known: Option<Value>,
    /// What was last said about the outfile, so that it is said once.
    complaint: Option<String>,
}

impl Keeper {
    pub fn new(service: Service) -> Keeper {
        let outfile = match &service.output {
            Output::Ephemeral => None,
            Output::File { path, .. } => {
                // Links stay, and what they lead to is replaced.
                let real = file::resolved(path);
                (real != Path::new("/dev/null")).then_some(real)
            }
        };
        let known = outfile.as_deref().and_then(memory::read);
        Keeper {
            service,
            outfile,
            known,
            complaint: None,
        }
    }

    pub fn outfile(&self) -> Option<&Path> {
        self.outfile.as_deref()
    }

    pub fn is_ephemeral(&self) -> bool {
        matches!(self.service.output, Output::Ephemeral)
    }

    /// Which members the service answers for.
    pub fn scope(&self) -> Scope {
        match &self.service.output {
            Output::Ephemeral => Scope::Nothing,
            Output::File { keys: None, .. } => Scope::Everything,
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
    pub async fn settle(&mut self, patches: &[Value], reported: &Value) -> Result<Settled> {
        let present = self.present(reported)?;
        let mut config = present.base.clone();
        let mut rejected = Vec::new();
        for (index, patch) in patches.iter().enumerate() {
            match self.judge(&config, patch).await? {
                Ok(accepted) => config = accepted,
                Err(reason) => rejected.push((index, reason)),
            }
        }
        let rendered = plan::rendered(&self.service, &config).map_err(anyhow::Error::msg)?;
        let mut notify = false;
        if let Some(rendered) = rendered {
            config = plan::as_rendered(&self.service, config, &rendered);
            notify = self.write(&present, &config, rendered).await?;
        }
        Ok(Settled {
            config,
            notify,
            rejected,
        })
    }

    /// The configuration with this patch, or why it is turned down.
    async fn judge(&self, config: &Value, patch: &Value) -> Result<Result<Value, String>> {
        let asked = plan::asked_for(config, patch);
        if same(&asked, config) && !self.is_ephemeral() {
            return Ok(Ok(asked));
        }
        let accepted = match verdict(&self.service, asked).await? {
            Verdict::Accepted(config) => config,
            Verdict::Remove => Value::Null,
            Verdict::Rejected(reason) | Verdict::Failed(reason) => return Ok(Err(reason)),
        };
        Ok(plan::rendered(&self.service, &accepted).map(|_| accepted))
    }

    fn present(&mut self, reported: &Value) -> Result<Present> {
        // What the cloud holds, as far as it can be in force here.
        let reported = plan::written(&self.service, reported);
        let reported = match plan::rendered(&self.service, &reported) {
            Ok(_) => reported,
            Err(_) => Value::Null,
        };
        let (Some(path), Output::File { format, .. }) = (&self.outfile, &self.service.output)
        else {
            // Without a file there is what this process has settled, and before that the cloud's word.
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
        let bytes = match file::read(path, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Present {
                    bytes: None,
                    value: Value::Null,
                    base: Value::Null,
                });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let known = self.known.as_ref().unwrap_or(&reported);
        let parsed = plan::parsed(*format, &bytes, known);
        let (value, base) = match parsed {
            Ok(value) => {
                self.complaint = None;
                (value.clone(), value)
            }
            Err(why) => {
                let complaint = format!("{} {why}", path.display());
                keep_aside(path, &bytes);
                self.complain(complaint);
                (Value::Null, reported)
            }
        };
        Ok(Present {
            bytes: Some(bytes),
            value: plan::written(&self.service, &value),
            base: plan::written(&self.service, &base),
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

    /// Replaces the outfile if need be, and tells whether to notify.
    async fn write(
        &mut self,
        present: &Present,
        config: &Value,
        rendered: Rendered,
    ) -> Result<bool> {
        let write = plan::compare(&self.service, present, config, rendered.bytes);
        let (bytes, notify) = match write {
            Write::Nothing => return Ok(false),
            Write::Meaning(bytes) => {
                self.remember(config, &bytes).await?;
                return Ok(false);
            }
            Write::These { bytes, notify } => (bytes, notify),
        };
        for warning in rendered.warnings {
            warn!("{}: {warning}", self.service.key);
        }
        if let Some(path) = self.outfile.clone() {
            let (old, new) = (&present.value, plan::written(&self.service, config));
            if self.known.is_some() || plan::worth_knowing(&self.service, &bytes, &new) {
                // Until it is replaced, a kill may leave the old file or the new one: both must be
                // read as they were meant.
                self.keep_in_mind(Some(plan::asked_for(old, &new))).await?;
            }
            let contents = bytes.clone();
            let replaced = spawn_blocking(move || replace(&path, &contents, notify));
            replaced.await.context("a thread failed")??;
        }
        self.remember(config, &bytes).await?;
        Ok(notify)
    }

    /// Remembers what the file means, where its text alone does not tell.
    async fn remember(&mut self, config: &Value, bytes: &[u8]) -> Result<()> {
        let written = plan::written(&self.service, config);
        if self.outfile.is_none() {
            self.known = Some(written);
            return Ok(());
        }
        let worth = plan::worth_knowing(&self.service, bytes, &written);
        self.keep_in_mind(worth.then_some(written)).await
    }

    async fn keep_in_mind(&mut self, known: Option<Value>) -> Result<()> {
        if let (Some(path), true) = (self.outfile.clone(), known != self.known) {
            let remembered = known.clone();
            let remembering = spawn_blocking(move || memory::write(&path, remembered.as_ref()));
            remembering.await.context("a thread failed")??;
            self.known = known;
        }
        Ok(())
    }
}

/// A person may have mistyped something, and would like to mend it.
fn keep_aside(path: &Path, bytes: &[u8]) {
    let kept = file::beside(path, "bad").and_then(|kept| file::replace(&kept, bytes, 0o600));
    if let Err(error) = kept {
        warn!("cannot keep the old {}: {error}", path.display());
    }
}

fn replace(path: &Path, bytes: &[u8], notify: bool) -> Result<()> {
    let owed = marker::starts(path).is_some();
    let marked = if notify { marker::set(path) } else { Ok(()) };
    let replaced = marked.and_then(|()| file::replace(path, bytes, MODE));
    match &replaced {
        Err(error) if fs::read(path).is_ok_and(|there| there == bytes) => {
            warn!("{} may not outlive a power cut: {error}", path.display());
            return Ok(());
        }
        Err(_) if !owed => drop(marker::clear(path)),
        Ok(()) | Err(_) => {}
    }
    replaced.with_context(|| format!("cannot write {}", path.display()))
}
