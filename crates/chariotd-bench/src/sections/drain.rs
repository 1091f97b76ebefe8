//! A backlog: messages a second from the connection to the last file gone.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::numbers::{median, ratio};
use crate::report::{Of, Section};
use crate::wire::Wire;
use crate::{files, wait::wait_for};

const LONG: Duration = Duration::from_secs(600);
/// One process for each message: so many are enough to know.
const SINGLE: usize = 200;
/// More lines take longer and go at the same speed.
const LINES: usize = 10_000;
/// What is measured in each round, one after the other.
const WAYS: [(Of, &str); 5] = [
    (Of::Other, "bare disk"),
    (Of::Other, "bare wire, window 90"),
    (Of::Daemon, "chariotd, defaults"),
    (Of::Daemon, "chariotd, window 90"),
    (Of::Other, "mosquitto_pub -l"),
];

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = ["messages", "what", "msg/s", "of the slower bare one"];
    let mut section = Section::new("drain", "Draining a backlog", "messages a second", &columns);
    for (count, rounds) in [(1_000, 9), (10_000, 5), (100_000, 3)] {
        if setup.quick && count > 1_000 {
            break;
        }
        let rates = rates(setup, broker, count, setup.size(rounds, 1))?;
        let bare = rates[0].min(rates[1]);
        for ((of, what), rate) in WAYS.into_iter().zip(rates) {
            section.row(&[&count, &what, &format!("{rate:.0}"), &ratio(rate, bare)]);
            section.bar(of, format!("{count}: {what}"), rate);
        }
        if count == 1_000 {
            let rate = rate(SINGLE, each(broker)?);
            let what = "mosquitto_pub for each";
            section.row(&[&count, &what, &format!("{rate:.0}"), &ratio(rate, bare)]);
            section.bar(Of::Other, format!("{count}: {what}"), rate);
        }
    }
    section.note(
        "Payloads of 200 bytes with QoS 1. Medians of 9, 5 and 3 rounds (of one with `--quick`), each of which has all of them in turn.",
    );
    Ok(section)
}

fn rates(setup: &Setup, broker: &Broker, count: usize, rounds: usize) -> Result<Vec<f64>> {
    let mut all = vec![Vec::new(); WAYS.len()];
    for _ in 0..rounds {
        let times = [
            bare_disk(setup, count)?,
            Wire::drain(broker, "bench", count, 90)?,
            daemon(setup, broker, count, None)?,
            daemon(setup, broker, count, Some(90))?,
        ];
        let few = count.min(LINES);
        let lines = rate(few, lines(broker, few)?);
        let of_times = times.into_iter().map(|time| rate(count, time));
        for (rates, rate) in all.iter_mut().zip(of_times.chain([lines])) {
            rates.push(rate);
        }
    }
    Ok(all.into_iter().map(median).collect())
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn bare_disk(setup: &Setup, count: usize) -> Result<Duration> {
    let dir = setup.directory()?;
    files::fill(dir.path(), count)?;
    files::bare_disk(dir.path())
}

fn daemon(setup: &Setup, broker: &Broker, count: usize, window: Option<usize>) -> Result<Duration> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let messages = device.messages()?;
    if let Some(window) = window {
        device.option("default-message-concurrency", window);
    }
    files::fill(&messages, count)?;
    let running = device.start()?;
    let connected = running.logged("connected to")?;
    let gone = gone(&messages, count)?;
    running.stop()?;
    Ok(gone.saturating_duration_since(connected))
}

/// When the last file has gone.
fn gone(messages: &Path, count: usize) -> Result<Instant> {
    let last = files::last(messages, count);
    let over = wait_for(LONG, || {
        fs::symlink_metadata(&last).is_err() && files::is_empty(messages)
    });
    if !over {
        bail!("the backlog is still there");
    }
    Ok(Instant::now())
}

fn lines(broker: &Broker, count: usize) -> Result<Duration> {
    let start = Instant::now();
    let mut publisher = broker
        .client("mosquitto_pub")
        .args(["-q", "1", "-l", "-t", "bench"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start mosquitto_pub, install it with: apt install mosquitto-clients")?;
    let line = files::payload() + "\n";
    let mut stdin = publisher.stdin.take().context("its input")?;
    for _ in 0..count {
        stdin.write_all(line.as_bytes())?;
    }
    drop(stdin);
    publisher.wait()?;
    Ok(start.elapsed())
}

fn each(broker: &Broker) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..SINGLE {
        let mut publisher = broker.client("mosquitto_pub");
        publisher
            .args(["-q", "1", "-t", "bench", "-m", &files::payload()])
            .status()?;
    }
    Ok(start.elapsed())
}
