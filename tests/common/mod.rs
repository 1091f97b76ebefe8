//! A device for tests: directories of its own, the real binary, its log, and waiting for conditions.
#![allow(dead_code, reason = "every test file uses another part of this")]

pub mod access;
pub mod broker;
pub mod handle;
pub mod inbox;
pub mod mosquitto;
pub mod names;
pub mod proxies;
pub mod services;
pub mod strace;
pub mod strange_proxy;
pub mod tmpfs;
pub mod tokens;
pub mod tpm;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use iotcore_sandbox::{Builder, Pki, Sandbox};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Far more than anything here takes: only a test that fails waits for so long.
pub const LONG: Duration = Duration::from_secs(60);

/// Takes away what this machine may have in its environment, and what the daemon would use.
pub fn without_proxies(command: &mut Command) {
    for name in ["https_proxy", "all_proxy", "no_proxy"] {
        command
            .env_remove(name)
            .env_remove(name.to_ascii_uppercase());
    }
}

/// A sandbox with all of the cloud's limits but the one that makes tests slow.
pub fn sandbox() -> Sandbox {
    builder().start().expect("the sandbox starts")
}

pub fn builder() -> Builder {
    Sandbox::builder().limit(|limits| limits.connect_interval = Duration::ZERO)
}

/// Polls until the condition holds.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < limit,
            "waited {limit:?} in vain until {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// One device: a certificate store, a messages directory, and the daemon when it runs.
pub struct Device {
    dir: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
    reader: Option<JoinHandle<()>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Device {
    /// A device with a good certificate and one messages directory `messages/`.
    pub fn new(sandbox: &Sandbox) -> Device {
        Device::at(sandbox.pki(), sandbox.port())
    }

    pub fn at(pki: &Pki, port: u16) -> Device {
        let device = Device::bare(pki);
        pki.write_certstore(&device.certstore(), port);
        device
    }

    /// Without a certificate store.
    pub fn bare(pki: &Pki) -> Device {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut device = Device {
            dir,
            arguments: Vec::new(),
            child: None,
            reader: None,
            log: Arc::new(Mutex::new(Vec::new())),
        };
        fs::create_dir(device.messages()).expect("a messages directory");
        device.option("--clientid", "device-1");
        device.option("--cacert", pki.ca_file().display());
        device.option("--certstore", device.certstore().display());
        device.option("--messages", device.messages().display());
        device
    }

    pub fn option(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Device {
        self.arguments.push(format!("{name}={value}"));
        self
    }

    /// An option without a value.
    pub fn flag(&mut self, name: &str) -> &mut Device {
        self.arguments.push(name.to_owned());
        self
    }

    /// Leaves out an option again.
    pub fn without(&mut self, name: &str) -> &mut Device {
        self.arguments
            .retain(|argument| !argument.starts_with(&format!("{name}=")));
        self
    }

    /// An option for the messages directory: `--NAME=DIR:VALUE`.
    pub fn message_option(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Device {
        let value = format!("{}:{value}", self.messages().display());
        self.option(name, value)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn certstore(&self) -> PathBuf {
        self.path("certs")
    }

    pub fn messages(&self) -> PathBuf {
        self.path("messages")
    }

    pub fn new_dir(&self) -> PathBuf {
        self.messages().join("new")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chariotd"));
        command
            .args(&self.arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        without_proxies(&mut command);
        command
    }

    pub fn start(&mut self) -> &mut Device {
        self.start_as(self.command());
        self
    }

    pub fn start_as(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "runs already");
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("chariotd starts");
        let lines = BufReader::new(child.stderr.take().expect("its stderr"));
        let log = self.log.clone();
        let reader = thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                log.lock().expect("the log").push(line);
            }
        });
        self.child = Some(child);
        self.reader = Some(reader);
    }

    pub fn pid(&self) -> Pid {
        let id = self.child.as_ref().expect("it runs").id();
        Pid::from_raw(i32::try_from(id).expect("a process id"))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("its end");
        self.finish_log();
    }

    /// SIGTERM, and its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.exit_code()
    }

    /// Waits for its end.
    pub fn exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("its status") {
                self.finish_log();
                return status;
            }
            if start.elapsed() > LONG {
                let _ = child.kill();
                panic!("chariotd does not end; its log:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What was written before the end may still be on its way.
    fn finish_log(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the log is read to its end");
        }
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        let status = self.exit();
        assert_eq!(status.signal(), None, "it crashed: {}", self.log());
        status.code()
    }

    pub fn runs(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Everything logged so far by all runs.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").join("\n")
    }

    pub fn logged(&self, text: &str) -> usize {
        self.log
            .lock()
            .expect("the log")
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let start = Instant::now();
        while self.logged(text) == 0 {
            assert!(
                start.elapsed() < LONG,
                "no line with {text:?} in:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Moves a file into `new/`, as a writer does.
    pub fn drop_file(&self, name: &str, contents: impl AsRef<[u8]>) {
        drop_file(&self.messages(), name, contents);
    }

    /// Moves a message with a topic and a text payload into `new/`.
    pub fn drop_message(&self, name: &str, topic: &str, payload: &str) {
        let payload = serde_json::Value::from(payload);
        self.drop_file(
            name,
            format!(r#"{{"topic":"{topic}","payload":{payload}}}"#),
        );
    }

    pub fn waiting(&self) -> Vec<String> {
        names(&self.new_dir())
    }

    #[track_caller]
    pub fn wait_until_empty(&self) {
        wait_for("new/ is empty", LONG, || self.waiting().is_empty());
    }

    /// Names in `failed/` without the hidden ones.
    pub fn failed(&self) -> Vec<String> {
        names(&self.messages().join("failed"))
    }

    /// Waits until the message is in `failed/` and returns the reason beside it.
    #[track_caller]
    pub fn wait_for_failure(&self, name: &str) -> String {
        let reason = self
            .messages()
            .join("failed")
            .join(format!(".{name}.reason"));
        let start = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(&reason)
                && text.ends_with('\n')
                && self.failed().contains(&name.to_owned())
            {
                return text;
            }
            assert!(
                start.elapsed() < LONG,
                "'{name}' is not in failed/; the log:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("the device's log:\n{}", self.log());
        }
    }
}

/// Prepares a file in `tmp/` and renames it into `new/`; makes both when the daemon has not yet.
pub fn drop_file(messages: &Path, name: &str, contents: impl AsRef<[u8]>) {
    let (tmp, new) = (messages.join("tmp"), messages.join("new"));
    fs::create_dir_all(&tmp).expect("tmp/");
    fs::create_dir_all(&new).expect("new/");
    fs::write(tmp.join(name), contents).expect("a file in tmp/");
    fs::rename(tmp.join(name), new.join(name)).expect("a rename into new/");
}

/// The names in a directory that are not hidden, sorted. None when it is not there.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

/// Whether this test runs as root; a test that needs it says that it was skipped.
pub fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}
