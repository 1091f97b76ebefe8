//! As the first process of a container the daemon inherits what commands leave behind, and somebody has
//! to take note of their end. As any other process it has nothing to do here.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::offload;

/// Our own children are waited for at once. Who is still there after this is nobody's.
const NOBODY_S: Duration = Duration::from_secs(5);

/// Never ends. Wakes up only when a child ends, and only as process 1.
pub async fn run() {
    if std::process::id() == 1
        && let Ok(mut ended) = signal(SignalKind::child())
    {
        while ended.recv().await.is_some() {
            while reap().await {}
        }
    }
    std::future::pending().await
}

/// Whether somebody is left to look at again.
async fn reap() -> bool {
    sleep(NOBODY_S).await;
    let before = ended_children().await;
    if before.is_empty() {
        return false;
    }
    sleep(NOBODY_S).await;
    let still = ended_children().await;
    for pid in before.intersection(&still) {
        // An error means that it is gone.
        let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
    }
    still.iter().any(|pid| !before.contains(pid))
}

/// Children of ours that have ended and were not waited for.
async fn ended_children() -> BTreeSet<i32> {
    let look = || {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = processes.map(|process| process.path().join("stat"));
        stats
            .filter_map(|stat| ended_child(&fs::read_to_string(stat).ok()?, 1))
            .collect()
    };
    offload::run(look).await.unwrap_or_default()
}

/// The process of this line of `/proc/PID/stat`, if it has ended and is a child of `parent`.
fn ended_child(stat: &str, parent: i32) -> Option<i32> {
    // The name stands in parentheses, and may hold some itself.
    let (pid, rest) = stat.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let ended = fields.next()? == "Z" && fields.next()?.parse() == Ok(parent);
    ended.then(|| pid.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_children_that_have_ended_are_found() {
        for (stat, expect) in [
            ("77 (sleep) Z 1 77 77 0 -1", Some(77)),
            ("77 (a) Z 2 (b) Z 1 77 77", Some(77)),
            ("77 (sleep) S 1 77 77 0 -1", None),
            ("77 (sleep) Z 12 77 77 0 -1", None),
            ("", None),
            ("x (y", None),
        ] {
            assert_eq!(ended_child(stat, 1), expect, "{stat}");
        }
    }
}
