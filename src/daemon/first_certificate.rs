//! Before there is a connection: what an earlier start has left of provisioning, and the first
//! certificate of a device.

use std::time::SystemTime;

use log::{error, info, warn};

use crate::certstore::Certstore;
use crate::clock;
use crate::config::Config;
use crate::exit::Exit;
use crate::mqtt;
use crate::provision::{self, Provisioning, Settings};

/// How new certificates are got, if they are.
///
/// # Errors
/// What is wrong with the configuration.
pub fn settings(config: &Config) -> anyhow::Result<Option<Settings>> {
    config.fleetprov.as_deref().map(Settings::read).transpose()
}

/// Brings to its end what an earlier start began. Gives when the newest of such certificates was
/// made. What goes wrong is tried again at the next start.
pub async fn complete(config: &Config, settings: &Settings) -> Option<SystemTime> {
    let store = Certstore::new(config.certificate.store.as_deref()?);
    let mut newest = None;
    for mut staged in store.unfinished() {
        info!(
            "installing the certificate {} of an earlier start",
            staged.id
        );
        let completed = provision::complete(settings, &store, &mut staged).await;
        newest = newest.max(Some(staged.created()));
        if let Err(problem) = completed.and_then(|()| staged.finish()) {
            error!("{problem:#}");
        }
    }
    newest
}

/// How a certificate is got. `trial`: there is one that works.
pub fn job(
    config: &Config,
    settings: Settings,
    connection: mqtt::ConnectionOptions,
    trial: bool,
) -> Option<Provisioning> {
    Some(Provisioning {
        settings,
        store: Certstore::new(config.certificate.store.as_deref()?),
        roots: config.roots.clone(),
        keyring: config.keyring.clone(),
        connection,
        trial,
    })
}

/// The first certificate of this device.
pub async fn first(job: Provisioning) -> Exit {
    info!("there is no certificate, provisioning");
    match provision::provision(&job).await {
        Ok(staged) => {
            if let Err(problem) = staged.finish() {
                warn!("{problem:#}");
            }
            Exit::Provisioned
        }
        Err(failed) => {
            if failed.rotates() {
                provision::rotate_claim(&job.settings);
            }
            Exit::ProvisioningFailed(anyhow::anyhow!("{failed}"))
        }
    }
}

/// The wall clock cannot be right if it shows an earlier time.
pub fn clock_floor(config: &Config) -> SystemTime {
    let built = clock::built();
    let store = config.certificate.store.as_deref().map(Certstore::new);
    let floor = store.map_or(built, |store| store.floor(built));
    if clock::wall() < floor {
        warn!(
            "the clock is not set: it says {}, and it is {} at least",
            crate::date::extended(clock::wall()),
            crate::date::extended(floor)
        );
    }
    floor
}
