//! From a change in the cloud to the notify command, beside the shell alone.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use iotcore_sandbox::{Sandbox, Shadow};
use serde_json::json;

use crate::Setup;
use crate::bell::Bell;
use crate::broker::Broker;
use crate::daemon::Device;
use crate::files;
use crate::numbers::{Spread, ratio};
use crate::report::{Of, Section};
use crate::strace::{Durable, durable};

const LONG: Duration = Duration::from_secs(60);

pub fn run(setup: &Setup, _broker: &Broker) -> Result<Section> {
    let columns = ["what", "p50 ms", "p99 ms", "most ms", "of the shell"];
    let mut section = Section::new("shadow", "A change of a shadow", "ms, p50", &columns);
    let cloud = Sandbox::builder()
        .limit(|limits| limits.connect_interval = Duration::ZERO)
        .start()?;
    let durable = traced(setup, &cloud)?;
    let times = changes(setup, &cloud, durable)?;
    let shell = Spread::of(times.shell);
    for (of, what, spread) in [
        (Of::Other, "sh -c alone", shell),
        (
            Of::Other,
            "sh -c behind as many durable steps",
            Spread::of(times.durable),
        ),
        (
            Of::Daemon,
            "delta to notify command",
            Spread::of(times.change),
        ),
    ] {
        let [p50, p99, most] = [spread.p50, spread.p99, spread.most].map(|ms| format!("{ms:.2}"));
        section.row(&[&what, &p50, &p99, &most, &ratio(spread.p50, shell.p50)]);
        section.bar(of, what, spread.p50);
    }
    section.note(format!(
        "{} changes, in turn with both others. Before the command the daemon renames {} times and syncs {} times, \
         by strace; so does the shell's rival, one after the other on the same disk.",
        setup.size(200, 10),
        durable.renames,
        durable.syncs
    ));
    section.note(burst(setup, &cloud)?);
    Ok(section)
}

/// In milliseconds.
#[derive(Default)]
struct Times {
    shell: Vec<f64>,
    durable: Vec<f64>,
    change: Vec<f64>,
}

fn changes(setup: &Setup, cloud: &Sandbox, durable: Durable) -> Result<Times> {
    let mut device = Device::new(setup, cloud.pki(), cloud.port())?;
    let bell = Bell::new(&device.path("bell"))?;
    device.definition("svc", &bell.command())?;
    let shadow = cloud.shadow("bench");
    let running = device.start()?;
    running.logged("connected to")?;
    shadow.desire(json!({"svc": {"n": "first"}}));
    bell.heard()?;
    let since = |start: Instant| -> Result<f64> {
        let heard = bell.heard()?.saturating_duration_since(start);
        Ok(heard.as_secs_f64() * 1000.0)
    };
    let mut times = Times::default();
    for number in 0..setup.size(200, 10) {
        settled(&shadow)?;
        let start = Instant::now();
        shell(&bell)?;
        times.shell.push(since(start)?);
        let start = Instant::now();
        steps(&device, durable)?;
        shell(&bell)?;
        times.durable.push(since(start)?);
        let start = Instant::now();
        shadow.desire(json!({"svc": {"n": number}}));
        times.change.push(since(start)?);
    }
    running.stop()?;
    Ok(times)
}

/// The change has been reported, and what comes after it has had its time.
fn settled(shadow: &Shadow) -> Result<()> {
    let agreed = shadow.wait_for(LONG, |document| document["state"].get("delta").is_none());
    if !agreed {
        bail!("the daemon does not report a change");
    }
    thread::sleep(Duration::from_millis(10));
    Ok(())
}

fn shell(bell: &Bell) -> Result<()> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &bell.command()])
        .spawn()
        .context("cannot start a shell")?;
    child.wait()?;
    Ok(())
}

/// So many renames and syncs as the daemon does before it starts the command.
fn steps(device: &Device, durable: Durable) -> Result<()> {
    let mut syncs = durable.syncs;
    let mut next = || {
        let due = syncs > 0;
        syncs = syncs.saturating_sub(1);
        due
    };
    for _ in 0..durable.renames.max(durable.syncs.div_ceil(2)) {
        let (file, dir) = (next(), next());
        files::replace(&device.path("step"), &files::payload(), file, dir)?;
    }
    Ok(())
}

/// What stands between a change and its command, in the middle of several changes.
fn traced(setup: &Setup, cloud: &Sandbox) -> Result<Durable> {
    let mut device = Device::new(setup, cloud.pki(), cloud.port())?;
    let bell = Bell::new(&device.path("bell"))?;
    device.definition("svc", &bell.command())?;
    let trace = device.path("strace");
    let path = trace.display().to_string();
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,execve";
    device.under(&["strace", "-f", "-ttt", "-e", calls, "-o", &path]);
    let shadow = cloud.shadow("bench");
    shadow.report(json!({}));
    let running = device.start()?;
    running.logged("connected to")?;
    let mut starts = Vec::new();
    for number in 0..9 {
        starts.push(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64());
        shadow.desire(json!({"svc": {"traced": number}}));
        bell.heard()?;
        settled(&shadow)?;
    }
    running.stop()?;
    let text = fs::read_to_string(&trace)
        .context("strace says nothing, install it with: apt install strace")?;
    let mut all: Vec<Durable> = starts.iter().map(|start| durable(&text, *start)).collect();
    all.sort();
    all.get(all.len() / 2).copied().context("a change")
}

/// Many changes at once, in a sentence.
fn burst(setup: &Setup, cloud: &Sandbox) -> Result<String> {
    let mut device = Device::new(setup, cloud.pki(), cloud.port())?;
    let runs = device.path("runs");
    device.definition("burst", &format!("echo >> {}", runs.display()))?;
    let shadow = cloud.shadow("bench");
    let running = device.start()?;
    running.logged("connected to")?;
    let count = setup.size(1_000, 50);
    let start = Instant::now();
    for number in 0..count {
        shadow.desire(json!({"burst": {"n": number}}));
    }
    let asked = start.elapsed().as_secs_f64();
    let over = shadow.wait_for(LONG, |document| {
        document["state"]["reported"]["burst"]["n"] == json!(count - 1)
    });
    if !over {
        bail!("the last of {count} changes is not reported");
    }
    let reported = start.elapsed().as_secs_f64();
    // The last command may come after the last report.
    thread::sleep(Duration::from_millis(500));
    running.stop()?;
    let runs = fs::read_to_string(&runs)?.lines().count();
    Ok(format!(
        "A burst: {count} changes were asked for in {asked:.2} s; after {reported:.2} s the last one was in force and reported. \
         The command was started {runs} times for them."
    ))
}
