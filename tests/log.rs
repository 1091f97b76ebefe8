//! The log when its reader does not read: the logger's disk is full, the console is stopped.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Device, LONG, builder, wait_for};
use iotcore_sandbox::{Event, Sandbox};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const MESSAGES: usize = 4000;

fn sandbox() -> Sandbox {
    builder()
        .limit(|limits| limits.min_keep_alive = Duration::ZERO)
        .start()
        .expect("the sandbox starts")
}

/// A device whose log nobody reads, that has published everything all the same.
fn deaf(sandbox: &Sandbox) -> (Device, std::process::Child) {
    let mut device = Device::new(sandbox);
    device.option("--keepalive", 5);
    for n in 0..MESSAGES {
        device.drop_message(&format!("{n:04}"), "t", &n.to_string());
    }
    let mut command = device.command();
    let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    wait_for("new/ is empty", LONG, || device.waiting().is_empty());
    assert_eq!(sandbox.published().len(), MESSAGES);
    (device, child)
}

fn end(child: &mut std::process::Child) -> Option<i32> {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("its status") {
            return status.code();
        }
        if start.elapsed() > LONG {
            let _ = child.kill();
            panic!("it does not obey SIGTERM");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_message_no_keep_alive_and_not_the_end() {
    let sandbox = sandbox();
    let (_device, mut child) = deaf(&sandbox);
    let ping = |event: &Event| matches!(event, Event::PingRequest);
    assert!(sandbox.wait_for_event(LONG, ping).is_some());
    assert_eq!(end(&mut child), Some(0));
}

#[test]
fn who_reads_the_log_again_is_reported_how_much_was_dropped() {
    let sandbox = sandbox();
    let (_device, mut child) = deaf(&sandbox);
    let (tell, lines) = mpsc::channel();
    let stderr = BufReader::new(child.stderr.take().expect("its stderr"));
    let reader = thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let told = loop {
        let line = lines.recv_timeout(LONG).expect("the line about the others");
        if line.contains("lines were dropped") {
            break line;
        }
    };
    let count: usize = told
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a number");
    assert!((1..MESSAGES).contains(&count), "{told}");
    assert_eq!(end(&mut child), Some(0));
    reader.join().expect("the log is read to its end");
    assert!(
        lines.try_iter().any(|line| line.contains("stopped by")),
        "what is said later is there"
    );
}

#[test]
fn a_malformed_rust_log_is_reported_in_the_form_of_the_log_and_by_check() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let words = "RUST_LOG='chariotd=loud' is ignored: use error, warn";
    let mut command = device.command();
    command.env("RUST_LOG", "chariotd=loud");
    device.start_as(command);
    device.wait_for_log(&format!("warn: {words}"));
    device.wait_for_log("info: connected to");
    assert_eq!(device.stop(), Some(0));
    assert!(device.log().lines().all(|line| {
        let level = line.split(": ").next().unwrap_or_default();
        ["error", "warn", "info"].contains(&level)
    }));
    let mut check = device.command();
    let check = check.arg("--check").env("RUST_LOG", "chariotd=loud");
    let check = check.output().expect("it runs");
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!(check.status.code(), Some(100), "{said}");
    assert!(said.contains(&format!("error: {words}")), "{said}");
    for good in ["debug", "", "warn,chariotd::mqtt=trace", "off"] {
        let mut check = device.command();
        let check = check
            .arg("--check")
            .env("RUST_LOG", good)
            .output()
            .expect("it runs");
        assert_eq!(check.status.code(), Some(0), "{good}");
    }
}
