//! Memory against what waits while there is no connection, in each order.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::{Device, Running};
use crate::process::Usage;
use crate::report::{Of, Section};

/// What one daemon needed.
struct Offline {
    peak: u64,
    /// From exec to the end of its work with what is there.
    scanned: Duration,
    cpu: Duration,
    /// From SIGTERM to the end, at once after the start and when it had no work any more.
    stopped_busy: Duration,
    stopped: Duration,
}

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "order",
        "files waiting",
        "peak PSS KiB",
        "above none KiB",
        "bytes a file",
        "scan s",
        "CPU s",
        "SIGTERM while scanning ms",
        "SIGTERM after it ms",
    ];
    let mut section = Section::new(
        "memory",
        "Offline with a backlog",
        "KiB PSS, peak",
        &columns,
    );
    let mut cases = vec![("lexical", 0)];
    for count in [10_000, 100_000] {
        cases.extend([("lexical", count), ("oldest-first", count)]);
    }
    cases.extend(
        ["lexical", "reverse-lexical", "oldest-first", "newest-first"]
            .map(|order| (order, 1_000_000)),
    );
    if setup.quick {
        cases = vec![("lexical", 0), ("lexical", 1_000), ("newest-first", 1_000)];
    }
    let mut none = 0;
    for (order, count) in cases {
        let offline = offline(setup, broker, order, count)?;
        if count == 0 {
            none = offline.peak;
        }
        let above = offline.peak.saturating_sub(none);
        let each = if count == 0 {
            "–".to_owned()
        } else {
            (above * 1024 / count as u64).to_string()
        };
        let [busy, after] = [offline.stopped_busy, offline.stopped]
            .map(|time| format!("{:.0}", time.as_secs_f64() * 1000.0));
        let [scanned, cpu] =
            [offline.scanned, offline.cpu].map(|time| format!("{:.2}", time.as_secs_f64()));
        section.row(&[
            &order,
            &count,
            &offline.peak,
            &above,
            &each,
            &scanned,
            &cpu,
            &busy,
            &after,
        ]);
        section.bar(
            Of::Daemon,
            format!("{count} files, {order}"),
            offline.peak as f64,
        );
    }
    section.note("The scan is over when the daemon has used no CPU time for a second; that second does not count.");
    Ok(section)
}

fn offline(setup: &Setup, broker: &Broker, order: &str, count: usize) -> Result<Offline> {
    let messages = setup.backlog(count)?;
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    device.messages_in(&messages)?;
    device.option("default-message-order", order);
    // Nobody listens there.
    device.option("endpoint", "localhost:9");
    let start = Instant::now();
    let running = device.start()?;
    running.logged("connection failed")?;
    let (peak, end) = peak(&running)?;
    let cpu = Usage::of(running.id())?.cpu;
    let stopped = running.stop()?;
    let running = device.start()?;
    running.logged("connection failed")?;
    Ok(Offline {
        peak,
        scanned: end.saturating_duration_since(start),
        cpu,
        stopped_busy: running.stop()?,
        stopped,
    })
}

/// The most memory until it has used no CPU time for a second, and when that second began.
fn peak(running: &Running) -> Result<(u64, Instant)> {
    let mut peak = 0;
    let mut last = (Instant::now(), Duration::MAX);
    while last.0.elapsed() < Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(20));
        let usage = Usage::of(running.id())?;
        peak = peak.max(usage.pss);
        if usage.cpu != last.1 {
            last = (Instant::now(), usage.cpu);
        }
    }
    Ok((peak, last.0))
}
