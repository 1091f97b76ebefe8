//! `--fleetprov`: the device gets a certificate of its own with the claim certificate of the factory
//! (manual, FLEET PROVISIONING). One linear function, [`provision`]; what it has reached is on disk at
//! every step (`certstore::staged`).

pub mod answer;
mod claims;
mod complete;
mod connect;
mod exchange;
mod failed;
pub mod keys;
mod settings;
mod token_key;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chariotd_pkcs11::Problem;
use log::{error, info, warn};

pub use claims::{problems, rotate_claim};
pub use complete::complete;
pub use failed::ProvisioningError;
pub use settings::Settings;

use crate::certstore::{self, Certstore, Fresh, Staged};
use crate::clock;
use crate::identity::{Credentials, Keyring};
use crate::mqtt;
use crate::net::{Roots, Tls};
use crate::offload;
use exchange::Exchange;
use keys::DeviceKey;

/// The cloud forgets a certificate that is not registered within this time.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// A certificate that is registered and does not work may be activated by somebody meanwhile.
const TRIAL_LIFE: Duration = Duration::from_secs(86_400);
/// The same for a new certificate: it may take the cloud some seconds to know it everywhere.
const TRIALS: u32 = 3;

/// Everything that provisioning needs.
pub struct Provisioning {
    pub settings: Settings,
    /// Where the new certificate goes.
    pub store: Certstore,
    pub roots: PathBuf,
    pub keyring: Keyring,
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
            // Before there is a connection, for a token may be waited for.
            let key = job.token_key().await?;
            let exchange = job.connect().await?;
            let staged = create(job, &exchange, key).await;
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

/// `in_token`: the key, if a token is to have it.
async fn create(
    job: &Provisioning,
    exchange: &Exchange,
    in_token: Option<DeviceKey>,
) -> Result<Staged, ProvisioningError> {
    let key = match (in_token, job.settings.own_key) {
        (Some(key), _) => Some(key),
        (None, None) => None,
        (None, Some(kind)) => {
            let name = job.connection.client_id.clone();
            let key = offload::run(move || DeviceKey::make(kind, &name)).await;
            Some(key.context("cannot make a key")??)
        }
    };
    let fresh = match key {
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
        Some(key) => {
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
    check(job, &fresh).await?;
    let staged = job.store.stage(&fresh, clock::wall())?;
    job.store.forget_new_key();
    Ok(staged)
}

/// The certificate must belong to the key, before anything depends on it.
async fn check(job: &Provisioning, fresh: &Fresh) -> Result<(), ProvisioningError> {
    let key_file = Path::new("its private key");
    let private_key = fresh.private_key.clone().into_bytes();
    let credentials = Credentials {
        certificate: fresh.certificate.clone().into_bytes(),
        private_key: certstore::private_key(private_key, key_file, &job.keyring)?,
        certificate_file: "the cloud's certificate".into(),
        key_file: key_file.into(),
    };
    Tls::mutual(&Roots::none(), &credentials, &[])
        .map_err(|why| ProvisioningError::Malformed(format!("{why:#}")))?
        .look()
        .await
        .map_err(|why| match why.problem {
            Problem::Key => ProvisioningError::Malformed(why.text),
            _ => ProvisioningError::Other(why.into()),
        })
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
    job.store.give_up_staged()?;
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
                let proved = exchange.answered_once().await;
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

fn shown(staged: &Staged) -> String {
    staged.id.clone()
}
