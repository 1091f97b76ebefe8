//! The claim certificates of the factory.

use std::ffi::OsString;

use anyhow::anyhow;
use log::{info, warn};

use super::settings::Settings;
use crate::certstore::{Certificate, Certstore, starting_with};

/// The claim certificates, the preferred one first.
pub fn claims(settings: &Settings) -> anyhow::Result<Vec<Certificate>> {
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
pub fn has_endpoint(settings: &Settings) -> bool {
    settings.claimstore.join("endpoint.txt").exists()
}

pub fn no_claim(settings: &Settings) -> anyhow::Error {
    anyhow!(
        "no claim certificate in {}, put ID/ID-certificate.pem.crt and ID/ID-private.pem.key there",
        settings.claimstore.display()
    )
}
