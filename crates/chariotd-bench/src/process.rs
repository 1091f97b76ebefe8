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
    /// Context switches of all threads: those that wait, and those that are made to.
    pub voluntary: u64,
    pub involuntary: u64,
    pub cpu: Duration,
}

impl Usage {
    pub fn of(id: u32) -> Result<Usage> {
        let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))
            .context("the process is gone")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let (voluntary, involuntary) = switches(id);
        Ok(Usage {
            pss: field(&rollup, "Pss:"),
            rss: field(&rollup, "Rss:"),
            private: field(&rollup, "Private_Clean:") + field(&rollup, "Private_Dirty:"),
            threads: field(&status, "Threads:"),
            voluntary,
            involuntary,
            cpu: cpu(id),
        })
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Of all threads, voluntary and not.
fn switches(id: u32) -> (u64, u64) {
    let tasks = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten();
    let texts = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    texts.fold((0, 0), |(voluntary, involuntary), text| {
        (
            voluntary + field(&text, "voluntary_ctxt_switches:"),
            involuntary + field(&text, "nonvoluntary_ctxt_switches:"),
        )
    })
}

/// User and system time, which the kernel counts in hundredths of a second.
fn cpu(id: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t3\nPss:   12 kB\n";
        assert_eq!(field(text, "voluntary_ctxt_switches:"), 3);
        assert_eq!(field(text, "Pss:"), 12);
        assert_eq!(field(text, "Rss:"), 0);
    }
}
