//! From PEM files to a TLS configuration: mutual authentication, and the ALPN name for port 443.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::identity::{Credentials, Endpoint};

/// What port 443 needs to speak MQTT with a client certificate instead of HTTPS.
const ALPN_MQTT: &[u8] = b"x-amzn-mqtt-ca";

/// A TLS configuration that is known to be usable: roots, certificate and key were read and fit.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the certificates in the PEM file `roots` and no others, and shows `credentials`.
    /// Every error names the file and what is wrong with it.
    pub fn new(roots: &Path, credentials: &Credentials, endpoint: &Endpoint) -> Result<Self> {
        let builder =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(read_roots(roots)?);
        let mut config = builder
            .with_client_auth_cert(certificates(credentials)?, private_key(credentials)?)
            .map_err(|error| unfit(credentials, &error))?;
        // AWS IoT Core does not resume sessions; keeping tickets would only take memory.
        config.resumption = rustls::client::Resumption::disabled();
        if endpoint.port == 443 {
            config.alpn_protocols = vec![ALPN_MQTT.to_vec()];
        }
        Ok(Tls(Arc::new(config)))
    }

    pub(super) fn transport(&self) -> rumqttc::Transport {
        rumqttc::Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(self.0.clone()))
    }
}

/// Reads the root certificates, for `--check` and for [`Tls::new`].
pub fn read_roots(file: &Path) -> Result<RootCertStore> {
    let pem = std::fs::read(file)
        .with_context(|| format!("cannot read root CA from {}", file.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| anyhow!("{}: {error}", file.display()))?;
        roots
            .add(certificate)
            .map_err(|error| anyhow!("{}: unusable root CA: {error}", file.display()))?;
    }
    if roots.is_empty() {
        bail!(
            "{} holds no PEM certificate, --cacert needs the root CA of the endpoint",
            file.display()
        );
    }
    Ok(roots)
}

fn certificates(credentials: &Credentials) -> Result<Vec<CertificateDer<'static>>> {
    let file: &PathBuf = &credentials.certificate_file;
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
