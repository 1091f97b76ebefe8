//! From PEM files to a TLS configuration: whom we trust, and what we show.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use chariotd_pkcs11::{KeyError, KeyUri, Keys, Problem, der};
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, InconsistentKeys, RootCertStore, crypto};

use super::keys::{TokenKey, TokenSigningKey};
use crate::identity::{Credentials, PrivateKey};
use crate::offload;
use crate::pem::{self, PemKind};
use crate::x509;

/// For a token to be looked at: it signs once or twice.
const LOOK: Duration = Duration::from_secs(15);

/// The object identifier of the curve P-521, as it stands in a key.
const P_521: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

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
        Roots::read_for(file, "--cacert needs the root CA of the endpoint")
    }

    /// The same, with `need` for what ought to be in the file.
    ///
    /// # Errors
    /// As [`Roots::read`].
    pub fn read_for(file: &Path, need: &str) -> Result<Roots> {
        let pem = std::fs::read(file)
            .with_context(|| format!("cannot read root CA from {}", file.display()))?;
        let mut roots = Roots {
            store: RootCertStore::empty(),
            problems: Vec::new(),
        };
        let certificates = pem::read(&pem, PemKind::Certificate)
            .map_err(|why| anyhow!("{}: {why}; {need} in PEM", file.display()))?;
        for (index, (_, certificate)) in certificates.into_iter().enumerate() {
            if let Err(error) = roots.store.add(certificate.into()) {
                let number = index + 1;
                roots.problems.push(format!(
                    "{}: certificate {number} is skipped, it cannot be a root: {error}",
                    file.display()
                ));
            }
        }
        if roots.store.is_empty() {
            let problems = roots.problems.iter().map(|problem| format!(" ({problem})"));
            bail!(
                "{} holds no usable PEM certificate, {need}{}",
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
pub struct Tls {
    config: Arc<ClientConfig>,
    /// The key of our certificate, if a token has it: that it can be used shows by [`Tls::look`], or by the
    /// handshake.
    token: Option<Arc<TokenKey>>,
}

impl Tls {
    /// Trusts `roots`, shows `credentials`, and offers these application protocols, if any.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn mutual(roots: &Roots, credentials: &Credentials, alpn: &[&[u8]]) -> Result<Self> {
        let (shown, token) = match &credentials.private_key {
            PrivateKey::Pem(pem) => (shown(credentials, pem)?, None),
            PrivateKey::Token { uri, keys } => {
                let token = Arc::new(token_key(credentials, uri, keys)?);
                let key = Arc::new(TokenSigningKey(token.clone()));
                (CertifiedKey::new(chain(credentials)?, key), Some(token))
            }
        };
        let shown = Arc::new(SingleCertAndKey::from(shown));
        let config = trusting(roots)?.with_client_cert_resolver(shown);
        Ok(Tls::new(config, token, alpn))
    }

    /// The same without a certificate of ours.
    ///
    /// # Errors
    /// The TLS library has none of its protocol versions: never in this build.
    pub fn anonymous(roots: &Roots, alpn: &[&[u8]]) -> Result<Self> {
        Ok(Tls::new(trusting(roots)?.with_no_client_auth(), None, alpn))
    }

    fn new(mut config: ClientConfig, token: Option<Arc<TokenKey>>, alpn: &[&[u8]]) -> Self {
        // AWS IoT Core does not resume sessions; keeping tickets would only take memory.
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Tls {
            config: Arc::new(config),
            token,
        }
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    pub(super) fn token(&self) -> Option<&Arc<TokenKey>> {
        self.token.as_ref()
    }

    /// Sees whether the token has the key of our certificate now, if one is to have it.
    ///
    /// # Errors
    /// Why it cannot be used; whether that may pass, the error says.
    pub async fn look(&self) -> Result<(), KeyError> {
        let Some(token) = self.token.clone() else {
            return Ok(());
        };
        let looked = offload::within(LOOK, move || token.ready().map(drop)).await;
        looked.unwrap_or_else(|lost| {
            Err(KeyError::new(
                Problem::Token,
                format!("the token cannot be looked at: {lost}"),
            ))
        })
    }
}

fn trusting(roots: &Roots) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let provider = Arc::new(crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots.store.clone()))
}

/// What we show to the broker. Our own certificate is not verified here, so one of X.509 version 1 is
/// good enough; but its key must be ours.
fn shown(credentials: &Credentials, private_key: &[u8]) -> Result<CertifiedKey> {
    let file = credentials.certificate_file.display();
    let chain = chain(credentials)?;
    let key = signing_key(credentials, private_key)?;
    let ours = key
        .public_key()
        .and_then(|info| der::key_bits(info.as_ref()).map(<[u8]>::to_vec));
    let is_ours = |one: &CertificateDer<'_>| x509::public_key(one).map(|bits| Some(bits) == ours);
    let first = chain.first().map(is_ours);
    let elsewhere = chain.iter().position(|one| is_ours(one) == Ok(true));
    let certified = CertifiedKey::new(chain, key);
    match (first, elsewhere) {
        (Some(Ok(true)), _) => Ok(certified),
        (Some(Ok(false)), Some(at)) => bail!(
            "{file}: the certificate that belongs to {} is number {} in it, it must be the first, then those of the CAs that signed it",
            credentials.key_file.display(),
            at + 1
        ),
        (Some(Ok(false)), None) => Err(mismatch(credentials)),
        // The TLS library may be able to read it.
        (Some(Err(why)), _) => match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(mismatch(credentials))
            }
            Err(_) => bail!("{file} {why}"),
        },
        (None, _) => bail!("{file} holds no certificate"),
    }
}

