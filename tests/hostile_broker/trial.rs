//! One device against one script, and what must hold for it whatever the script says.

use std::fs;
use std::sync::Mutex;
use std::thread;

use iotcore_sandbox::{Pki, Sandbox};

use super::act::Act;
use super::broker::Broker;
use super::common::{Device, LONG, sandbox, wait_for};

/// What the daemon may take in a debug build, in kB; without a hostile broker it takes about 20,000.
pub const MEMORY: u64 = 48_000;
const DEVICES_AT_A_TIME: usize = 24;
const ACTS_OF_A_DEVICE: usize = 4;
const MESSAGES: usize = 3;

/// One script, and how the reason begins with which each of its acts ends a connection.
pub struct Trial {
    pub version: u8,
    pub acts: Vec<(Act, &'static str)>,
    pub options: Vec<(&'static str, String)>,
}

impl Trial {
    pub fn new(version: u8, acts: Vec<(Act, &'static str)>) -> Trial {
        Trial {
            version,
            acts,
            options: Vec::new(),
        }
    }

    pub fn option(mut self, name: &'static str, value: impl ToString) -> Trial {
        self.options.push((name, value.to_string()));
        self
    }

    /// Plays it, checks all, and returns a row of the table for each act.
    fn run(self, pki: &Pki) -> Vec<String> {
        let (acts, ends): (Vec<_>, Vec<_>) = self.acts.into_iter().unzip();
        let names: Vec<_> = acts.iter().map(|act| act.name.clone()).collect();
        let broker = Broker::start(pki, acts);
        let mut device = device(pki, &broker, self.version);
        for (name, value) in self.options {
            device.option(name, value);
        }
        device.start();
        let process = device.pid();
        device.wait_until_empty();
        assert_eq!(broker.connections(), ends.len() + 1, "{}", device.log());
        let lines = endings(&device);
        assert_eq!(lines.len(), ends.len(), "{}", device.log());
        let mut rows = Vec::new();
        for ((line, end), name) in lines.iter().zip(ends).zip(names) {
            assert!(line.starts_with(end), "{name}: {end:?} is not in {line:?}");
            rows.push(format!("| {name} | {} | {line} |", label(self.version)));
        }
        assert_eq!(device.pid(), process);
        leaves_well(&mut device, &broker);
        rows
    }
}

/// A device with three messages.
pub fn device(pki: &Pki, broker: &Broker, version: u8) -> Device {
    let mut device = Device::at(pki, broker.port);
    device.option("--mqtt", label(version));
    for n in 0..MESSAGES {
        device.drop_message(&n.to_string(), &format!("t/{n}"), "x");
    }
    device
}

pub fn label(version: u8) -> &'static str {
    if version == 5 { "5" } else { "3.1.1" }
}

/// Class and reason of each connection that has failed or was lost.
pub fn endings(device: &Device) -> Vec<String> {
    let log = device.log();
    let lines = log.lines().filter_map(|line| {
        let (_, end) = line
            .split_once("connection lost: ")
            .or_else(|| line.split_once("connection failed: "))?;
        let (reason, _) = end.rsplit_once(", next attempt in ")?;
        Some(reason.to_owned())
    });
    lines.collect()
}

/// Nothing is lost, it has stayed small, and it goes when it is asked to.
pub fn leaves_well(device: &mut Device, broker: &Broker) {
    let all: Vec<_> = (0..MESSAGES).map(|n| format!("t/{n}")).collect();
    wait_for("everything is published", LONG, || broker.accepted() == all);
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0]);
    stays_small(device);
    assert_eq!(device.stop(), Some(0));
}

/// The peak of its resident memory.
pub fn stays_small(device: &Device) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", device.pid())).expect("it runs");
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    let peak = peak.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let peak = peak.expect("a number in kB");
    assert!(peak < MEMORY, "{peak} kB");
    peak
}

/// The same acts for several devices, so that they are played at one time.
pub fn in_groups(version: u8, acts: Vec<(Act, &'static str)>) -> Vec<Trial> {
    let mut acts = acts.into_iter();
    let groups = std::iter::from_fn(|| {
        let some: Vec<_> = acts.by_ref().take(ACTS_OF_A_DEVICE).collect();
        (!some.is_empty()).then(|| Trial::new(version, some))
    });
    groups.collect()
}

/// Runs acts that end no connection, each with a device of its own, and prints the table.
pub fn nothing_happens(version: u8, acts: Vec<Act>) {
    let sandbox: Sandbox = sandbox();
    let pki = sandbox.pki();
    thread::scope(|scope| {
        for act in acts {
            scope.spawn(move || {
                let name = act.name.clone();
                let broker = Broker::start(pki, vec![act]);
                let mut device = device(pki, &broker, version);
                device.start();
                leaves_well(&mut device, &broker);
                assert_eq!(broker.connections(), 1, "{name}: {}", device.log());
                println!("| {name} | {} | goes on |", label(version));
            });
        }
    });
}

/// Runs all of them, some at a time, and prints the table.
pub fn run(trials: Vec<Trial>) {
    let sandbox: Sandbox = sandbox();
    let pki = sandbox.pki();
    let trials = Mutex::new(trials.into_iter());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..DEVICES_AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = trials.lock().expect("the trials").next();
                    let Some(trial) = next else { return };
                    let told = trial.run(pki);
                    rows.lock().expect("the rows").extend(told);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("the rows");
    rows.sort();
    for row in rows {
        println!("{row}");
    }
}
