//! The certificate in use over the years: warns before it expires, renews it, and gets a new one when
//! asked to, on a second connection while the first keeps working.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::anyhow;
use log::{error, info, warn};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::renewal::{self, RemainingDays};
use crate::certstore::{Certstore, Staged};
use crate::clock::{self, now, reached};
use crate::command::PendingCommand;
use crate::config::Config;
use crate::date::extended;
use crate::mqtt::{Link, Mqtt};
use crate::provision::{self, Provisioning, ProvisioningError};
use crate::x509::{Age, Validity};

const DAY: Duration = Duration::from_secs(86_400);
/// Until there is a connection, or a clock that is set, we look again after this.
const SOON: Duration = Duration::from_secs(10);

/// One attempt to get a new certificate, beside a connection that works.
const ATTEMPT: Duration = Duration::from_secs(15 * 60);

/// What has happened to the certificate.
pub enum RenewalEvent {
    /// Time has passed: call [`Renewer::look`].
    Look,
    /// An attempt to get a new certificate has ended: call [`Renewer::ended`].
    Ended(Result<Staged, ProvisioningError>),
    /// The connection is good, and with it the clock.
    Good,
}

/// Watches over the certificate in use.
pub struct Renewer {
    client_id: String,
    store: Option<Certstore>,
    validity: Option<Validity>,
    floor: SystemTime,
    before: Option<Duration>,
    job: Option<Arc<Provisioning>>,
    running: Option<JoinHandle<Result<Staged, ProvisioningError>>>,
    /// The command that waits for the attempt to end.
    asked: Option<PendingCommand>,
    /// When the certificate was made that an earlier process did not bring to its end, but this one.
    completed: Option<SystemTime>,
    next_look: Instant,
    warned: Option<RemainingDays>,
    good: bool,
}

impl Renewer {
    pub fn new(config: &Config, in_use: Option<&OsStr>, floor: SystemTime) -> Renewer {
        let store = config.certificate.store.as_deref().map(Certstore::new);
        let contents = store.as_ref().and_then(|store| store.contents().ok());
        let validity = contents.and_then(|contents| {
            let mut certificates = contents.certificates.into_iter();
            certificates
                .find(|one| Some(one.id.as_os_str()) == in_use)?
                .validity
        });
        Renewer {
            client_id: config.client_id.clone(),
            store,
            validity,
            floor,
            before: config.renew_before,
            job: None,
            running: None,
            asked: None,
            completed: None,
            next_look: now(),
            warned: None,
            good: false,
        }
    }

    /// How to get a new certificate.
    pub fn with(mut self, job: Option<Provisioning>, completed: Option<SystemTime>) -> Renewer {
        self.job = job.map(Arc::new);
        self.completed = completed;
        self
    }

    /// Waits for the next event. May be dropped while it waits.
    pub async fn next(&mut self, mqtt: &Mqtt) -> RenewalEvent {
        tokio::select! {
            ended = ended(&mut self.running) => {
                self.running = None;
                RenewalEvent::Ended(ended)
            }
            () = mqtt.answered_once(), if !self.good => RenewalEvent::Good,
            () = reached(Some(self.next_look)) => RenewalEvent::Look,
        }
    }

    /// The broker's certificate was valid, so the clock is right: the next start knows that.
    pub fn good(&mut self) {
        self.good = true;
        self.remember();
    }

    fn remember(&self) {
        if let Some(Err(problem)) = self
            .store
            .as_ref()
            .map(|store| store.remember(clock::wall()))
        {
            warn!("{problem:#}");
        }
    }

    /// Looks at the certificate: warns, and renews it when it is time.
    pub fn look(&mut self, mqtt: &Mqtt) {
        self.next_look = now() + DAY;
        let wall = clock::wall();
        if wall < self.floor {
            // Without a clock no more can be said about a certificate than this.
            self.next_look = now() + SOON;
            let validity = self.validity;
            if let Some(validity) = validity.filter(|it| it.age(wall) == Age::NotYetValid) {
                self.warn(validity, wall);
            }
            return;
        }
        let Some(validity) = self.validity else {
            return;
        };
        self.warn(validity, wall);
        let up = *mqtt.link().borrow() != Link::Down;
        if up && self.good {
            self.remember();
        }
        let due = self
            .before
            .is_some_and(|before| renewal::due(validity, wall, before, &self.client_id));
        if due && !up {
            self.next_look = now() + SOON;
        } else if due && self.start() {
            info!(
                "the certificate is renewed, it expires on {}",
                extended(validity.not_after)
            );
        }
    }

