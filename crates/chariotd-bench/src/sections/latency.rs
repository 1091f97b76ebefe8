//! One message at a time: from the rename to the PUBLISH that a subscriber sees.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::report::{Section, percentiles};
use crate::wire::Wire;

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "what",
        "p50 ms",
        "p99 ms",
        "most ms",
        "p50 of the bare publish",
    ];
    let mut section = Section::new("One message at a time", "ms, p50", &columns);
    let count = setup.count(1_000);
    let bare = percentiles(Wire::latency(broker, count)?);
    let file = percentiles(renames(setup, broker, count)?);
    for (what, (p50, p99, most)) in [
        ("publish from memory to PUBACK", bare),
        ("rename to the PUBLISH at a subscriber", file),
    ] {
        let ratio = format!("{:.2}", p50 / bare.0);
        section.row(&[
            &what,
            &format!("{p50:.3}"),
            &format!("{p99:.3}"),
            &format!("{most:.3}"),
            &ratio,
        ]);
        section.bar(what, p50);
    }
    Ok(section)
}

/// Milliseconds from each rename to the line that a subscriber prints.
fn renames(setup: &Setup, broker: &Broker, count: usize) -> Result<Vec<f64>> {
    let mut device = Device::new(&setup.program, &setup.place, broker)?;
    let messages = device.messages();
    let tmp = messages.join("tmp");
    fs::create_dir_all(&tmp)?;
    fs::create_dir_all(messages.join("new"))?;
    let mut subscriber = broker
        .client("mosquitto_sub")
        .args(["-t", "latency", "-F", "%t", "-d"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(subscriber.stdout.take().context("its output")?).lines();
    let running = device.start()?;
    running.logged("connected to")?;
    let contents = files::message("latency");
    let mut times = Vec::new();
    let mut next = |text: &str| -> Result<()> {
        loop {
            let line = lines.next().context("the subscriber ended")??;
            if line.contains(text) && !line.starts_with("Client") {
                return Ok(());
            }
        }
    };
    next("Subscribed")?;
    for number in 0..count {
        let path = tmp.join(files::name(number));
        fs::write(&path, &contents)?;
        let start = Instant::now();
        fs::rename(&path, messages.join("new").join(files::name(number)))?;
        next("latency")?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    running.stop()?;
    subscriber.kill()?;
    subscriber.wait()?;
    Ok(times)
}
