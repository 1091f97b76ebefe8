//! Action directories on disks that hang.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Device, drop_file, names, sandbox, wait_for};
use iotcore_sandbox::Event;
use nix::sys::signal::Signal;

/// Less than a disk that hangs here takes for one call.
const SOON: Duration = Duration::from_secs(10);

/// Whether strace can be used; a word about it where it cannot.
fn can_trace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: strace is not installed, or may not be used (apt install strace)");
    }
    works
}

/// The daemon, with a disk on which these calls take 20 s for this file of this directory.
fn hanging(device: &Device, dir: &Path, file: &str, calls: &str) -> Command {
    let daemon = device.command();
    let mut traced = Command::new("strace");
    // As a process beside the daemon, which is then our child as ever.
    traced.args(["-D", "-f", "-o", "/dev/null", "-e"]);
    traced.arg(format!("inject={calls}:delay_enter=20000000"));
    for part in ["new", ".removing", "failed"] {
        traced.arg("-P").arg(dir.join(part).join(file));
    }
    traced
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .env_remove("RUST_LOG");
    traced
}

const MESSAGE: &str = r#"{"topic":"t","payload":"x"}"#;

#[test]
fn a_disk_that_hangs_holds_up_neither_the_other_directories_nor_the_end() {
    if !can_trace() {
        return;
    }
    for calls in [
        "open,openat",
        "rename,renameat,renameat2",
        "unlink,unlinkat",
    ] {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        let other = device.path("other");
        fs::create_dir(&other).unwrap();
        device.option("--messages", other.display());
        drop_file(&device.messages(), "slow", MESSAGE);
        let traced = hanging(&device, &device.messages(), "slow", calls);
        device.start_as(traced);
        if !calls.starts_with("open") {
            device.wait_for_log("published 'slow'");
        }
        for n in 0..3 {
            drop_file(&other, &n.to_string(), MESSAGE);
            let empty = || names(&other.join("new")).is_empty();
            wait_for("the other one is empty", SOON, empty);
        }
        device.signal(Signal::SIGTERM);
        // The kernel keeps the process until strace lets its thread go.
        let ended = || device.logged("stopped by SIGTERM") == 1;
        wait_for("it ends although the disk hangs", SOON, ended);
    }
}

#[test]
fn a_disk_that_hangs_does_not_hold_up_the_keep_alive() {
    if !can_trace() {
        return;
    }
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    // A broker of version 5 may ask for a longer one.
    device.option("--keepalive", 5).option("--mqtt", "3.1.1");
    let calls = "rename,renameat,renameat2";
    let traced = hanging(&device, &device.messages(), "slow", calls);
    device.start_as(traced);
    device.wait_for_log("connected to");
    device.drop_message("slow", "t", "x");
    device.wait_for_log("published 'slow'");
    let pings = || {
        let all = sandbox.record();
        all.iter()
            .filter(|one| matches!(one.event, Event::PingRequest))
            .count()
    };
    let before = pings();
    wait_for("a keep-alive is sent", SOON, || pings() > before);
    assert_eq!(device.logged("connected to"), 1);
    assert!(
        !device.messages().join(".removing/slow").exists(),
        "it hangs still"
    );
}
