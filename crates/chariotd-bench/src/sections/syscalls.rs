//! System calls for each message, counted by strace.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::report::{Count, Of, Section};
use crate::{files, wait::wait_for};

/// Two backlogs: their difference does not have what start and end cost.
const FEW: usize = 1_000;
const MANY: usize = 3_000;
/// Less than this for a message is not worth a line.
const LEAST: f64 = 0.02;

type Calls = BTreeMap<String, f64>;

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = ["system call", "defaults", "window 90"];
    let mut section = Section::new("syscalls", "System calls for a message", "calls", &columns);
    let defaults = each(setup, broker, None)?;
    let wide = each(setup, broker, Some(90))?;
    let of = |calls: &Calls, name: &str| calls.get(name).copied().unwrap_or(0.0);
    let mut names: Vec<&String> = defaults.keys().chain(wide.keys()).collect();
    names.sort_by(|a, b| of(&defaults, b).total_cmp(&of(&defaults, a)).then(a.cmp(b)));
    names.dedup();
    for name in names {
        let (default, wide) = (of(&defaults, name), of(&wide, name));
        if default.max(wide) >= LEAST {
            section.row(&[name, &format!("{default:.2}"), &format!("{wide:.2}")]);
            section.bar(Of::Daemon, name, default);
        }
    }
    let [default, wide] = [&defaults, &wide].map(|calls| calls.values().sum::<f64>());
    section.row(&[&"all", &format!("{default:.2}"), &format!("{wide:.2}")]);
    section.count = Some(Count::SyscallsPerMessage(default.max(wide)));
    section.note(format!("By strace, of all threads: the difference between backlogs of {MANY} and of {FEW} messages."));
    Ok(section)
}

fn each(setup: &Setup, broker: &Broker, window: Option<usize>) -> Result<Calls> {
    let mut calls = counts(setup, broker, MANY, window)?;
    for (name, count) in counts(setup, broker, FEW, window)? {
        *calls.entry(name).or_default() -= count;
    }
    for count in calls.values_mut() {
        *count /= (MANY - FEW) as f64;
    }
    Ok(calls)
}

fn counts(setup: &Setup, broker: &Broker, count: usize, window: Option<usize>) -> Result<Calls> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let messages = device.messages()?;
    if let Some(window) = window {
        device.option("default-message-concurrency", window);
    }
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
fn line(text: &str) -> Option<(String, f64)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let name = words.last()?;
    let calls: u32 = words.get(3)?.parse().ok()?;
    (*name != "total").then(|| ((*name).to_owned(), f64::from(calls)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_strace_has_the_calls_in_front_of_the_errors() {
        let with_errors = " 12.50    0.001000          10       100         7 openat";
        assert_eq!(line(with_errors), Some(("openat".to_owned(), 100.0)));
        let without = " 12.50    0.001000          10        80           write";
        assert_eq!(line(without), Some(("write".to_owned(), 80.0)));
    }

    #[test]
    fn heads_and_totals_are_no_calls() {
        assert_eq!(
            line("% time     seconds  usecs/call     calls    errors syscall"),
            None
        );
        assert_eq!(
            line("------ ----------- ----------- --------- --------- ----------------"),
            None
        );
        assert_eq!(
            line("100.00    0.010000           5      2000        12 total"),
            None
        );
    }
}
