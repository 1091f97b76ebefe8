//! `--fleetprov`: the device gets a certificate of its own with the claim certificate of the factory
//! (manual, FLEET PROVISIONING). One linear function, [`provision`]; what it has reached is on disk at
//! every step (`certstore::staged`).

mod exchange;
mod failed;
pub mod keys;
mod settings;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use log::{error, info, warn};
use serde_json::json;

pub use failed::ProvisioningError;
pub use settings::Settings;

use crate::certstore::{Certificate, Certstore, Fresh, Staged, read_credentials, starting_with};
use crate::clock;
use crate::file;
use crate::identity::Endpoint;
use crate::mqtt::{self, Mqtt, Roots, Tls};
use crate::offload;
use crate::process;
use exchange::Exchange;
use keys::DeviceKey;

/// The cloud forgets a certificate that is not registered within this time.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// A certificate that is registered and does not work may be activated by somebody meanwhile.
const TRIAL_LIFE: Duration = Duration::from_secs(86_400);
/// The notify command has this long.
const NOTIFY_LIMIT: Duration = Duration::from_secs(60);
/// A notify command that never ends before the daemon does is not started more often.
const MOST_STARTS: u64 = 3;
/// Failures in a row before the next claim certificate is tried, where nothing else says so.
const ATTEMPTS_EACH: u32 = 5;
/// The same for a new certificate: it may take the cloud some seconds to know it everywhere.
const TRIALS: u32 = 3;
/// Of an outfile that is made new.
const MODE: u32 = 0o644;

/// Everything that provisioning needs.
pub struct Provisioning {
    pub settings: Settings,
    /// Where the new certificate goes.
    pub store: Certstore,
    pub roots: PathBuf,
    /// How the device connects; its client id with `-fp` behind it is ours.
    pub connection: mqtt::ConnectionOptions,
    /// Try the new certificate before it takes the place of the old one.
    pub trial: bool,
}

/// Gets a certificate, or goes on where an earlier run was interrupted. When this returns, the new
/// certificate is in the store and preferred; the caller then says [`Staged::finish`].
///
/// # Errors
/// The store is as before, apart from a certificate that waits to be continued.
pub async fn provision(job: &Provisioning) -> Result<Staged, ProvisioningError> {
    let mut staged = match resumable(job) {
        Some(staged) => staged,
        None => {
            job.store.make_room()?;
            let exchange = job.connect().await?;
            let staged = create(job, &exchange).await;
            let staged = match staged {
                Ok(mut staged) => register(job, &exchange, &mut staged).await.map(|()| staged),
                Err(failed) => Err(failed),
            };
            exchange.leave().await;
            staged?
        }
    };
    if staged.registered.is_none() {
        resume(job, &mut staged).await?;
    }
    if job.trial {
        try_out(job, &staged).await?;
    }
    staged.bring_in(&job.store)?;
    if let Err(problem) = complete(&job.settings, &job.store, &mut staged).await {
        // The certificate is good and in its place; the rest is tried again at the next start.
        error!("{problem:#}");
        staged.leave_unfinished();
    }
    Ok(staged)
}

/// What an earlier run has left, unless the cloud has forgotten it.
fn resumable(job: &Provisioning) -> Option<Staged> {
    let staged = job.store.staged()?;
    let age = staged.age(clock::wall());
    let (life, what) = match staged.registered {
        None => (TOKEN_LIFE, "was never registered"),
        Some(_) => (TRIAL_LIFE, "never made a connection"),
    };
    // A first certificate is not tried, and not given up.
    let tried = staged.registered.is_none() || job.trial;
    if tried && age.is_some_and(|age| age >= life) {
        info!(
            "the certificate {} {what} and is too old now",
            shown(&staged)
        );
        return None;
    }
    info!(
        "continuing with the certificate {} of an earlier start",
        shown(&staged)
    );
    Some(staged)
}

async fn create(job: &Provisioning, exchange: &Exchange) -> Result<Staged, ProvisioningError> {
    let fresh = match job.settings.own_key {
        None => {
            let created = exchange.create().await?;
            let private_key = created.private_key.unwrap_or_default();
            Fresh {
                id: created.id,
                certificate: created.certificate,
                private_key,
                token: created.token,
            }
        }
        Some(kind) => {
            let name = job.connection.client_id.clone();
            let key = offload::run(move || DeviceKey::make(kind, &name)).await;
            let key = key.context("cannot make a key")??;
            let created = exchange.create_from_csr(&key.request).await?;
            Fresh {
                id: created.id,
                certificate: created.certificate,
                private_key: key.private_key,
                token: created.token,
            }
        }
    };
    info!(
        "the cloud has made the certificate {}",
        fresh.id.escape_default()
    );
    check(job, &fresh)?;
    Ok(job.store.stage(&fresh, clock::wall())?)
}

