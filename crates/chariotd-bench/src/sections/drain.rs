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
use crate::report::Section;
use crate::wire::Wire;
use crate::{files, wait::wait_for};

const LONG: Duration = Duration::from_secs(600);
/// One process for each message: so many are enough to know.
const SINGLE: usize = 200;

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = ["messages", "what", "msg/s", "of the slower bare"];
    let mut section = Section::new("Draining a backlog", "messages a second", &columns);
    for count in setup.counts(&[1_000, 10_000, 100_000]) {
        let disk = rate(count, bare_disk(setup, count)?);
        let wire = rate(count, Wire::drain(broker, count, 90)?);
        let bare = disk.min(wire);
        let mut line = |what: String, rate: f64| {
            let ratio = format!("{:.2}", rate / bare);
            section.row(&[&count, &what, &format!("{rate:.0}"), &ratio]);
            section.bar(format!("{count}: {what}"), rate);
        };
        line("bare disk".into(), disk);
        line("bare wire, window 90".into(), wire);
        line(
            "chariotd, defaults".into(),
            rate(count, daemon(setup, broker, count, None)?),
        );
        line(
            "chariotd, window 90".into(),
            rate(count, daemon(setup, broker, count, Some(90))?),
        );
        line(
            "mosquitto_pub -l".into(),
            rate(count, lines(broker, count)?),
        );
        if count == 1_000 {
            line("mosquitto_pub each".into(), rate(SINGLE, each(broker)?));
        }
    }
    Ok(section)
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn bare_disk(setup: &Setup, count: usize) -> Result<Duration> {
    let dir = tempfile::Builder::new()
        .prefix("disk-")
        .tempdir_in(&setup.place)?;
    files::fill(dir.path(), count)?;
    files::bare_disk(dir.path())
}

fn daemon(setup: &Setup, broker: &Broker, count: usize, window: Option<usize>) -> Result<Duration> {
    let mut device = Device::new(&setup.program, &setup.place, broker)?;
    let messages = device.messages();
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
