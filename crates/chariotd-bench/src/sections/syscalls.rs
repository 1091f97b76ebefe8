//! System calls for each message, counted by strace.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::report::Section;
use crate::{files, wait::wait_for};

/// Counts the difference between two backlogs, so that start and end do not count.
pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = ["system call", "for a message"];
    let mut section = Section::new("System calls for each message", "calls", &columns);
    let (few, many) = (1_000, 3_000);
    let less = counts(setup, broker, few)?;
    let more = counts(setup, broker, many)?;
    let mut all = 0.0;
    let mut rows: Vec<(String, f64)> = Vec::new();
    for (name, count) in &more {
        let before = less
            .iter()
            .find(|(other, _)| other == name)
            .map_or(0, |(_, count)| *count);
        let each = (*count as f64 - before as f64) / (many - few) as f64;
        all += each;
        rows.push((name.clone(), each));
    }
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (name, each) in rows.iter().filter(|(_, each)| *each >= 0.02) {
        section.row(&[name, &format!("{each:.2}")]);
        section.bar(name.clone(), *each);
    }
    section.row(&[&"all", &format!("{all:.2}")]);
    section.total = Some(all);
    Ok(section)
}

fn counts(setup: &Setup, broker: &Broker, count: usize) -> Result<Vec<(String, u64)>> {
    let mut device = Device::new(&setup.program, &setup.place, broker)?;
    let messages = device.messages();
    files::fill(&messages, count)?;
    let summary = device.path("strace");
    let path = summary.display().to_string();
    device.under(&["strace", "-f", "-c", "-o", &path]);
    let running = device.start()?;
    running.logged("connected to")?;
    if !wait_for(Duration::from_secs(120), || files::is_empty(&messages)) {
        bail!("the backlog is still there");
    }
    running.stop()?;
    let text = fs::read_to_string(&summary)
        .context("strace says nothing, install it with: apt install strace")?;
    Ok(text.lines().filter_map(line).collect())
}

/// `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn line(text: &str) -> Option<(String, u64)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let name = words.last()?;
    let calls = words.get(3)?.parse().ok()?;
    (*name != "total").then(|| ((*name).to_owned(), calls))
}
