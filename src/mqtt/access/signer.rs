//! The access keys that WebSockets are asked for with, as they are for one connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{debug, warn};
use tokio::sync::watch;

use super::cache::{KeyAdvice, LentKeys};
use super::options::{KeySource, ProviderOptions, SigningOptions};
use super::{provider, secrets};
use crate::aws::{self, AccessKeys};
use crate::clock::{now, wall};
use crate::date::extended;
use crate::net::{Class, Dialer, Ending, Tls};

/// Where the keys are, and what they sign for. Clones share what the credential provider has lent.
#[derive(Clone)]
pub struct Signer {
    source: Source,
    region: String,
}

#[derive(Clone)]
enum Source {
    File(PathBuf, String),
    Environment(AccessKeys),
    Provider {
        options: ProviderOptions,
        /// Shows our certificate.
        tls: Tls,
        lent: Arc<watch::Sender<LentKeys>>,
    },
}

impl Signer {
    /// `certificate` is what the credential provider is shown. `None`: there is none, but it needs one.
    pub fn new(source: &KeySource, region: String, certificate: Option<Tls>) -> Option<Signer> {
        let source = match source {
            KeySource::File { file, profile } => Source::File(file.clone(), profile.clone()),
            KeySource::Environment(keys) => Source::Environment(keys.clone()),
            KeySource::Provider(options) => Source::Provider {
                options: options.clone(),
                tls: certificate?,
                lent: Arc::new(watch::Sender::new(LentKeys::default())),
            },
        };
        Some(Signer { source, region })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// Keys that have not ended yet. `dialer` leads to the credential provider.
    pub(super) async fn keys(&self, dialer: &mut Dialer) -> Result<AccessKeys, Ending> {
        match &self.source {
            Source::File(file, profile) => {
                let (path, profile) = (file.clone(), profile.clone());
                let keys = secrets::read(move || in_file(&path, &profile)).await?;
                in_force(keys, &format!("in {}", file.display()))
            }
            Source::Environment(keys) => in_force(keys.clone(), "in the environment"),
            Source::Provider { options, tls, lent } => {
                let advice = lent.borrow().advice(now(), wall());
                match advice {
                    KeyAdvice::Use(keys) => Ok(keys),
                    KeyAdvice::Fail(ending) => Err(ending),
                    KeyAdvice::Ask => asked(options, tls, lent, dialer).await,
                }
            }
        }
    }
}

impl SigningOptions {
    /// What is wrong with keys that can be looked at without connecting.
    pub fn problem(&self) -> Option<String> {
        let (keys, place) = match &self.keys {
            KeySource::File { file, profile } => match in_file(file, profile) {
                Ok(keys) => (keys, format!("in {}", file.display())),
                Err(why) => return Some(why),
            },
            KeySource::Environment(keys) => (keys.clone(), "in the environment".to_owned()),
            KeySource::Provider(_) => return None,
        };
        in_force(keys, &place).err().map(|ending| ending.reason)
    }
}

/// The keys of a profile in a file.
fn in_file(file: &Path, profile: &str) -> Result<AccessKeys, String> {
    let text = secrets::text("aws-credentials-file", file)?;
    aws::keys_of_profile(&text, profile)
        .map_err(|why| format!("--aws-credentials-file={}: {why}", file.display()))
}

/// What the broker would refuse without saying why.
fn in_force(keys: AccessKeys, place: &str) -> Result<AccessKeys, Ending> {
    match keys.expired(wall()) {
        None => Ok(keys),
        Some(end) => Err(Ending::new(
            Class::Credentials,
            format!(
                "the access keys {place} expired on {}, and our clock says {}; write new ones there",
                extended(end),
                extended(wall())
            ),
        )),
    }
}

async fn asked(
    options: &ProviderOptions,
    tls: &Tls,
    lent: &watch::Sender<LentKeys>,
    dialer: &mut Dialer,
) -> Result<AccessKeys, Ending> {
    let failure = match provider::ask(options, tls, dialer).await {
        Ok(keys) => {
            debug!(
                "the credential provider has lent the access keys {}",
                keys.id
            );
            lent.send_modify(|lent| lent.got(keys.clone()));
            return Ok(keys);
        }
        Err(failure) => failure,
    };
    // A network that is gone has its own backoff: only an answer is a reason to wait.
    if failure.answered {
        lent.send_modify(|lent| lent.refused(failure.ending.clone(), now()));
    }
    let usable = lent.borrow().usable(wall());
    match usable {
        Some(keys) => {
            warn!(
                "the access keys are not renewed, and used until they end: {}",
                failure.ending
            );
            Ok(keys)
        }
        None => Err(failure.ending),
    }
}