    fn warn(&mut self, validity: Validity, wall: SystemTime) {
        let verdict = renewal::verdict(validity, wall);
        if self.warned == Some(verdict) {
            return;
        }
        self.warned = Some(verdict);
        match (verdict, validity.age(wall)) {
            (RemainingDays::Warn { .. }, Age::Valid { days }) => warn!(
                "the certificate expires in {days} days, on {}",
                extended(validity.not_after)
            ),
            (_, Age::Expired) => error!(
                "the certificate has expired on {}, get a new one",
                extended(validity.not_after)
            ),
            (_, Age::NotYetValid) => error!(
                "the certificate is not valid before {}, and our clock says {}",
                extended(validity.not_before),
                extended(wall)
            ),
            (RemainingDays::Fine | RemainingDays::Useless, Age::Valid { .. }) => {}
        }
    }

    /// `false`: it is not possible, or going on already.
    fn start(&mut self) -> bool {
        let Some(job) = self.job.clone() else {
            return false;
        };
        if self.running.is_some() {
            return false;
        }
        self.running = Some(tokio::spawn(async move {
            limited(ATTEMPT, provision::provision(&job)).await
        }));
        true
    }

    /// The command `reprovision`.
    pub async fn reprovision(&mut self, request: PendingCommand) {
        if self.job.is_none() {
            let why = "fleet provisioning is not configured, start with --fleetprov";
            return request.answer(Err(why.to_owned())).await;
        }
        if self
            .completed
            .take_if(|made| request.modified <= *made)
            .is_some()
        {
            info!(
                "the command was carried out when the certificate of the last start was installed"
            );
            return request.answer(Ok(())).await;
        }
        self.start();
        self.asked = Some(request);
    }

    /// An attempt has ended. `true`: there is a new certificate, start afresh.
    pub async fn ended(&mut self, outcome: Result<Staged, ProvisioningError>) -> bool {
        match outcome {
            Ok(staged) => {
                if let Some(request) = self.asked.take() {
                    request.answer(Ok(())).await;
                }
                // Last, so that a kill before this finds the command and the certificate.
                if let Err(problem) = staged.finish() {
                    warn!("{problem:#}");
                }
                true
            }
            Err(failed) => {
                error!("no new certificate, the old one stays: {failed}");
                if let Some(job) = self.job.as_ref().filter(|_| failed.rotates()) {
                    provision::rotate_claim(&job.settings);
                }
                if let Some(request) = self.asked.take() {
                    request.answer(Err(failed.to_string())).await;
                }
                false
            }
        }
    }
}

/// An attempt beside a connection that works has an end, whatever is never answered: what it has
/// reached is on disk, and the next one goes on from there.
async fn limited(
    limit: Duration,
    attempt: impl Future<Output = Result<Staged, ProvisioningError>>,
) -> Result<Staged, ProvisioningError> {
    timeout(limit, attempt).await.unwrap_or_else(|_| {
        let minutes = limit.as_secs() / 60;
        Err(ProvisioningError::Other(anyhow!(
            "not finished within {minutes} min"
        )))
    })
}

async fn ended(
    running: &mut Option<JoinHandle<Result<Staged, ProvisioningError>>>,
) -> Result<Staged, ProvisioningError> {
    match running {
        None => std::future::pending().await,
        Some(running) => running.await.unwrap_or_else(|fault| {
            Err(ProvisioningError::Other(
                anyhow::Error::new(fault).context("an internal fault in provisioning"),
            ))
        }),
    }
}

impl Drop for Renewer {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_never_answered_ends_after_its_limit() {
        let outcome = limited(ATTEMPT, std::future::pending()).await;
        let why = outcome.map(drop).expect_err("it fails").to_string();
        assert!(why.contains("not finished within 15 min"), "{why}");
    }
}
