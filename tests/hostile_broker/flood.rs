//! Ten thousand messages at once, for readers that are slow.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;

use super::act::{Act, At};
use super::broker::Broker;
use super::common::inbox::{messages, payload};
use super::common::{LONG, sandbox, wait_for};
use super::packets::{publish, suback};
use super::trial::{device, label, leaves_well, stays_small};

const FLOOD: u16 = 10_000;

/// SUBACK, and all of them behind it. The payload is the packet id.
fn flood(version: u8, acknowledged: bool) -> Act {
    let what = if acknowledged { "QoS 1" } else { "QoS 0" };
    Act::new(
        &format!("10,000 messages of {what}"),
        At::Subscribe,
        move |id| {
            let all =
                (1..=FLOOD).flat_map(|n| publish(version, "flood", acknowledged.then_some(n), &[]));
            suback(version, id, 1).into_iter().chain(all).collect()
        },
    )
}

#[test]
fn a_flood_for_a_slow_command_is_dropped_with_a_warning() {
    let sandbox = sandbox();
    for (version, acknowledged) in [(4, false), (4, true), (5, false), (5, true)] {
        let act = flood(version, acknowledged);
        let name = act.name.clone();
        let broker = Broker::start(sandbox.pki(), vec![act]);
        let mut device = device(sandbox.pki(), &broker, version);
        device.option("--subscribe-exec", "flood:sleep 1");
        device.start();
        device.wait_for_log("the message on 'flood' is lost");
        if acknowledged {
            let count = || broker.seen.acknowledged.lock().unwrap().len();
            wait_for("the client has taken them", LONG, || {
                count() == usize::from(FLOOD)
            });
        }
        let memory = stays_small(&device);
        leaves_well(&mut device, &broker);
        assert_eq!(broker.connections(), 1, "{name}: {}", device.log());
        println!(
            "| {name}, --subscribe-exec | {} | dropped, {memory} kB |",
            label(version)
        );
    }
}

/// What was acknowledged is on the disk; the rest comes again, for the connection is replaced.
#[test]
fn a_flood_for_an_inbox_is_acknowledged_only_as_far_as_it_is_kept() {
    let sandbox = sandbox();
    for version in [4, 5] {
        let broker = Broker::start(sandbox.pki(), vec![flood(version, true)]);
        let mut device = device(sandbox.pki(), &broker, version);
        let inbox = device.inbox("flood", "inbox");
        device.start();
        device.wait_for_log("protocol: the broker sent more than there was room for");
        let memory = stays_small(&device);
        leaves_well(&mut device, &broker);
        let kept: BTreeSet<u16> = messages(&inbox)
            .iter()
            .map(|name| payload(&inbox, name).parse().expect("a packet id"))
            .collect();
        let acknowledged = broker.seen.acknowledged.lock().unwrap().clone();
        let missing = acknowledged.iter().filter(|id| !kept.contains(id)).count();
        assert_eq!(missing, 0, "{acknowledged:?}");
        assert!(!acknowledged.is_empty() && acknowledged.len() < usize::from(FLOOD));
        let count = acknowledged.len();
        println!(
            "| 10,000 messages, --subscribe-spool | {} | {count} kept and acknowledged, the rest asked for again, {memory} kB |",
            label(version)
        );
    }
}

/// Nobody consumes: nothing more is acknowledged than the inbox may hold, and publishing goes on.
#[test]
fn a_flood_for_a_full_inbox_waits() {
    let sandbox = sandbox();
    for (version, acknowledged) in [(4, true), (5, false), (5, true)] {
        let broker = Broker::start(sandbox.pki(), vec![flood(version, acknowledged)]);
        let mut device = device(sandbox.pki(), &broker, version);
        let inbox = device.inbox("flood", "inbox");
        device.option("--inbox-max-files", 10);
        device.start();
        wait_for("the inbox is full", LONG, || messages(&inbox).len() == 10);
        leaves_well(&mut device, &broker);
        let told = broker.seen.acknowledged.lock().unwrap().len();
        assert_eq!(told, if acknowledged { 10 } else { 0 });
        assert_eq!(messages(&inbox).len(), 10);
        assert!(broker.seen.disconnects.load(Ordering::SeqCst) > 0);
        assert_eq!(fs::read_dir(inbox.join("tmp")).expect("tmp/").count(), 0);
        println!(
            "| 10,000 messages, a full inbox | {} | 10 kept, {told} acknowledged |",
            label(version)
        );
    }
}
