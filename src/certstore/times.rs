//! What the store knows about time: the wall clock cannot be right if it shows an earlier one.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::Certstore;
use crate::file;

/// The time of the last good connection is written so often, not to wear out the flash.
const INTERVAL: Duration = Duration::from_secs(86_400);

impl Certstore {
    /// The latest time that is known to have passed: when the newest certificate became valid, and
    /// when a connection was last good. Dates beyond `built` by more than a century are nobody's.
    pub fn floor(&self, built: SystemTime) -> SystemTime {
        let certificates = self.contents().map(|contents| contents.certificates);
        let begun = certificates
            .unwrap_or_default()
            .into_iter()
            .filter_map(|certificate| Some(certificate.validity?.not_before));
        let plausible = |time: &SystemTime| {
            let ahead = time.duration_since(built).unwrap_or_default();
            ahead < INTERVAL * 36_525
        };
        let times = begun.chain(self.last_good()).filter(plausible);
        times.chain([built]).max().unwrap_or(built)
    }

    fn last_good(&self) -> Option<SystemTime> {
        let contents = file::read_own(&self.clock_file(), 64).ok()?;
        let seconds: u64 = String::from_utf8_lossy(&contents).trim().parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    fn clock_file(&self) -> PathBuf {
        self.dir().join(".clock")
    }

    /// The broker's certificate was valid at this time, so it is right. Written once a day at most.
    pub fn remember(&self, now: SystemTime) -> Result<()> {
        let known = self.last_good();
        let recent = known.is_some_and(|last| now < last + INTERVAL && now >= last);
        if recent {
            return Ok(());
        }
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        file::replace(&self.clock_file(), format!("{seconds}\n").as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", self.clock_file().display()))
    }
}
