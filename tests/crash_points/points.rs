//! The points of a story: which thread-local count of which system call is killed or fails, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::common::{Device, without_proxies};
use crate::parts::Part;

/// The calls that are counted, and the errors that each may be answered with.
const CALLS: [(&str, &[&str]); 28] = [
    ("openat", &["ENOSPC", "EIO", "EROFS", "EMFILE", "EINTR"]),
    ("mkdir", &["ENOSPC", "EIO", "EROFS"]),
    ("read", &["EIO", "EINTR"]),
    ("write", &["ENOSPC", "EIO", "EINTR"]),
    ("fsync", &["ENOSPC", "EIO", "EROFS"]),
    ("fdatasync", &["ENOSPC", "EIO", "EROFS"]),
    ("rename", &["ENOSPC", "EIO", "EROFS"]),
    ("renameat", &["ENOSPC", "EIO", "EROFS"]),
    ("renameat2", &["ENOSPC", "EIO", "EROFS"]),
    ("linkat", &["ENOSPC", "EIO", "EROFS"]),
    ("unlink", &["EIO", "EROFS"]),
    ("unlinkat", &["EIO", "EROFS"]),
    ("getdents64", &["EIO"]),
    ("statx", &["EIO"]),
    ("fchmod", &["EIO", "EROFS"]),
    ("flock", &["EINTR"]),
    ("inotify_init1", &["EMFILE"]),
    ("inotify_add_watch", &["ENOSPC"]),
    ("pipe2", &["EMFILE"]),
    ("socketpair", &["EMFILE"]),
    ("socket", &["EMFILE"]),
    ("connect", &["EINTR"]),
    ("sendto", &["EIO", "EINTR"]),
    ("sendmsg", &["EIO", "EINTR"]),
    ("recvfrom", &["EIO", "EINTR"]),
    ("recvmsg", &["EIO", "EINTR"]),
    ("writev", &["ENOSPC", "EIO", "EINTR"]),
    ("epoll_wait", &["EINTR"]),
];

/// The n-th of these calls in a thread is killed, or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub part: Part,
    pub call: &'static str,
    /// `KILL` or the name of an error.
    pub fault: &'static str,
    pub nth: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "{} at {} {} of {:?}",
            self.fault, self.call, self.nth, self.part
        )
    }
}

/// How often the thread that calls it most often makes each call.
pub type Counts = BTreeMap<&'static str, usize>;

/// All points of this part.
pub fn all(part: Part, counts: &Counts) -> Vec<Point> {
    let mut points = Vec::new();
    for (call, errors) in CALLS {
        let most = counts.get(call).copied().unwrap_or(0).min(part.most(call));
        let errors = if part.may_fail(call) { errors } else { &[] };
        for fault in ["KILL"].iter().chain(errors) {
            points.extend((1..=most).map(|nth| Point {
                part,
                call,
                fault,
                nth,
            }));
        }
    }
    points
}

/// Reads a trace, in which each line begins with the thread.
pub fn counted(trace: &str) -> Counts {
    let mut each: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let call = rest.trim_start().split('(').next().unwrap_or_default();
        *each.entry((thread, call)).or_default() += 1;
    }
    let of = |call: &str| {
        let counts = each.iter().filter(|((_, one), _)| *one == call);
        counts.map(|(_, count)| *count).max().unwrap_or(0)
    };
    CALLS.iter().map(|(call, _)| (*call, of(call))).collect()
}

/// The daemon beside strace, which writes these calls into a file. Commands that the daemon runs are
/// let go.
fn traced(calls: &str, trace: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-D", "-f", "-b", "execve", "-qq", "-o"]);
    traced.arg(trace).arg("-e").arg(format!("trace={calls}"));
    traced.env_remove("RUST_LOG");
    traced
}

/// Without any fault.
pub fn watched(device: &Device, part: Part, trace: &Path) -> Command {
    let names = CALLS.map(|(call, _)| call).join(",");
    with_daemon(traced(&names, trace), device, part)
}

pub fn injected(device: &Device, point: Point, trace: &Path) -> Command {
    let mut command = traced(point.call, trace);
    let what = match point.fault {
        "KILL" => "signal=KILL".to_owned(),
        error => format!("error={error}"),
    };
    let rule = format!("inject={}:{what}:when={}", point.call, point.nth);
    command.arg("-e").arg(rule);
    with_daemon(command, device, point.part)
}

fn with_daemon(mut strace: Command, device: &Device, part: Part) -> Command {
    for path in part.paths(device) {
        strace.arg("-P").arg(path);
    }
    let daemon = device.command();
    without_proxies(&mut strace);
    strace.arg(daemon.get_program()).args(daemon.get_args());
    strace
}
