//! Action directories on disks that hang, that are moved away, and that two daemons are to serve.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use common::inbox::wait_for_subscription;
use common::services::THING;
use common::strace::can_trace;
use common::{Device, LONG, drop_file, names, sandbox, wait_for};
use iotcore_sandbox::{Event, Sandbox};
use nix::sys::signal::Signal;
use serde_json::json;

/// Less than a disk that hangs here takes for one call.
const SOON: Duration = Duration::from_secs(10);

/// The daemon, with a disk on which these calls take 20 s for this file of this directory.
fn hanging(device: &Device, dir: &Path, file: &str, calls: &str) -> Command {
    let paths = ["new", ".removing", "failed"].map(|part| dir.join(part).join(file));
    hanging_at(device, &paths, calls)
}

fn hanging_at(device: &Device, paths: &[PathBuf], calls: &str) -> Command {
    let daemon = device.command();
    let mut traced = Command::new("strace");
    // As a process beside the daemon, which is then our child as ever.
    traced.args(["-D", "-f", "-o", "/dev/null", "-e"]);
    traced.arg(format!("inject={calls}:delay_enter=20000000"));
    for path in paths {
        traced.arg("-P").arg(path);
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

/// A second daemon for the directories of the first one.
fn second(sandbox: &Sandbox, first: &Device) -> Device {
    let mut second = Device::new(sandbox);
    second
        .without("--messages")
        .without("--clientid")
        .option("--clientid", "device-2")
        .option("--messages", first.messages().display());
    second
}

#[test]
fn a_second_daemon_for_a_directory_names_the_first_one_and_ends() {
    let sandbox = sandbox();
    let mut first = Device::new(&sandbox);
    // A child that outlives its parent does not keep the directory.
    let child = first.path("child");
    fs::write(&child, "#!/bin/sh\n: >\"$0.runs\"\nexec sleep 60\n").unwrap();
    fs::set_permissions(&child, fs::Permissions::from_mode(0o755)).unwrap();
    first.message_option("--letterhead-generator", child.display());
    first.drop_message("a", "t", "x");
    first.start().wait_for_log("connected to");
    wait_for("the child runs", SOON, || first.path("child.runs").exists());
    let mut other = second(&sandbox, &first);
    assert_eq!(other.start().exit_code(), Some(100));
    let served = format!(
        "{} is served by process {} (chariotd) already",
        first.messages().display(),
        first.pid()
    );
    other.wait_for_log(&served);
    assert_eq!(first.waiting(), ["a"]);
    let mut check = second(&sandbox, &first);
    assert_eq!(check.flag("--check").start().exit_code(), Some(0));
    first.kill();
    other.start().wait_for_log("published 'a'");
    first.wait_until_empty();
}

#[test]
fn a_second_daemon_for_an_inbox_ends_too() {
    let sandbox = sandbox();
    let mut first = Device::new(&sandbox);
    let inbox = first.path("inbox");
    fs::create_dir(&inbox).unwrap();
    let option = format!("t:{}", inbox.display());
    first.option("--subscribe-spool", &option);
    first.start().wait_for_log("connected to");
    let mut other = Device::new(&sandbox);
    other.option("--subscribe-spool", &option);
    assert_eq!(other.start().exit_code(), Some(100));
    other.wait_for_log("(chariotd) already");
}

#[test]
fn a_directory_that_is_replaced_is_served_again_within_seconds() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.start().wait_for_log("connected to");
    device.drop_message("before", "t", "x");
    device.wait_until_empty();
    let old = device.path("old");
    // It is never missing for long, as when something is mounted over it.
    let next = device.path("next");
    drop_file(&next, "moved-in", MESSAGE);
    fs::create_dir(next.join("failed")).unwrap();
    fs::rename(device.messages(), &old).unwrap();
    fs::rename(&next, device.messages()).unwrap();
    device.wait_for_log("is another directory now");
    device.wait_until_empty();
    device.drop_message("after", "t", "x");
    device.wait_until_empty();
    assert_eq!(sandbox.published().len(), 3);
    assert_eq!(names(&old.join("failed")), [""; 0]);
}

#[test]
fn a_link_that_is_switched_is_followed_within_seconds() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let (link, other) = (device.path("link"), device.path("other"));
    fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(device.messages(), &link).unwrap();
    device
        .without("--messages")
        .option("--messages", link.display());
    device.start().wait_for_log("connected to");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&other, &link).unwrap();
    drop_file(&other, "a", MESSAGE);
    device.wait_for_log("published 'a'");
}

