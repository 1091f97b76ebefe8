//! How provisioning connects: with a claim certificate, or with a new one that is tried.

use std::path::Path;
use std::time::Duration;

use log::{error, info, warn};

use super::claims::{claims, has_endpoint, no_claim};
use super::exchange::Exchange;
use super::{Provisioning, ProvisioningError};
use crate::certstore::{Certstore, read_credentials};
use crate::identity::Endpoint;
use crate::mqtt::{Access, ConnectionOptions, Mqtt, certificate_alpn};
use crate::net::{Roots, Tls};

/// Failures in a row before the next claim certificate is tried, where nothing else says so.
const ATTEMPTS_EACH: u32 = 5;

impl Provisioning {
    pub(super) fn claim_id(&self) -> String {
        format!("{}-fp", self.connection.client_id)
    }

    /// Connects with a claim certificate, the preferred one first.
    pub(super) async fn connect(&self) -> Result<Exchange, ProvisioningError> {
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

    pub(super) fn tls(
        &self,
        certificate: &Path,
        key: &Path,
        endpoint: &Endpoint,
    ) -> anyhow::Result<Tls> {
        let roots = Roots::read(&self.roots)?;
        let credentials = read_credentials(certificate, key, &self.keyring)?;
        Tls::mutual(&roots, &credentials, certificate_alpn(endpoint))
    }

    /// The claim store may say where the factory's certificates are valid.
    pub(super) fn endpoint(&self) -> Endpoint {
        let claims = Certstore::new(&self.settings.claimstore);
        claims.endpoint().unwrap_or_else(|problem| {
            if has_endpoint(&self.settings) {
                warn!("{problem:#}; the device's own endpoint is used for the claim");
            }
            self.connection.endpoint.clone()
        })
    }

    pub(super) async fn session(
        &self,
        client_id: String,
        tls: Tls,
        endpoint: Endpoint,
        attempts: u32,
    ) -> Result<Exchange, ProvisioningError> {
        let options = ConnectionOptions {
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
        let (mqtt, session) = Mqtt::new(options, Access::Certificate(tls));
        let session = tokio::spawn(session.run());
        Exchange::connect(self.connection.version, mqtt, session).await
    }
}
