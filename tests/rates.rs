//! How often a shadow is fetched and updated, and how often the daemon wakes up, counted.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::services::THING;
use common::{Device, LONG, drop_file, sandbox, wait_for};
use iotcore_sandbox::{Event, Sandbox, ShadowFault, ShadowKind, ShadowOperation, ShadowTrouble};
use nix::sys::signal::Signal;
use serde_json::json;

fn requests(sandbox: &Sandbox, operation: ShadowOperation) -> usize {
    let asked = |event: &Event| match event {
        Event::Shadow(event) => {
            event.kind == ShadowKind::Request(operation) && event.client_id.is_some()
        }
        _ => false,
    };
    let record = sandbox.record();
    record.iter().filter(|it| asked(&it.event)).count()
}

/// Waits until nothing was asked of the shadow for some seconds; gives how many updates came.
#[track_caller]
fn updates_until_quiet(sandbox: &Sandbox, quiet: Duration) -> usize {
    let (start, mut last) = (Instant::now(), (0, Instant::now()));
    while last.1.elapsed() < quiet {
        let count =
            requests(sandbox, ShadowOperation::Update) + requests(sandbox, ShadowOperation::Get);
        if count != last.0 {
            last = (count, Instant::now());
        }
        assert!(start.elapsed() < LONG, "{count} requests, and no end");
        thread::sleep(Duration::from_millis(20));
    }
    requests(sandbox, ShadowOperation::Update)
}

#[test]
fn two_daemons_with_one_service_settle_with_fewer_than_20_updates_in_a_minute() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.report(json!({}));
    let mut devices = [Device::new(&sandbox), Device::new(&sandbox)];
    for (number, device) in devices.iter_mut().enumerate() {
        device.without("--clientid");
        device.option("--clientid", format!("device-{number}"));
        device.service("net", json!({}));
        fs::write(device.outfile("net"), format!(r#"{{"from":{number}}}"#)).unwrap();
        device.start();
    }
    for device in &devices {
        device.wait_for_log("delete/accepted");
    }
    for value in 1..4 {
        shadow.desire(json!({"net": {"a": value}}));
        for device in &devices {
            wait_for("the desired value is in force", LONG, || {
                device.config("net").contains(&format!(r#""a":{value}"#))
            });
        }
    }
    let updates = updates_until_quiet(&sandbox, Duration::from_secs(5));
    assert!(updates < 20, "{updates} updates");
    assert!(shadow.wait_for(LONG, |document| document["state"]["desired"].is_null()));
}

#[test]
fn a_program_that_corrects_what_is_reported_is_left_alone_until_the_next_fetch() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.report(json!({}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({}));
    fs::write(device.outfile("net"), r#"{"a":1}"#).unwrap();
    let ends = AtomicBool::new(false);
    let updates = thread::scope(|scope| {
        let _ends = Ends(&ends);
        scope.spawn(|| {
            let ours = |document: &serde_json::Value| {
                document["state"]["reported"]["net"]["a"] == json!(1)
            };
            while !ends.load(Ordering::Relaxed) {
                if shadow.wait_for(Duration::from_millis(50), ours) {
                    shadow.report(json!({"net": {"a": 2}}));
                }
            }
        });
        device.start();
        wait_for("it reports", LONG, || {
            requests(&sandbox, ShadowOperation::Update) > 0
        });
        updates_until_quiet(&sandbox, Duration::from_secs(3))
    });
    assert!(updates < 5, "{updates} updates");
}

/// Ends the other program, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn many_orders_to_fetch_are_one_fetch_a_second() {
    let sandbox = sandbox();
    sandbox.shadow(THING).report(json!({}));
    let mut device = Device::new(&sandbox);
    device.service("net", json!({})).start();
    device.wait_for_log("delete/accepted");
    let before = Instant::now();
    for _ in 0..1500 {
        device.signal(Signal::SIGHUP);
        thread::sleep(Duration::from_millis(1));
    }
    let seconds = usize::try_from(before.elapsed().as_secs()).unwrap();
    updates_until_quiet(&sandbox, Duration::from_secs(2));
    let fetches = requests(&sandbox, ShadowOperation::Get);
    assert!(fetches <= seconds + 4, "{fetches} fetches in {seconds} s");
    assert!(fetches >= 2, "the last order counts");
    let lines = device.logged("fetching every shadow again");
    assert!(lines <= seconds + 4, "{lines} lines in {seconds} s");
}

/// How often the daemon's thread has waited for something in the next second.
fn wake_ups(device: &Device) -> u64 {
    let count = || -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", device.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    };
    let before = count();
    thread::sleep(Duration::from_secs(1));
    count() - before
}

#[test]
fn a_waiting_update_file_wakes_nobody_up_before_the_first_document() {
    let sandbox = sandbox();
    for connected in [false, true] {
        let port = if connected { sandbox.port() } else { 1 };
        let mut device = Device::at(sandbox.pki(), port);
        let silence = ShadowFault::always(ShadowTrouble::Ignore).on(ShadowOperation::Get);
        sandbox.shadow_fault(silence);
        device.service("net", json!({}));
        let updates = device.updates(THING);
        drop_file(&updates, "net.1", r#"{"a":1}"#);
        device.option("--connect-attempts", 0).start();
        device.wait_for_log(if connected { "delete/accepted" } else { "tcp" });
        let count = wake_ups(&device);
        assert!(
            count < 50,
            "{count} times in a second, connected: {connected}"
        );
    }
}