/// The certificate must belong to the key, before anything depends on it.
fn check(job: &Provisioning, fresh: &Fresh) -> Result<(), ProvisioningError> {
    let credentials = crate::identity::Credentials {
        certificate: fresh.certificate.clone().into_bytes(),
        private_key: fresh.private_key.clone().into_bytes(),
        certificate_file: "the cloud's certificate".into(),
        key_file: "its private key".into(),
    };
    Tls::new(&Roots::none(), &credentials, &job.connection.endpoint)
        .map(drop)
        .map_err(|why| ProvisioningError::Malformed(format!("{why:#}")))
}

async fn register(
    job: &Provisioning,
    exchange: &Exchange,
    staged: &mut Staged,
) -> Result<(), ProvisioningError> {
    let settings = &job.settings;
    let registered = exchange
        .register(&settings.template, &staged.token, &settings.parameters)
        .await?;
    info!(
        "the device is registered as '{}'",
        registered.thing.escape_default()
    );
    staged.registered(registered)?;
    Ok(())
}

/// A certificate that was created, and perhaps registered: whether it was, the cloud knows.
async fn resume(job: &Provisioning, staged: &mut Staged) -> Result<(), ProvisioningError> {
    let exchange = job.connect().await?;
    let outcome = register(job, &exchange, staged).await;
    exchange.leave().await;
    let failed = match outcome {
        Err(failed) if failed.is_final() => failed,
        outcome => return outcome,
    };
    // Registered already, and only the answer was lost? Then it connects.
    if job.settings.outfile.is_none() && try_out(job, staged).await.is_ok() {
        info!("the certificate {} was registered already", shown(staged));
        return Ok(());
    }
    warn!(
        "the certificate {} cannot be used further, the next start begins again: {failed}",
        shown(staged)
    );
    job.store.discard_staged()?;
    Err(failed)
}

/// Connects with the new certificate and waits for one answer of the broker.
async fn try_out(job: &Provisioning, staged: &Staged) -> Result<(), ProvisioningError> {
    let trial = |failed| ProvisioningError::Trial(Box::new(failed));
    let endpoint = &job.connection.endpoint;
    let tls = job.tls(&staged.certificate_file(), &staged.key_file(), endpoint)?;
    let mut outcome = Ok(());
    // Its policy may allow our own client id only, which disconnects the connection that we have.
    for client_id in [job.claim_id(), job.connection.client_id.clone()] {
        let endpoint = job.connection.endpoint.clone();
        let session = job.session(client_id, tls.clone(), endpoint, TRIALS);
        outcome = match session.await {
            Err(failed) => Err(failed),
            Ok(exchange) => {
                let proved = exchange.proved().await;
                exchange.leave().await;
                proved
            }
        };
        if outcome.is_ok() {
            return Ok(());
        }
    }
    outcome.map_err(trial)
}

