//! What tests that trace the daemon's system calls have in common.

use std::process::Command;

/// Whether strace can be used; a line about it where it cannot.
pub fn can_trace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: strace is not installed, or may not be used (apt install strace)");
    }
    works
}
