//! A clock that is not set (manual, THE CLOCK): a board without a battery wakes up in 1970.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{Device, LONG, sandbox, wait_for};
use nix::sys::signal::Signal;

/// The library that shows a program another wall clock; its timers stay as they are.
fn faketime() -> Option<PathBuf> {
    let dirs = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = dirs
        .map(|dir| dir.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists());
    if found.is_none() {
        println!("skipped: libfaketime is not installed (apt install faketime)");
    }
    found
}

/// The daemon with the clock that the file `now` shows.
fn with_clock(device: &Device) -> Option<Command> {
    let library = faketime()?;
    let mut command = device.command();
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", device.path("now"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Some(command)
}

fn set_clock(device: &Device, time: &str) {
    let staged = device.path("now.new");
    fs::write(&staged, format!("{time}\n")).expect("a clock");
    fs::rename(staged, device.path("now")).expect("a clock");
}

#[test]
fn a_device_that_wakes_up_in_1970_connects_as_soon_as_its_clock_is_set() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let second = sandbox.pki().issue(iotcore_sandbox::CertificateKind::Valid);
    sandbox.pki().add_to_certstore(&device.certstore(), &second);
    // One failure would be enough to give up, if it counted.
    device.option("--connect-attempts", 1);
    set_clock(&device, "@1970-01-01 00:10:00");
    let Some(command) = with_clock(&device) else {
        return;
    };
    device.start_as(command);
    device.wait_for_log("the clock is not set: it says 1970-01-01");
    device.wait_for_log("connection failed: tls-clock");
    let preferred = fs::read_link(device.certstore().join("preferred")).unwrap();
    // Timers are monotonic: the next attempt would be in two minutes.
    device.drop_message("m", "a/b", "waits");
    assert!(device.runs());
    set_clock(&device, "+0");
    device.wait_for_log("the clock has been set");
    device.wait_until_empty();
    assert_eq!(
        fs::read_link(device.certstore().join("preferred")).unwrap(),
        preferred
    );
    assert_eq!(device.logged("using certificate"), 1, "without a restart");
    wait_for("the good time is remembered", LONG, || {
        device.certstore().join(".clock").exists()
    });
    assert_eq!(device.stop(), Some(0));
}

#[test]
fn a_clock_that_jumps_while_connected_disturbs_nothing() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    set_clock(&device, "+0");
    let Some(command) = with_clock(&device) else {
        return;
    };
    device.start_as(command);
    device.wait_for_log("connected to");
    for (number, time) in ["@1970-01-01 00:10:00", "+40y", "+0"]
        .into_iter()
        .enumerate()
    {
        set_clock(&device, time);
        device.drop_message(&format!("m{number}"), "a/b", "still here");
        device.wait_until_empty();
    }
    assert_eq!(device.logged("connected to"), 1);
    device.signal(Signal::SIGTERM);
    assert_eq!(device.exit_code(), Some(0));
}