#[test]
fn an_inbox_that_is_replaced_is_counted_again_within_seconds() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let inbox = device.path("inbox");
    fs::create_dir(&inbox).unwrap();
    device.option("--subscribe-spool", format!("t:{}", inbox.display()));
    device.start();
    wait_for_subscription(&sandbox, "device-1_1");
    fs::rename(&inbox, device.path("old")).unwrap();
    fs::create_dir(&inbox).unwrap();
    device.wait_for_log("inbox/new is another directory now");
    sandbox.publish("t", b"x", 1);
    wait_for("the message is there", SOON, || {
        names(&inbox.join("new")).len() == 1
    });
}

#[test]
fn a_disk_that_hangs_under_an_outfile_or_a_definition_holds_up_no_message_and_not_the_end() {
    if !can_trace() {
        return;
    }
    // strace looks at the old name only.
    let rename = "rename,renameat,renameat2";
    let cases = [
        ("services-pump-7/net.json", "open,openat", "{}"),
        ("net.conf", "open,openat", "{}"),
        (".net.conf.new", rename, "{}"),
        ("..net.conf.bad.new", rename, "malformed"),
        (".net.conf.notify", "fsync", "{}"),
        (".net.conf.notify", "unlink,unlinkat", "{}"),
    ];
    // Side by side, for each lasts as long as its disk hangs.
    thread::scope(|scope| {
        for (file, calls, outfile) in cases {
            scope.spawn(move || goes_on_while_it_hangs(file, calls, outfile));
        }
    });
}

fn goes_on_while_it_hangs(file: &str, calls: &str, outfile: &str) {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    let desired = json!({"net": {"a": 1}});
    shadow
        .update(json!({"state": {"desired": desired}}))
        .expect("a shadow");
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    fs::write(device.outfile("net"), outfile).unwrap();
    let traced = hanging_at(&device, &[device.path(file)], calls);
    device.start_as(traced);
    let clears = calls.starts_with("unlink");
    if clears {
        device.wait_for_log("net: notified");
    } else if file.ends_with("json") {
        device.wait_for_log("connected to");
    } else {
        device.wait_for_log("shadow/update/delta'");
    }
    for n in 0..3 {
        device.drop_file(&n.to_string(), MESSAGE);
        wait_for("it is published", SOON, || device.waiting().is_empty());
    }
    if clears {
        assert!(device.path(file).exists(), "it still hangs");
    } else {
        let document = shadow.document().expect("a document");
        assert_eq!(document["state"]["desired"], desired, "{file} still hangs");
    }
    device.signal(Signal::SIGTERM);
    let ended = || device.logged("stopped by SIGTERM") == 1;
    wait_for("it ends although the disk hangs", SOON, ended);
}

/// `/proc` then shows a user his own processes only.
#[test]
fn a_half_written_file_is_not_taken_where_proc_hides_its_writer() {
    if !common::is_root() {
        println!("skipped: only root can mount /proc anew");
        return;
    }
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let binary = device.path("chariotd");
    fs::copy(env!("CARGO_BIN_EXE_chariotd"), &binary).unwrap();
    let ca = device.path("ca.pem");
    fs::copy(sandbox.pki().ca_file(), &ca).unwrap();
    device.without("--cacert").option("--cacert", ca.display());
    let own = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(device.path(""))
        .status();
    assert!(own.unwrap().success());
    let hidden = "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", hidden]).arg(&binary);
    command.args(device.command().get_args());
    device.start_as(command);
    device.wait_for_log("connected to");
    // This process, which is another user's, writes half of it and takes its time.
    let mut file = fs::File::create(device.new_dir().join("slow")).unwrap();
    file.write_all(br#"{"topic":"t","#).unwrap();
    thread::sleep(Duration::from_millis(1500));
    file.write_all(br#""payload":"whole"}"#).unwrap();
    drop(file);
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0], "{}", device.log());
    assert_eq!(sandbox.published()[0].text(), "whole");
}

/// Each look at all processes takes as long as there are descriptors on the machine.
#[test]
fn many_unusable_files_are_looked_for_in_proc_together() {
    const FILES: usize = 200;
    if !can_trace() {
        return;
    }
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.message_option("--message-concurrency", 90);
    for n in 0..FILES {
        device.drop_file(&format!("{n:03}"), "no message");
    }
    let trace = device.path("trace");
    let daemon = device.command();
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=openat", "-o"]);
    traced.arg(&trace).arg(daemon.get_program());
    traced.args(daemon.get_args());
    device.start_as(traced);
    device.wait_until_empty();
    let looks = || {
        let calls = fs::read_to_string(&trace).unwrap_or_default();
        calls
            .lines()
            .filter(|line| line.contains("\"/proc\""))
            .count()
    };
    wait_for("the trace is written", LONG, || looks() > 0);
    println!("{} looks for {FILES} files", looks());
    assert!(looks() <= FILES / 5, "{}", looks());
}
