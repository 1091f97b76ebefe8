//! What it costs when nothing happens.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::process::Usage;
use crate::report::{Of, Section};

/// Two daemons beside each other for a minute, each with a program file of its own.
pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "what",
        "PSS KiB",
        "RSS KiB",
        "private KiB",
        "threads",
        "voluntary switches",
        "involuntary",
        "CPU ms",
    ];
    let mut section = Section::new("idle", "Connected and idle", "KiB PSS", &columns);
    let time = Duration::from_secs(if setup.quick { 2 } else { 60 });
    let kinds = [
        ("one directory of messages", 0),
        ("and five services in JavaScript", 5),
    ];
    let mut daemons = Vec::new();
    for (_, services) in kinds {
        let mut device = Device::new(setup, broker.pki(), broker.port())?;
        device.own_program()?;
        device.option("clientid", format!("bench-{services}"));
        device.messages()?;
        if services > 0 {
            device.definitions(services)?;
        }
        let running = device.start()?;
        running.logged("connected to")?;
        daemons.push((device, running));
    }
    // Until everything that a connection begins with has been asked for in vain.
    thread::sleep(Duration::from_secs(if setup.quick { 2 } else { 15 }));
    let look = || daemons.iter().map(|(_, running)| Usage::of(running.id()));
    let before = look().collect::<Result<Vec<_>>>()?;
    thread::sleep(time);
    let after = look().collect::<Result<Vec<_>>>()?;
    let scaled = |count: f64| format!("{:.0}", count * 600.0 / time.as_secs_f64());
    for (((what, _), before), after) in kinds.iter().zip(before).zip(after) {
        section.row(&[
            what,
            &after.pss,
            &after.rss,
            &after.private,
            &after.threads,
            &scaled((after.voluntary - before.voluntary) as f64),
            &scaled((after.involuntary - before.involuntary) as f64),
            &scaled((after.cpu - before.cpu).as_secs_f64() * 1000.0),
        ]);
        section.bar(Of::Daemon, *what, after.pss as f64);
    }
    section.note(format!(
        "Context switches and CPU time of {} s, scaled to ten minutes; the kernel counts CPU time in steps of 10 ms.",
        time.as_secs()
    ));
    for (_, running) in daemons {
        running.stop()?;
    }
    Ok(section)
}
