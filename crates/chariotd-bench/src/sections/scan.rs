//! What a directory with a million files does to another one of the same daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::numbers::Spread;
use crate::report::{Of, Section};
use crate::subscriber::Subscriber;

/// Milliseconds from the renames of the small directory to their PUBLISH.
struct Beside {
    /// While nothing of the large one has been sent yet.
    before: Vec<f64>,
    /// While it is being sent.
    during: Vec<f64>,
    /// From the connection to the first file that is gone.
    first: f64,
    stopped: Duration,
}

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "large directory",
        "order",
        "first file gone after ms",
        "other directory meanwhile",
        "p50 ms",
        "most ms",
        "SIGTERM ms",
    ];
    let mut section = Section::new(
        "scan",
        "A directory beside a large one",
        "ms, most",
        &columns,
    );
    let many = setup.size(1_000_000, 1_000);
    for (count, order) in [(1, "lexical"), (many, "newest-first"), (many, "lexical")] {
        let beside = beside(setup, broker, count, order)?;
        let first = if beside.during.is_empty() {
            "–".to_owned()
        } else {
            format!("{:.0}", beside.first)
        };
        let stopped = format!("{:.0}", beside.stopped.as_secs_f64() * 1000.0);
        for (when, times) in [
            ("before its first message", beside.before),
            ("while it is sent", beside.during),
        ] {
            if times.is_empty() {
                continue;
            }
            let when = if count == 1 { "alone" } else { when };
            let spread = Spread::of(times);
            section.row(&[
                &count,
                &order,
                &first,
                &when,
                &format!("{:.2}", spread.p50),
                &format!("{:.2}", spread.most),
                &stopped,
            ]);
            let of = if count == 1 { Of::Other } else { Of::Daemon };
            section.bar(of, format!("{count} files, {order}: {when}"), spread.most);
        }
    }
    section.note("One message after the other is moved into the other directory, 20 ms after the one before has been seen by a subscriber. SIGTERM comes while the large directory is being sent.");
    Ok(section)
}

fn beside(setup: &Setup, broker: &Broker, count: usize, order: &str) -> Result<Beside> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let large = if count > 1 {
        setup.backlog(count)?
    } else {
        device.path("large")
    };
    device.messages_in(&large)?;
    let small = device.messages()?;
    device.option("message-order", format!("{}:{order}", large.display()));
    let first = first(&large, count, order);
    let subscriber = Subscriber::start(broker, "small")?;
    let running = device.start()?;
    let connected = running.logged("connected to")?;
    let contents = files::message("small");
    let mut beside = Beside {
        before: Vec::new(),
        during: Vec::new(),
        first: 0.0,
        stopped: Duration::ZERO,
    };
    // A quick run has nothing to wait for; a long one ends a while after the first message of the large directory.
    let most = if setup.quick || count == 1 { 50 } else { 2_000 };
    for number in 0..most {
        let sent = first.iter().any(|path| fs::symlink_metadata(path).is_err());
        if sent && beside.first == 0.0 {
            beside.first = connected.elapsed().as_secs_f64() * 1000.0;
        }
        let start = files::send(&small, number, &contents)?;
        let time = subscriber
            .next()?
            .saturating_duration_since(start)
            .as_secs_f64()
            * 1000.0;
        let times = if sent {
            &mut beside.during
        } else {
            &mut beside.before
        };
        times.push(time);
        if beside.during.len() >= 100 {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    beside.stopped = running.stop()?;
    Ok(beside)
}

/// Some of those that are waiting, with the one among them that is sent first. Equal times of modification leave open
/// which of the newest that is.
fn first(large: &Path, count: usize, order: &str) -> Vec<PathBuf> {
    let waiting = |number| {
        let path = large.join("new").join(files::name(number));
        fs::symlink_metadata(&path).is_ok().then_some(path)
    };
    if count <= 1 {
        Vec::new()
    } else if order == "lexical" {
        (0..count).find_map(waiting).into_iter().collect()
    } else {
        (0..count).rev().filter_map(waiting).take(500).collect()
    }
}
