//! The daemon under measurement: the release binary as its users run it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use iotcore_sandbox::Pki;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::Setup;

const LONG: Duration = Duration::from_secs(120);

/// A device with directories of its own below the place that decides about the disk.
pub struct Device {
    dir: TempDir,
    options: Vec<String>,
    program: PathBuf,
    wrapper: Vec<String>,
}

/// A daemon at work. Is killed with the value.
pub struct Running {
    child: Child,
    /// The child is the wrapper, and its child the daemon.
    wrapped: bool,
    lines: Receiver<(Instant, String)>,
}

impl Device {
    /// For the broker with these certificates on this port of localhost.
    pub fn new(setup: &Setup, pki: &Pki, port: u16) -> Result<Device> {
        let dir = setup.directory()?;
        let certs = dir.path().join("certs");
        pki.write_certstore(&certs, port);
        let mut device = Device {
            dir,
            options: Vec::new(),
            program: setup.program.clone(),
            wrapper: Vec::new(),
        };
        device.option("clientid", "bench");
        device.option("cacert", pki.ca_file().display());
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
    pub fn messages(&mut self) -> Result<PathBuf> {
        let dir = self.path("messages");
        self.messages_in(&dir)?;
        Ok(dir)
    }

    /// The same with a directory that may be there already.
    pub fn messages_in(&mut self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir.join("new"))?;
        fs::create_dir_all(dir.join("tmp"))?;
        self.option("messages", dir.display());
        Ok(())
    }

    /// So many service definitions in JavaScript, of the thing `bench`.
    pub fn definitions(&mut self, count: usize) -> Result<()> {
        let dir = self.path("services");
        fs::create_dir_all(&dir)?;
        for number in 0..count {
            let text = format!(
                "exports.key = 'svc{number}';\n\
                 exports.outfile = '{}/svc{number}.conf';\n\
                 exports.outformat = 'SHELL';\n\
                 exports.notifycmd = 'true';\n\
                 exports.validate = function (value) {{ return typeof value === 'object'; }};\n",
                dir.display()
            );
            fs::write(dir.join(format!("svc{number}.js")), text)?;
        }
        self.option("services", format!("bench:{}", dir.display()));
        Ok(())
    }

    /// One service definition, of the thing `bench`, with a command that is run after each change.
    pub fn definition(&mut self, key: &str, command: &str) -> Result<()> {
        let dir = self.path("services");
        fs::create_dir_all(&dir)?;
        let definition = serde_json::json!({
            "key": key,
            "outfile": dir.join(format!("{key}.conf")),
            "outformat": "SHELL",
            "notifycmd": command,
        });
        fs::write(dir.join(format!("{key}.json")), definition.to_string())?;
        self.option("services", format!("bench:{}", dir.display()));
        Ok(())
    }

    /// A copy of the program of its own, so that it shares no page with another daemon.
    pub fn own_program(&mut self) -> Result<()> {
        let copy = self.path("chariotd");
        fs::copy(&self.program, &copy)?;
        self.program = copy;
        Ok(())
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
        Ok(Running {
            child,
            wrapped: !self.wrapper.is_empty(),
            lines,
        })
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
        kill(self.daemon()?, Signal::SIGTERM)?;
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > LONG {
                bail!("it does not obey SIGTERM");
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(start.elapsed())
    }

    fn daemon(&self) -> Result<Pid> {
        let id = i32::try_from(self.child.id())?;
        if !self.wrapped {
            return Ok(Pid::from_raw(id));
        }
        let daemon = fs::read_dir("/proc")?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .find(|other| parent(*other) == Some(id));
        Ok(Pid::from_raw(daemon.context("the daemon is gone")?))
    }
}

/// The second word behind the name, which may have anything in it.
fn parent(id: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, behind) = text.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
