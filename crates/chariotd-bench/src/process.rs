//! What the kernel tells of a process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// A look at one moment; sizes in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub pss: u64,
    pub rss: u64,
    pub private: u64,
    pub threads: u64,
    pub switches: u64,
    pub cpu: Duration,
}

impl Usage {
    pub fn of(id: u32) -> Result<Usage> {
        let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))
            .context("the process is gone")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        Ok(Usage {
            pss: field(&rollup, "Pss:"),
            rss: field(&rollup, "Rss:"),
            private: field(&rollup, "Private_Clean:") + field(&rollup, "Private_Dirty:"),
            threads: field(&status, "Threads:"),
            switches: switches(id),
            cpu: cpu(id),
        })
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Of all threads, voluntary or not.
fn switches(id: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten();
    let texts = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    texts
        .map(|text| {
            field(&text, "voluntary_ctxt_switches:") + field(&text, "nonvoluntary_ctxt_switches:")
        })
        .sum()
}

/// User and system time, which the kernel counts in hundredths of a second.
fn cpu(id: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
