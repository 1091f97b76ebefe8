//! What is left to be done for a certificate that is in the store: promote it, tell who the device is,
//! and notify.

use std::time::Duration;

use anyhow::{Context, anyhow};
use log::{error, info, warn};
use serde_json::json;

use super::settings::Settings;
use super::shown;
use crate::certstore::{Certstore, Staged};
use crate::file;
use crate::process;

/// The notify command has this long.
const NOTIFY_LIMIT: Duration = Duration::from_secs(60);
/// A notify command that never ends before the daemon does is not started more often.
const MOST_STARTS: u64 = 3;
/// Of an outfile that is made new.
const MODE: u32 = 0o644;

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
