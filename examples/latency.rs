//! How long a change in the cloud takes to reach the notify command, while the device is connected
//! and when it starts. Prints what it measured beside what the shell alone takes. Everything is on
//! this machine: a real network adds its round trips, three at a start, one while connected.
//!
//! `cargo run --release --example latency`

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use chariotd::cli::Cli;
use chariotd::config::Config;
use chariotd::daemon;
use chariotd::exit::Exit;
use iotcore_sandbox::{Sandbox, Shadow};
use nix::sys::signal::{Signal, raise};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

const CHANGES: u32 = 100;
const STARTS: u32 = 20;

/// The notify command writes a line into this FIFO.
struct Bell(PathBuf);

impl Bell {
    /// Waits until somebody rings.
    fn heard(&self) -> Result<()> {
        let mut line = String::new();
        File::open(&self.0)?.read_to_string(&mut line)?;
        Ok(())
    }

    fn command(&self) -> String {
        format!("echo > {}", self.0.display())
    }
}

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let sandbox = Sandbox::builder()
        .limit(|limits| limits.connect_interval = Duration::ZERO)
        .start()?;
    let bell = Bell(dir.path().join("bell"));
    mkfifo(&bell.0, Mode::S_IRWXU)?;
    let shadow = sandbox.shadow("bench");
    shadow.report(json!({}));
    let cli = device(&sandbox, dir.path(), &bell)?;

    let shell = sample(CHANGES, |_| {
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(bell.command())
            .spawn()?;
        bell.heard()?;
        child.wait()?;
        Ok(())
    })?;
    let running = start(&cli)?;
    shadow.desire(json!({"svc": {"n": "first"}}));
    bell.heard()?;
    let connected = sample(CHANGES, |n| change(&shadow, &bell, n))?;
    settled(dir.path());
    stop(running)?;
    let mut off = Vec::new();
    for n in 0..STARTS {
        shadow.desire(json!({"svc": {"n": n + 1_000_000}}));
        let before = Instant::now();
        let running = start(&cli)?;
        bell.heard()?;
        off.push(before.elapsed());
        settled(dir.path());
        stop(running)?;
    }
    off.sort();
    println!("milliseconds until the notify command runs   median      most");
    tell("the shell and the command alone", &shell);
    tell("a change while connected", &connected);
    tell("a start with a change waiting", &off);
    Ok(())
}

/// Waits until nothing is owed, or the next start would ring for this change.
fn settled(dir: &Path) {
    while dir.join(".svc.conf.notify").exists() {
        thread::sleep(Duration::from_millis(1));
    }
}

fn change(shadow: &Shadow, bell: &Bell, n: u32) -> Result<()> {
    shadow.desire(json!({"svc": {"n": n}}));
    bell.heard()
}

/// Sorted.
fn sample(count: u32, mut once: impl FnMut(u32) -> Result<()>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for n in 0..count {
        let before = Instant::now();
        once(n)?;
        times.push(before.elapsed());
    }
    times.sort();
    Ok(times)
}

fn tell(what: &str, sorted: &[Duration]) {
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let (median, most) = (ms(sorted.get(sorted.len() / 2)), ms(sorted.last()));
    println!("{what:<42} {median:>9.2} {most:>9.2}");
}

fn device(sandbox: &Sandbox, dir: &Path, bell: &Bell) -> Result<Cli> {
    let certs = dir.join("certs");
    sandbox.pki().write_certstore(&certs, sandbox.port());
    let services = dir.join("services");
    fs::create_dir(&services)?;
    let definition = json!({
        "key": "svc",
        "outfile": dir.join("svc.conf"),
        "outformat": "SHELL",
        "notifycmd": bell.command(),
    });
    fs::write(services.join("svc.json"), definition.to_string())?;
    Ok(Cli {
        clientid: Some("bench-device".into()),
        cacert: Some(sandbox.pki().ca_file().display().to_string()),
        certstore: Some(certs.display().to_string()),
        services: vec![format!("bench:{}", services.display())],
        ..Cli::default()
    })
}

fn start(cli: &Cli) -> Result<JoinHandle<Exit>> {
    let config = Config::new(cli).map_err(|problems| anyhow!(problems.join("; ")))?;
    Ok(thread::spawn(|| daemon::run(config)))
}

fn stop(running: JoinHandle<Exit>) -> Result<()> {
    raise(Signal::SIGTERM).context("cannot ask it to stop")?;
    match running.join() {
        Ok(Exit::Stopped(_)) => Ok(()),
        Ok(exit) => Err(anyhow!("{exit}")),
        Err(_) => Err(anyhow!("the daemon failed")),
    }
}
