//! What the cloud sends: an inbox that nobody empties.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::Setup;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::numbers::ratio;
use crate::process::Usage;
use crate::report::{Of, Section};
use crate::wire::Wire;

const LONG: Duration = Duration::from_secs(300);

/// A file system in memory: a hundred thousand messages take minutes on a disk that syncs.
const MEMORY: &str = "/dev/shm";

struct Inbox {
    seconds: f64,
    before: u64,
    peak: u64,
    after: u64,
}

pub fn run(setup: &Setup, broker: &Broker) -> Result<Section> {
    let columns = [
        "messages",
        "where",
        "what",
        "msg/s",
        "of the bare one",
        "PSS before KiB",
        "peak KiB",
        "after KiB",
    ];
    let mut section = Section::new("inbox", "Messages into an inbox", "KiB PSS", &columns);
    let (disk, memory) = (setup.place.as_path(), Path::new(MEMORY));
    let sizes = [
        (1_000, disk),
        (1_000, memory),
        (10_000, memory),
        (100_000, memory),
    ];
    for (count, place) in sizes
        .into_iter()
        .filter(|(count, _)| !setup.quick || *count <= 1_000)
    {
        let count = setup.size(count, 200);
        let name = if place == memory {
            "in memory"
        } else {
            "on the disk"
        };
        let bare = bare(place, count.min(1_000))?;
        let inbox = inbox(setup, broker, place, count)?;
        let rate = count as f64 / inbox.seconds;
        section.row(&[
            &count,
            &name,
            &"the bare files",
            &format!("{bare:.0}"),
            &"1.00",
            &"–",
            &"–",
            &"–",
        ]);
        section.row(&[
            &count,
            &name,
            &"--subscribe-spool",
            &format!("{rate:.0}"),
            &ratio(rate, bare),
            &inbox.before,
            &inbox.peak,
            &inbox.after,
        ]);
        section.bar(
            Of::Daemon,
            format!("{count} messages, {name}"),
            inbox.peak as f64,
        );
    }
    section.note(
        "The bare files are two for each message, both synced and then their directory, and renamed, one message after \
         the other. Syncs cost nothing in memory, so what is needed there is the daemon's own.",
    );
    Ok(section)
}

fn directory(place: &Path) -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(place)?)
}

/// Messages a second.
fn bare(place: &Path, count: usize) -> Result<f64> {
    let dir = directory(place)?;
    let start = Instant::now();
    for number in 0..count {
        let path = dir.path().join(files::name(number));
        files::replace(&path.with_extension("json"), "{}", true, false)?;
        files::replace(&path, &files::payload(), true, true)?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn inbox(setup: &Setup, broker: &Broker, place: &Path, count: usize) -> Result<Inbox> {
    let mut device = Device::new(setup, broker.pki(), broker.port())?;
    let home = directory(place)?;
    let dir = home.path().to_owned();
    let topic = format!("inbox/{count}/{}", place == Path::new(MEMORY));
    device.option("subscribe-spool", format!("{topic}:{}", dir.display()));
    device.option("inbox-max-files", count);
    device.option("inbox-max-bytes", u32::MAX);
    let running = device.start()?;
    running.logged("subscribed to")?;
    let before = Usage::of(running.id())?.pss;
    let start = Instant::now();
    Wire::drain(broker, &topic, count, 90)?;
    let (mut peak, mut seconds) = (0, None);
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