fn chain(credentials: &Credentials) -> Result<Vec<CertificateDer<'static>>> {
    let chain = pem::read(&credentials.certificate, PemKind::Certificate)
        .map_err(|why| anyhow!("{}: {why}", credentials.certificate_file.display()))?;
    Ok(chain.into_iter().map(|(_, der)| der.into()).collect())
}

/// The first certificate says which key it must be.
fn token_key(credentials: &Credentials, uri: &KeyUri, keys: &Arc<dyn Keys>) -> Result<TokenKey> {
    let file = credentials.certificate_file.display().to_string();
    let chain = chain(credentials)?;
    let first = chain
        .first()
        .ok_or_else(|| anyhow!("{file} holds no certificate"))?;
    let key = x509::public_key_info(first).map_err(|why| anyhow!("{file} {why}"))?;
    Ok(TokenKey::new(uri.clone(), keys.clone(), key, file))
}

fn mismatch(credentials: &Credentials) -> anyhow::Error {
    anyhow!(
        "{} does not match the certificate {}",
        credentials.key_file.display(),
        credentials.certificate_file.display()
    )
}

/// No error text here comes from a parser: it may hold the key.
fn signing_key(credentials: &Credentials, pem: &[u8]) -> Result<Arc<dyn SigningKey>> {
    let file = credentials.key_file.display();
    let keys = pem::read(pem, PemKind::PrivateKey).map_err(|why| anyhow!("{file}: {why}"))?;
    let Some((label, der)) = keys.into_iter().next() else {
        bail!("{file} holds no private key");
    };
    let p_521 = der.windows(P_521.len()).any(|bytes| bytes == P_521);
    let key = match label {
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        _ => PrivateKeyDer::Pkcs8(der.into()),
    };
    let supported = "supported are EC P-256 and P-384, Ed25519, and RSA of 2048 to 8192 bits";
    crypto::ring::sign::any_supported_type(&key).map_err(|_| {
        if p_521 {
            anyhow!("{file}: its key is on the curve P-521, which is not supported; {supported}")
        } else {
            anyhow!("{file}: its private key cannot be used: it is damaged, or of another kind; {supported}")
        }
    })
}
