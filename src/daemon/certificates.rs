//! Which certificate is used: the preferred one, or the next by age when it cannot be.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use chariotd_pkcs11::Problem;
use log::{error, info, warn};

use crate::certstore::{Certstore, read_credentials, starting_with};
use crate::config::Config;
use crate::exit::Exit;
use crate::identity::{Endpoint, Keyring};
use crate::net::{Roots, Tls};

/// A certificate that may be used, with its id in the store if it comes from there.
pub struct Candidate {
    pub id: Option<OsString>,
    certificate: PathBuf,
    key: PathBuf,
}

impl Candidate {
    /// Reads both files and sees whether they fit. A key in a token is not looked at.
    pub fn tls(&self, roots: &Roots, alpn: &[&[u8]], keyring: &Keyring) -> Result<Tls> {
        let credentials = read_credentials(&self.certificate, &self.key, keyring)?;
        Tls::mutual(roots, &credentials, alpn)
    }
}

/// The certificates in the order in which they are tried, and what is wrong with the store.
pub fn candidates(config: &Config) -> Result<(Vec<Candidate>, Vec<String>)> {
    if let Some((certificate, key)) = &config.certificate.explicit {
        let explicit = Candidate {
            id: None,
            certificate: certificate.clone(),
            key: key.clone(),
        };
        return Ok((vec![explicit], Vec::new()));
    }
    let Some(store) = store(config) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let contents = store.contents()?;
    let candidates = starting_with(contents.certificates, store.preferred().as_deref())
        .into_iter()
        .map(|one| Candidate {
            id: Some(one.id),
            certificate: one.certificate_file,
            key: one.key_file,
        });
    Ok((candidates.collect(), contents.problems))
}

/// Where the broker is: `--endpoint`, or what the store says.
pub fn endpoint(config: &Config) -> Result<Endpoint> {
    match (&config.endpoint, store(config)) {
        (Some(endpoint), _) => Ok(endpoint.clone()),
        (None, Some(store)) => store.endpoint_at(config.default_port),
        (None, None) => {
            bail!("--endpoint is missing: there is no store to say where the broker is")
        }
    }
}

/// The certificates that we trust to sign the broker's.
pub fn roots(config: &Config) -> Result<Roots, Exit> {
    let roots = Roots::read(&config.roots).map_err(Exit::Config)?;
    for problem in &roots.problems {
        warn!("{problem}");
    }
    Ok(roots)
}

/// The first certificate that can be used. `preferred` then points at it. `alpn` is offered with it.
pub async fn choose(
    config: &Config,
    roots: &Roots,
    alpn: &[&[u8]],
) -> Result<(Tls, Option<OsString>), Exit> {
    let (candidates, problems) = candidates(config).map_err(Exit::Config)?;
    for problem in &problems {
        warn!("{problem}");
    }
    for candidate in candidates {
        match usable(&candidate, roots, alpn, &config.keyring).await {
            Ok(tls) => {
                prefer(config, &candidate);
                info!("using certificate {}", candidate.certificate.display());
                return Ok((tls, candidate.id));
            }
            Err(problem) if candidate.id.is_none() => return Err(Exit::Config(problem)),
            Err(problem) => error!("certificate skipped: {problem:#}"),
        }
    }
    Err(none(config))
}

/// A token that is not there, or takes no PIN, says nothing against its certificate: another one would be
/// the wrong answer, and so would an end, after which the PIN is tried again.
async fn usable(
    candidate: &Candidate,
    roots: &Roots,
    alpn: &[&[u8]],
    keyring: &Keyring,
) -> Result<Tls> {
    let tls = candidate.tls(roots, alpn, keyring)?;
    match tls.look().await {
        Ok(()) => {}
        Err(error) => match error.problem {
            Problem::Setting | Problem::Key => return Err(error.into()),
            Problem::Pin | Problem::Locked => error!("{error}"),
            Problem::Absent | Problem::Token | Problem::Helper => warn!("{error}"),
        },
    }
    Ok(tls)
}

/// A store that cannot be written is worth a warning: the certificate works all the same.
fn prefer(config: &Config, candidate: &Candidate) {
    let (Some(store), Some(id)) = (store(config), &candidate.id) else {
        return;
    };
    let before = store.preferred();
    let shown = id.to_string_lossy();
    match (store.prefer(id), before) {
        (Err(problem), _) => warn!("{problem:#}"),
        (Ok(()), None) => info!(
            "'preferred' points at {shown} now: it was missing, or led to no certificate of the store"
        ),
        (Ok(()), Some(before)) if before != *id => warn!(
            "'preferred' points at {shown} now: {} cannot be used",
            before.to_string_lossy()
        ),
        (Ok(()), Some(_)) => {}
    }
}

/// Points `preferred` at the next certificate, if there is one.
pub fn rotate(config: &Config, in_use: Option<OsString>) {
    let (Some(store), Some(in_use)) = (store(config), in_use) else {
        return;
    };
    match store.rotate(&in_use) {
        Ok(Some(next)) => info!("the next start uses certificate {}", next.to_string_lossy()),
        Ok(None) => {}
        Err(problem) => error!("{problem:#}"),
    }
}

pub fn none(config: &Config) -> Exit {
    Exit::NoCertificate(config.certificate.store.clone().unwrap_or_default())
}

fn store(config: &Config) -> Option<Certstore> {
    config.certificate.store.as_deref().map(Certstore::new)
}
