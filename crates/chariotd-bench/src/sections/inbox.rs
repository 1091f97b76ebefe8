//! What the cloud sends: an inbox that nobody empties.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::numbers::ratio;
use crate::process::Usage;
use crate::report::{Of, Section};
use crate::wire::Wire;

const LONG: Duration = Duration::from_secs(300);

struct Inbox {
    seconds: f64,
    before: u64,
    peak: u64,
    after: u64,
}

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "messages",
        "what",
        "msg/s",
        "of the bare disk",
        "PSS before KiB",
        "peak KiB",
        "after KiB",
    ];
    let mut section = Section::new("inbox", "Messages into an inbox", "KiB PSS", &columns);
    let disk = bare_disk(setup, setup.size(2_000, 100))?;
    for count in setup.sizes(&[1_000, 10_000, 100_000]) {
        let inbox = inbox(setup, broker, count)?;
        let rate = count as f64 / inbox.seconds;
        section.row(&[
            &count,
            &"bare disk",
            &format!("{disk:.0}"),
            &"1.00",
            &"–",
            &"–",
            &"–",
        ]);
        section.row(&[
            &count,
            &"--subscribe-spool",
            &format!("{rate:.0}"),
            &ratio(rate, disk),
            &inbox.before,
            &inbox.peak,
            &inbox.after,
        ]);
        section.bar(
            Of::Daemon,
            format!("{count} messages, at most"),
            inbox.peak as f64,
        );
    }
    section.note("The bare disk writes two files for each message, syncs both and their directory, and moves them into another one, one message after the other.");
    Ok(section)
}

/// Messages a second.
fn bare_disk(setup: &Setup, count: usize) -> Result<f64> {
    let dir = setup.directory()?;
    let start = Instant::now();
    for number in 0..count {
        let path = dir.path().join(files::name(number));
        files::replace(&path.with_extension("json"), "{}", true, false)?;
        files::replace(&path, &files::payload(), true, true)?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn inbox(setup: &Setup, broker: &Broker, count: usize) -> Result<Inbox> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let dir = device.path("inbox");
    fs::create_dir(&dir)?;
    let topic = format!("inbox/{count}");
    device.option("subscribe-spool", format!("{topic}:{}", dir.display()));
    device.option("inbox-max-files", count);
    device.option("inbox-max-bytes", u32::MAX);
    let running = device.start()?;
    running.logged("subscribed to")?;
    let before = Usage::of(running.id())?.pss;
    let start = Instant::now();
    Wire::drain(broker, &topic, count, 90)?;
    let (mut peak, mut seconds) = (0, None);
    // A last one that does not come shows that some have come twice: then the inbox is full before.
    while seconds.is_none() {
        if start.elapsed() > LONG {
            bail!("only {} of {count} messages are there", arrived(&dir)?);
        }
        thread::sleep(Duration::from_millis(if count > 10_000 { 200 } else { 5 }));
        peak = peak.max(Usage::of(running.id())?.pss);
        if arrived(&dir)? >= count {
            seconds = Some(start.elapsed().as_secs_f64());
        }
    }
    let after = Usage::of(running.id())?.pss;
    running.stop()?;
    Ok(Inbox {
        seconds: seconds.unwrap_or_default(),
        before,
        peak: peak.max(after),
        after,
    })
}

/// The messages that a consumer would see.
fn arrived(dir: &Path) -> Result<usize> {
    let names = fs::read_dir(dir.join("new"))?.flatten();
    Ok(names
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .count())
}
