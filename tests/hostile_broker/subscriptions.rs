//! What a broker may answer to SUBSCRIBE, and should not.

use super::act::{Act, At};
use super::broker::Broker;
use super::common::{LONG, sandbox, wait_for};
use super::packets::{packet, suback, with_properties};
use super::trial::{device, label, leaves_well};

fn of_subscriptions(version: u8) -> Vec<(Act, usize)> {
    let answer = |name: &str, bytes: fn(u8, u16) -> Vec<u8>| {
        Act::new(name, At::Subscribe, move |id| bytes(version, id))
    };
    vec![
        (
            answer("SUBACK with one code for two filters", |version, id| {
                suback(version, id, 1)
            }),
            1,
        ),
        (
            answer("SUBACK with 1,000 codes for two filters", |version, id| {
                suback(version, id, 1_000)
            }),
            2,
        ),
        (
            answer(
                "SUBACK with a wrong packet id before the right one",
                |version, id| [suback(version, id + 7, 2), suback(version, id, 2)].concat(),
            ),
            2,
        ),
        (
            answer("SUBACK twice", |version, id| {
                suback(version, id, 2).repeat(2)
            }),
            2,
        ),
        (
            answer("SUBACK that refuses everything", |version, id| {
                packet(
                    0x90,
                    &with_properties(version, id.to_be_bytes().to_vec(), &[], &[0x80, 0x80]),
                )
            }),
            0,
        ),
    ]
}

#[test]
fn a_suback_that_does_not_fit_costs_no_connection() {
    let sandbox = sandbox();
    for version in [4, 5] {
        for (act, subscribed) in of_subscriptions(version) {
            let name = act.name.clone();
            let broker = Broker::start(sandbox.pki(), vec![act]);
            let mut device = device(sandbox.pki(), &broker, version);
            for topic in ["a", "b"] {
                let file = device.path(topic);
                device.option("--subscribe-write", format!("{topic}:{}", file.display()));
            }
            device.start();
            wait_for("both filters are answered", LONG, || {
                device.logged("subscribed to '") + device.logged("subscription to '") == 2
            });
            assert_eq!(device.logged("subscribed to '"), subscribed, "{name}");
            leaves_well(&mut device, &broker);
            assert_eq!(broker.connections(), 1, "{name}");
            println!(
                "| {name} | {} | {subscribed} of 2 subscribed |",
                label(version)
            );
        }
    }
}