/// What is left to be done for a certificate that was brought in. May be repeated.
///
/// # Errors
/// It is continued at the next start.
pub async fn complete(
    settings: &Settings,
    store: &Certstore,
    staged: &mut Staged,
) -> anyhow::Result<()> {
    staged.promote(store)?;
    info!("the certificate {} is preferred from now on", shown(staged));
    if let (Some((path, format)), Some(registered)) = (&settings.outfile, &staged.registered) {
        let contents = json!({
            "thing": registered.thing,
            "configuration": registered.configuration,
        });
        let rendered = format
            .render(&contents)
            .map_err(|why| anyhow!("{}: {why}", path.display()))?;
        for warning in rendered.warnings {
            warn!("{}: {warning}", path.display());
        }
        file::replace(&file::resolved(path), &rendered.bytes, MODE)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(command) = &settings.notify {
        if staged.notifying()? >= MOST_STARTS {
            error!(
                "the notify command of fleet provisioning was started {MOST_STARTS} times and never seen to end, it is not started again"
            );
            return Ok(());
        }
        let label = "notifycmd of fleet provisioning";
        match process::shell(label, command, NOTIFY_LIMIT).run().await {
            Ok(status) if status.success() => {}
            Ok(status) => warn!("{label} failed: {status}"),
            Err(fault) => error!("{fault:#}"),
        }
    }
    Ok(())
}

fn shown(staged: &Staged) -> String {
    staged.id.to_string_lossy().into_owned()
}

impl Provisioning {
    fn claim_id(&self) -> String {
        format!("{}-fp", self.connection.client_id)
    }

    /// Connects with a claim certificate, the preferred one first.
    async fn connect(&self) -> Result<Exchange, ProvisioningError> {
        let claims = claims(&self.settings)?;
        // Never giving up would mean never trying the next one.
        let attempts = match self.connection.attempts {
            0 if claims.len() > 1 => ATTEMPTS_EACH,
            attempts => attempts,
        };
        let mut failed = None;
        for claim in claims {
            let outcome = match self.tls(&claim.certificate_file, &claim.key_file, &self.endpoint())
            {
                Err(unusable) => Err(ProvisioningError::Other(unusable)),
                Ok(tls) => {
                    info!(
                        "using the claim certificate {}",
                        claim.certificate_file.display()
                    );
                    self.session(self.claim_id(), tls, self.endpoint(), attempts)
                        .await
                }
            };
            match outcome {
                Ok(exchange) => return Ok(exchange),
                // Another one may be good; one that is refused again and again is rotated by the caller.
                Err(
                    problem @ (ProvisioningError::Other(_)
                    | ProvisioningError::Connection { rotate: true, .. }),
                ) => {
                    error!("claim certificate skipped: {problem}");
                    failed = Some(problem);
                }
                Err(problem) => return Err(problem),
            }
        }
        Err(failed.unwrap_or_else(|| ProvisioningError::Other(no_claim(&self.settings))))
    }

    fn tls(&self, certificate: &Path, key: &Path, endpoint: &Endpoint) -> anyhow::Result<Tls> {
        let roots = Roots::read(&self.roots)?;
        let credentials = read_credentials(certificate, key)?;
        Tls::new(&roots, &credentials, endpoint)
    }

    /// The claim store may say where the factory's certificates are valid.
    fn endpoint(&self) -> Endpoint {
        let claims = Certstore::new(&self.settings.claimstore);
        claims.endpoint().unwrap_or_else(|problem| {
            if has_endpoint(&self.settings) {
                warn!("{problem:#}; the device's own endpoint is used for the claim");
            }
            self.connection.endpoint.clone()
        })
    }

    async fn session(
        &self,
        client_id: String,
        tls: Tls,
        endpoint: Endpoint,
        attempts: u32,
    ) -> Result<Exchange, ProvisioningError> {
        let options = mqtt::ConnectionOptions {
            client_id,
            endpoint,
            connections: 1,
            attempts,
            // The least: an answered ping proves that a connection is good.
            keep_alive: Duration::from_secs(5),
            session_expiry: Duration::ZERO,
            last_will: None,
            birth: None,
            ..self.connection.clone()
        };
        let (mqtt, session) = Mqtt::new(options, tls);
        let session = tokio::spawn(session.run());
        Exchange::connect(self.connection.version, mqtt, session).await
    }
}

/// The claim certificates, the preferred one first.
fn claims(settings: &Settings) -> anyhow::Result<Vec<Certificate>> {
    let store = Certstore::new(&settings.claimstore);
    let contents = store.contents()?;
    for problem in contents.problems {
        warn!("{problem}");
    }
    Ok(starting_with(
        contents.certificates,
        store.preferred().as_deref(),
    ))
}

/// After a failure the next start tries another claim certificate, if there are several.
pub fn rotate_claim(settings: &Settings) {
    let store = Certstore::new(&settings.claimstore);
    let claims = claims(settings).unwrap_or_default();
    let Some(in_use) = claims.first().map(|claim| OsString::from(&claim.id)) else {
        return;
    };
    match store.rotate(&in_use) {
        Ok(Some(next)) => info!(
            "the next attempt uses the claim certificate {}",
            next.to_string_lossy()
        ),
        Ok(None) => {}
        Err(problem) => warn!("{problem:#}"),
    }
}

/// What would make provisioning fail. Changes nothing on disk.
pub fn problems(settings: &Settings) -> Vec<String> {
    let store = Certstore::new(&settings.claimstore);
    let mut problems = match store.contents() {
        Err(problem) => return vec![format!("{problem:#}")],
        Ok(contents) if contents.certificates.is_empty() => {
            let mut problems = contents.problems;
            problems.push(no_claim(settings).to_string());
            problems
        }
        Ok(contents) => contents.problems,
    };
    if has_endpoint(settings)
        && let Err(problem) = store.endpoint()
    {
        problems.push(format!("{problem:#}"));
    }
    problems
}

/// A claim store need not have one: the device's own serves then.
fn has_endpoint(settings: &Settings) -> bool {
    settings.claimstore.join("endpoint.txt").exists()
}

fn no_claim(settings: &Settings) -> anyhow::Error {
    anyhow!(
        "no claim certificate in {}, put ID/ID-certificate.pem.crt and ID/ID-private.pem.key there",
        settings.claimstore.display()
    )
}
