//! The parts of the daemon, told apart by the files that they work on: strace counts the calls of
//! each thread, and a thread that makes more of them would hide the points of all others.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::Device;
use crate::common::services::THING;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Messages,
    Updates,
    Inbox,
    Outfile,
    Certstore,
    /// The network, the start of the program, `/proc`: the calls of all files together.
    All,
}

pub const PARTS: [Part; 6] = [
    Part::Messages,
    Part::Updates,
    Part::Inbox,
    Part::Outfile,
    Part::Certstore,
    Part::All,
];

impl Part {
    /// Only calls that concern these files; all calls when there are none.
    pub fn paths(self, device: &Device) -> Vec<PathBuf> {
        match self {
            Part::Messages => spool(&device.messages(), &["m1", "m2", "m3", "urgent", "bad"]),
            Part::Updates => spool(&device.path(&format!("updates-{THING}")), &["led.1"]),
            Part::Inbox => inbox(&device.path("inbox")),
            Part::Outfile => outfile(device),
            Part::Certstore => certstore(&device.certstore()),
            Part::All => Vec::new(),
        }
    }

    /// The walks through `/proc` are hundreds of the same calls.
    pub fn most(self, call: &str) -> usize {
        let walks = self == Part::All && ["openat", "getdents64"].contains(&call);
        if walks { 60 } else { usize::MAX }
    }

    /// Among all calls those of pipes and event counters fail, too, as no kernel lets them.
    pub fn may_fail(self, call: &str) -> bool {
        self != Part::All || !["read", "write"].contains(&call)
    }
}

fn spool(dir: &Path, names: &[&str]) -> Vec<PathBuf> {
    let mut paths = vec![dir.to_owned(), dir.join("failed/.bad.reason")];
    for part in ["tmp", "new", ".removing", "failed"] {
        let part = dir.join(part);
        paths.extend(names.iter().map(|name| part.join(name)));
        paths.push(part);
    }
    paths
}

/// With the names that a message of the next 20 s may get.
fn inbox(dir: &Path) -> Vec<PathBuf> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.expect("a clock after 1970").as_secs();
    let (tmp, new) = (dir.join("tmp"), dir.join("new"));
    let mut paths = vec![dir.to_owned(), tmp.clone(), new.clone()];
    for second in now..now + 20 {
        for dir in [&tmp, &new] {
            paths.push(dir.join(format!("{second}.0000000001")));
            paths.push(dir.join(format!(".{second}.0000000001.json")));
        }
    }
    paths
}

fn outfile(device: &Device) -> Vec<PathBuf> {
    let names = [
        "net.conf",
        ".net.conf.new",
        ".net.conf.notify",
        ".net.conf.known",
        ".net.conf.started",
    ];
    let mut paths: Vec<PathBuf> = names.iter().map(|name| device.path(name)).collect();
    paths.push(
        device
            .outfile("net")
            .parent()
            .expect("its directory")
            .to_owned(),
    );
    let services = device.path(&format!("services-{THING}"));
    paths.push(services.join("net.json"));
    paths.push(services);
    paths
}

fn certstore(dir: &Path) -> Vec<PathBuf> {
    let names = ["preferred", ".preferred.new", ".clock", "..clock.new"];
    let mut paths: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
    paths.push(dir.to_owned());
    paths
}
