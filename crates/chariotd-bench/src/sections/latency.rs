//! One message at a time: from the rename to the PUBLISH that a subscriber sees.

use anyhow::Result;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::numbers::{Spread, ratio};
use crate::report::{Of, Section};
use crate::subscriber::Subscriber;
use crate::wire::Wire;

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = ["what", "p50 ms", "p99 ms", "most ms", "of the bare publish"];
    let mut section = Section::new("latency", "One message at a time", "ms, p50", &columns);
    let count = setup.size(1_000, 50);
    let subscriber = Subscriber::start(broker, "latency")?;
    let (acknowledged, arrived) = Wire::latency(broker, "latency", count, || subscriber.next())?;
    let renames = renames(setup, broker, &subscriber, count)?;
    let bare = Spread::of(arrived);
    for (of, what, spread) in [
        (
            Of::Other,
            "publish from memory, acknowledged",
            Spread::of(acknowledged),
        ),
        (Of::Other, "publish from memory, seen by a subscriber", bare),
        (
            Of::Daemon,
            "rename, seen by the same subscriber",
            Spread::of(renames),
        ),
    ] {
        let [p50, p99, most] = [spread.p50, spread.p99, spread.most].map(|ms| format!("{ms:.3}"));
        section.row(&[&what, &p50, &p99, &most, &ratio(spread.p50, bare.p50)]);
        section.bar(of, what, spread.p50);
    }
    section.note(format!("{count} messages each."));
    Ok(section)
}

/// Milliseconds from each rename to the moment that the subscriber tells.
fn renames(
    setup: &Setup,
    broker: &Broker,
    subscriber: &Subscriber,
    count: usize,
) -> Result<Vec<f64>> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let messages = device.messages()?;
    let running = device.start()?;
    running.logged("connected to")?;
    let contents = files::message("latency");
    let mut times = Vec::new();
    for number in 0..count {
        let start = files::send(&messages, number, &contents)?;
        let seen = subscriber.next()?.saturating_duration_since(start);
        times.push(seen.as_secs_f64() * 1000.0);
    }
    running.stop()?;
    Ok(times)
}
