//! From exec to the connection, and to the first message, with a backlog waiting.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::numbers::{median, short};
use crate::report::{Of, Section};
use crate::subscriber::Subscriber;

/// Milliseconds of one start.
#[derive(Default)]
struct Times {
    connected: Vec<f64>,
    first: Vec<f64>,
    /// Reading the first thousand names of the directory, and all of them.
    thousand: Vec<f64>,
    all: Vec<f64>,
}

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "files waiting",
        "definitions",
        "exec to CONNACK ms",
        "exec to first PUBLISH ms",
        "CONNACK to first PUBLISH ms",
        "reading 1,000 names ms",
        "reading all names ms",
    ];
    let mut section = Section::new("start", "Start with a backlog", "ms from exec", &columns);
    let subscriber = Subscriber::start(broker, "bench")?;
    for (count, definitions, rounds) in [
        (0, 0, 15),
        (0, 10, 15),
        (10_000, 0, 9),
        (100_000, 0, 5),
        (1_000_000, 0, 3),
    ] {
        if setup.quick && count > 10_000 {
            break;
        }
        let count = if setup.quick { count.min(1_000) } else { count };
        let rounds = setup.size(rounds, 2);
        let times = starts(setup, broker, &subscriber, (count, definitions, rounds))?;
        let [connected, first, thousand, all] =
            [times.connected, times.first, times.thousand, times.all].map(median);
        let [since, first_text] = if count > 0 {
            [first - connected, first].map(short)
        } else {
            ["–", "–"].map(str::to_owned)
        };
        let [connect_text, thousand_text, all_text] = [connected, thousand, all].map(short);
        section.row(&[
            &count,
            &definitions,
            &connect_text,
            &first_text,
            &since,
            &thousand_text,
            &all_text,
        ]);
        let what = format!("{count} files, {definitions} definitions");
        section.bar(Of::Daemon, format!("{what}: CONNACK"), connected);
        if count > 0 {
            section.bar(Of::Daemon, format!("{what}: first PUBLISH"), first);
            section.bar(Of::Other, format!("{what}: reading 1,000 names"), thousand);
        }
    }
    section.note("Medians. CONNACK is when the daemon says that it is connected; the first PUBLISH is when a subscriber has it. The directories are in the page cache.");
    Ok(section)
}

fn starts(
    setup: &Setup,
    broker: &Broker,
    subscriber: &Subscriber,
    (count, definitions, rounds): (usize, usize, usize),
) -> Result<Times> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let messages = if count >= 1_000_000 {
        setup.backlog(count)?
    } else {
        device.path("messages")
    };
    device.messages_in(&messages)?;
    if definitions > 0 {
        device.definitions(definitions)?;
    }
    top_up(&messages, count)?;
    let mut times = Times::default();
    for _ in 0..rounds {
        let (thousand, all) = names(&messages)?;
        times.thousand.push(thousand);
        times.all.push(all);
        subscriber.forget();
        let start = Instant::now();
        let running = device.start()?;
        let connected = running.logged("connected to")?;
        times.connected.push(milliseconds(start, connected));
        if count > 0 {
            times.first.push(milliseconds(start, subscriber.next()?));
        }
        running.stop()?;
        top_up(&messages, count)?;
    }
    Ok(times)
}

fn names(messages: &Path) -> Result<(f64, f64)> {
    let start = Instant::now();
    let mut entries = fs::read_dir(messages.join("new"))?;
    let few = entries.by_ref().take(1_000).count();
    let thousand = milliseconds(start, Instant::now());
    let _all = few + entries.count();
    Ok((thousand, milliseconds(start, Instant::now())))
}

/// Writes those again that are gone.
fn top_up(messages: &Path, count: usize) -> Result<()> {
    for number in 0..count {
        if fs::symlink_metadata(messages.join("new").join(files::name(number))).is_err() {
            files::add(messages, number..number + 1)?;
        }
    }
    Ok(())
}

fn milliseconds(start: Instant, end: Instant) -> f64 {
    end.saturating_duration_since(start).as_secs_f64() * 1000.0
}
