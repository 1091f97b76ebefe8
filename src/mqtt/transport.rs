//! From PEM files to a TLS configuration: mutual authentication, and the ALPN name for port 443.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::identity::{Credentials, Endpoint};

/// What port 443 needs to speak MQTT with a client certificate instead of HTTPS.
const ALPN_MQTT: &[u8] = b"x-amzn-mqtt-ca";

/// The certificates that we trust to sign the broker's, and no others.
pub struct Roots {
    store: RootCertStore,
    /// One sentence for each certificate in the file that cannot be used.
    pub problems: Vec<String>,
}

impl Roots {
    /// Reads a PEM file. A certificate that cannot be used does not stop the others.
    ///
    /// # Errors
    /// The file cannot be read, or nothing in it can be used.
    pub fn read(file: &Path) -> Result<Roots> {
        let pem = std::fs::read(file)
            .with_context(|| format!("cannot read root CA from {}", file.display()))?;
        let mut roots = Roots {
            store: RootCertStore::empty(),
            problems: Vec::new(),
        };
        for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
            let added = certificate
                .map_err(|error| error.to_string())
                .and_then(|one| roots.store.add(one).map_err(|error| error.to_string()));
            if let Err(why) = added {
                let number = index + 1;
                roots.problems.push(format!(
                    "{}: certificate {number} is skipped: {why}",
                    file.display()
                ));
            }
        }
        if roots.store.is_empty() {
            let problems = roots.problems.iter().map(|problem| format!(" ({problem})"));
            bail!(
                "{} holds no usable PEM certificate, --cacert needs the root CA of the endpoint{}",
                file.display(),
                problems.collect::<String>()
            );
        }
        Ok(roots)
    }

    /// Trusts nobody: for looking at a certificate without connecting.
    pub fn none() -> Roots {
        Roots {
            store: RootCertStore::empty(),
            problems: Vec::new(),
        }
    }
}

/// A TLS configuration that is known to be usable: certificate and key were read and fit.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts `roots` and shows `credentials`. Every error names the file and what is wrong with it.
    pub fn new(roots: &Roots, credentials: &Credentials, endpoint: &Endpoint) -> Result<Self> {
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.store.clone())
            .with_client_auth_cert(certificates(credentials)?, private_key(credentials)?)
            .map_err(|error| unfit(credentials, &error))?;
        // AWS IoT Core does not resume sessions; keeping tickets would only take memory.
        config.resumption = rustls::client::Resumption::disabled();
        if endpoint.port == 443 {
            config.alpn_protocols = vec![ALPN_MQTT.to_vec()];
        }
        Ok(Tls(Arc::new(config)))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.0.clone()
    }
}

fn certificates(credentials: &Credentials) -> Result<Vec<CertificateDer<'static>>> {
    let file = &credentials.certificate_file;
    let chain = CertificateDer::pem_slice_iter(&credentials.certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("{}: {error}", file.display()))?;
    if chain.is_empty() {
        bail!("{} holds no PEM certificate", file.display());
    }
    Ok(chain)
}

fn private_key(credentials: &Credentials) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&credentials.private_key).map_err(|error| {
        anyhow!(
            "{} holds no usable private key, PKCS#8, PKCS#1 and SEC1 PEM without a passphrase work: {error}",
            credentials.key_file.display()
        )
    })
}

fn unfit(credentials: &Credentials, error: &rustls::Error) -> anyhow::Error {
    match error {
        rustls::Error::InconsistentKeys(_) => anyhow!(
            "{} does not match the certificate {}",
            credentials.key_file.display(),
            credentials.certificate_file.display()
        ),
        error => anyhow!(
            "{} and {} cannot be used together: {error}",
            credentials.certificate_file.display(),
            credentials.key_file.display()
        ),
    }
}
