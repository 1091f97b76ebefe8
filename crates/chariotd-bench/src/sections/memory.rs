//! Memory against what waits while there is no connection.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::process::Usage;
use crate::report::Section;

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "order",
        "files waiting",
        "peak PSS KiB",
        "above none KiB",
        "SIGTERM ms",
    ];
    let mut section = Section::new("Offline with a backlog", "KiB PSS", &columns);
    for order in ["lexical", "oldest-first"] {
        let mut none = 0;
        for count in setup.counts(&[0, 10_000, 100_000, 1_000_000]) {
            let (peak, stopped) = offline(setup, broker, order, count)?;
            if count == 0 {
                none = peak;
            }
            let above = peak.saturating_sub(none);
            section.row(&[
                &order,
                &count,
                &peak,
                &above,
                &format!("{:.0}", stopped.as_secs_f64() * 1000.0),
            ]);
            section.bar(format!("{order}, {count} files"), peak as f64);
        }
    }
    Ok(section)
}

fn offline(setup: &Setup, broker: &Broker, order: &str, count: usize) -> Result<(u64, Duration)> {
    let mut device = Device::new(&setup.program, &setup.place, broker)?;
    let messages = device.messages();
    files::fill(&messages, count)?;
    device.option("default-message-order", order);
    // Nobody listens there.
    device.option("endpoint", "localhost:9");
    let running = device.start()?;
    running.logged("connection failed")?;
    let mut peak = 0;
    let (mut quiet, mut cpu) = (0, Duration::MAX);
    // Until it has used no CPU for a second: the scan is over.
    while quiet < 10 {
        thread::sleep(Duration::from_millis(100));
        let usage = Usage::of(running.id())?;
        peak = peak.max(usage.pss);
        quiet = if usage.cpu == cpu { quiet + 1 } else { 0 };
        cpu = usage.cpu;
    }
    Ok((peak, running.stop()?))
}
