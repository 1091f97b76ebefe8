//! Four writers at full speed, beside the same writers without a daemon.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::numbers::{median, ratio};
use crate::process::Usage;
use crate::report::{Of, Section};
use crate::{files, wait::wait_for};

const WRITERS: usize = 4;
const LONG: Duration = Duration::from_secs(120);

/// What one round took, in seconds, and the memory at its end.
struct Round {
    written: f64,
    gone: f64,
    pss: f64,
}

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = ["what", "seconds", "files/s", "of the writers alone"];
    let mut section = Section::new("burst", "Four writers at full speed", "seconds", &columns);
    let count = setup.size(20_000, 400);
    let (mut alone, mut rounds) = (Vec::new(), Vec::new());
    for round in 0..setup.size(4, 1) {
        // By turns, for whoever comes second finds the disk with the other one's work.
        if round % 2 == 1 {
            rounds.push(beside(setup, broker, count)?);
        }
        let mut device = Device::new(setup, broker.pki(), broker.port())?;
        alone.push(write(&device.messages()?, count)?.as_secs_f64());
        if round % 2 == 0 {
            rounds.push(beside(setup, broker, count)?);
        }
    }
    let alone = median(alone);
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    for (kind, what, seconds) in [
        (Of::Other, "the writers alone", alone),
        (
            Of::Daemon,
            "the writers beside the daemon",
            of(|round| round.written),
        ),
        (
            Of::Daemon,
            "until the last file is published",
            of(|round| round.gone),
        ),
    ] {
        let rate = format!("{:.0}", count as f64 / seconds);
        section.row(&[
            &what,
            &format!("{seconds:.2}"),
            &rate,
            &ratio(seconds, alone),
        ]);
        section.bar(kind, what, seconds);
    }
    section.note(format!(
        "{count} files by {WRITERS} writers, each written in `tmp/` and moved to `new/`. \
         The daemon has its defaults, and a PSS of {:.0} KiB at the end.",
        of(|round| round.pss)
    ));
    Ok(section)
}

fn beside(setup: &Setup, broker: &Broker, count: usize) -> Result<Round> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let messages = device.messages()?;
    let running = device.start()?;
    running.logged("connected to")?;
    let start = Instant::now();
    let written = write(&messages, count)?;
    // Listing a directory that was large costs time of its own, so the last files are looked for first.
    let last = |writer| files::last(&messages, (writer + 1) * (count / WRITERS));
    let gone = || (0..WRITERS).all(|writer| fs::symlink_metadata(last(writer)).is_err());
    if !wait_for(LONG, || gone() && files::is_empty(&messages)) {
        bail!("not everything is published");
    }
    let gone = start.elapsed();
    let usage = Usage::of(running.id())?;
    running.stop()?;
    Ok(Round {
        written: written.as_secs_f64(),
        gone: gone.as_secs_f64(),
        pss: usage.pss as f64,
    })
}

/// How long the writers take for all files together.
fn write(messages: &Path, count: usize) -> Result<Duration> {
    let start = Instant::now();
    let each = count / WRITERS;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || -> Result<()> {
                    let contents = files::message("bench");
                    for number in writer * each..(writer + 1) * each {
                        files::send(messages, number, &contents)?;
                    }
                    Ok(())
                })
            })
            .collect();
        for writer in writers {
            writer.join().map_err(|_| anyhow!("a writer failed"))??;
        }
        Ok(start.elapsed())
    })
}
