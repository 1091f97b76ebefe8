//! The daemon under measurement: the release binary as its users run it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::broker::Broker;

const LONG: Duration = Duration::from_secs(120);

/// A device with directories of its own below `place`, which decides about the disk.
pub struct Device {
    dir: TempDir,
    options: Vec<String>,
    program: PathBuf,
    wrapper: Vec<String>,
}

/// A daemon at work. Is killed with the value.
pub struct Running {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Device {
    pub fn new(program: &Path, place: &Path, broker: &Broker) -> Result<Device> {
        let dir = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(place)?;
        let certs = dir.path().join("certs");
        broker.pki().write_certstore(&certs, broker.port());
        let mut device = Device {
            dir,
            options: Vec::new(),
            program: program.to_owned(),
            wrapper: Vec::new(),
        };
        device.option("clientid", "bench");
        device.option("cacert", broker.pki().ca_file().display());
        device.option("certstore", certs.display());
        Ok(device)
    }

    pub fn option(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Device {
        self.options.push(format!("--{name}={value}"));
        self
    }

    /// Runs it as an argument of another program.
    pub fn under(&mut self, wrapper: &[&str]) -> &mut Device {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its directory of messages, which it has from now on.
    pub fn messages(&mut self) -> PathBuf {
        let dir = self.path("messages");
        // Where it cannot be made, the daemon says so.
        let _ = std::fs::create_dir_all(&dir);
        self.option("messages", dir.display());
        dir
    }

    pub fn start(&self) -> Result<Running> {
        let mut words = self.wrapper.iter().map(String::as_str);
        let mut command = match words.next() {
            None => Command::new(&self.program),
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.program);
                command
            }
        };
        let mut child = command
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the daemon")?;
        let log = child.stderr.take().context("its log")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if !line.contains("published '") {
                    let _ = sender.send((Instant::now(), line));
                }
            }
        });
        Ok(Running { child, lines })
    }
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of the log, and says when it came.
    pub fn logged(&self, part: &str) -> Result<Instant> {
        let mut before = String::new();
        loop {
            match self.lines.recv_timeout(LONG) {
                Ok((at, line)) if line.contains(part) => return Ok(at),
                Ok((_, line)) => before.push_str(&(line + "\n")),
                Err(_) => bail!("no line with {part:?} after:\n{before}"),
            }
        }
    }

    /// Asks it to stop, and waits. How long that took.
    pub fn stop(mut self) -> Result<Duration> {
        let start = Instant::now();
        self.terminate()?;
        self.child.wait()?;
        Ok(start.elapsed())
    }

    /// The process itself, or whatever its wrapper has started.
    fn terminate(&self) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let child = children
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok());
        kill(Pid::from_raw(child.unwrap_or(id)), Signal::SIGTERM)?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
