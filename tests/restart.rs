//! kill -9 at every step that an observer can see, and at random: nothing accepted is ever lost, and
//! no more than what was in flight is sent twice.

mod common;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use common::{Device, LONG, drop_file, sandbox, wait_for};
use iotcore_sandbox::{Event, Fault, Sandbox, What, When};
use nix::sys::signal::Signal;

const FILES: usize = 20;
const WINDOW: usize = 10;

/// How often each payload was published.
fn times(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for publish in sandbox.published() {
        *times.entry(publish.text()).or_default() += 1;
    }
    times
}

/// Kills the daemon as soon as the sandbox sees this, starts it again, and looks whether all of
/// twenty messages arrived and how many arrived twice.
fn killed_when(what: &str, faults: Vec<Fault>, wanted: impl Fn(&Event) -> bool) {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        sandbox.faults(faults.clone());
        let mut device = Device::new(&sandbox);
        device.option("--mqtt", version);
        for n in 0..FILES {
            device.drop_message(&format!("{n:02}"), "t", &format!("{n:02}"));
        }
        device.start();
        assert!(
            sandbox.wait_for_event(LONG, &wanted).is_some(),
            "never came to: {what}"
        );
        device.kill();
        sandbox.clear_faults();
        device.start();
        device.wait_until_empty();
        let times = times(&sandbox);
        assert_eq!(times.len(), FILES, "{what}: every message arrives");
        let twice = times.values().filter(|count| **count > 1).count();
        assert!(twice <= WINDOW, "{what}: {twice} arrived twice");
        assert!(times.values().all(|count| *count <= 2), "{what}: {times:?}");
        assert_eq!(device.failed(), [""; 0], "{what}");
    }
}

#[test]
fn killed_while_connecting() {
    killed_when("the TCP connection", vec![], |event| {
        matches!(event, Event::ConnectionOpened)
    });
    killed_when("the TLS handshake", vec![], |event| {
        matches!(event, Event::TlsEstablished { .. })
    });
    killed_when("CONNECT", vec![], |event| {
        matches!(event, Event::Connect { .. })
    });
    killed_when("CONNACK", vec![], |event| {
        matches!(event, Event::ConnackSent { .. })
    });
}

#[test]
fn killed_when_a_publish_is_seen_and_not_acknowledged() {
    let silent = vec![Fault::always(When::Always, What::SwallowPuback)];
    killed_when("PUBLISH", silent.clone(), |event| {
        matches!(event, Event::Publish(_))
    });
    killed_when(
        "PUBLISH of the tenth",
        silent,
        |event| matches!(event, Event::Publish(one) if one.text() == "09"),
    );
}

#[test]
fn killed_when_a_puback_is_sent() {
    for nth in [1, 2, 10] {
        killed_when(
            "PUBACK",
            vec![],
            move |event| matches!(event, Event::PubackSent { packet_id, .. } if *packet_id == nth),
        );
    }
}

#[test]
fn killed_while_acknowledgements_are_withheld_and_reordered() {
    let held = vec![Fault::once(When::Publish(1), What::ReorderPubacks(5))];
    killed_when("reordered PUBACKs", held, |event| {
        matches!(event, Event::PubackSent { packet_id: 3, .. })
    });
}

#[test]
fn killed_while_a_bad_file_is_given_up() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    for round in 0..10 {
        for n in 0..20 {
            device.drop_file(&format!("bad-{round}-{n}"), "{");
        }
        device.start();
        // Somewhere between the first and the last of them.
        wait_for("one has failed", LONG, || !device.failed().is_empty());
        device.kill();
    }
    device.start();
    device.wait_until_empty();
    // A request is moved before the oldest one is pruned.
    wait_for("the last hundred are kept", LONG, || {
        device.failed().len() == 100
    });
    let removing = device.messages().join(".removing");
    assert_eq!(
        std::fs::read_dir(removing).unwrap().count(),
        0,
        "nothing is left half removed"
    );
}

#[test]
fn a_burst_that_overflows_the_watch_is_found_by_a_scan() {
    let most: usize = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    if most > 50_000 {
        eprintln!("skipped: the kernel queues {most} events, too many to overflow");
        return;
    }
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.message_option("--message-concurrency", 100);
    device.start().wait_for_log("connected to");
    wait_for("new/ is made", LONG, || device.new_dir().is_dir());
    device.signal(Signal::SIGSTOP);
    for n in 0..most + 1000 {
        device.drop_message(&n.to_string(), "t", &n.to_string());
    }
    device.signal(Signal::SIGCONT);
    device.wait_until_empty();
    assert_eq!(times(&sandbox).len(), most + 1000);
}

/// SOAK_FILES=20000 for the long one; CI takes a smaller count.
#[test]
fn files_dropped_while_daemon_and_broker_are_killed_all_arrive() {
    let files: usize = std::env::var("SOAK_FILES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(2_000);
    let (kills, restarts) = (10, 3);
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device
        .message_option("--message-concurrency", WINDOW)
        .message_option("--message-retries", 0);
    device.start();
    let messages = device.messages();
    let writer = thread::spawn(move || {
        for n in 0..files {
            drop_file(
                &messages,
                &format!("{n:05}"),
                format!(r#"{{"topic":"t","payload":"{n:05}"}}"#),
            );
        }
    });
    let mut random = fastrand::Rng::new();
    eprintln!("seed {}", random.get_seed());
    // At random counts of published messages: ten kills of the daemon, three restarts of the broker.
    let mut events: Vec<(usize, bool)> = (0..kills + restarts)
        .map(|n| (random.usize(..files * 9 / 10), n < kills))
        .collect();
    events.sort_unstable();
    for (at, kill) in events {
        sandbox.wait_for_publishes(at, LONG);
        thread::sleep(Duration::from_micros(random.u64(..3000)));
        if kill {
            device.kill();
            device.start();
        } else {
            sandbox.restart();
        }
    }
    writer.join().unwrap();
    let limit = LONG + Duration::from_millis(10) * u32::try_from(files).unwrap();
    wait_for("everything is published", limit, || {
        device.waiting().is_empty()
    });
    let times = times(&sandbox);
    let more = times.values().map(|count| count - 1).sum::<usize>();
    eprintln!("{files} files, {kills} kills, {restarts} broker restarts: {more} duplicates");
    assert_eq!(times.len(), files, "every message arrives at least once");
    assert!(more <= WINDOW * (kills + restarts), "{more} duplicates");
    assert_eq!(device.failed(), [""; 0]);
}
