//! Two daemons that serve the same key of one shadow: nobody can say who is right, but they come to
//! rest.

use std::thread;
use std::time::{Duration, Instant};

use iotcore_sandbox::{
    Cut, Event, Sandbox, ShadowFault, ShadowKind, ShadowOperation, ShadowTrouble,
};
use serde_json::json;

use crate::common::services::THING;
use crate::common::{Device, LONG, drop_file, sandbox, wait_for};

/// What each may still send after the last desired value, and in a minute after that.
const MOST_UPDATES: usize = 20;

fn updates(sandbox: &Sandbox) -> usize {
    let asked = |event: &Event| match event {
        Event::Shadow(event) => {
            let asked = event.kind == ShadowKind::Request(ShadowOperation::Update);
            asked && event.client_id.is_some()
        }
        _ => false,
    };
    let record = sandbox.record();
    record.iter().filter(|it| asked(&it.event)).count()
}

#[test]
fn two_daemons_with_one_key_come_to_rest_after_faults() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow(THING);
    shadow.report(json!({}));
    let mut devices = [Device::new(&sandbox), Device::new(&sandbox)];
    let dirs = devices.each_mut().map(|device| device.updates(THING));
    for (number, device) in devices.iter_mut().enumerate() {
        device.without("--clientid");
        device.option("--clientid", format!("device-{number}"));
        device.service("net", json!({})).start();
    }
    let mut rng = fastrand::Rng::with_seed(5);
    for step in 0..40 {
        let which = rng.usize(0..2);
        match rng.u32(0..8) {
            0..=2 => drop(shadow.desire(json!({"net": {"desired": step}}))),
            3..=5 => drop_file(
                &dirs[which],
                &format!("net.{step:03}"),
                json!({"filed": step}).to_string(),
            ),
            6 => sandbox.cut(&format!("device-{which}"), Cut::Reset),
            _ => sandbox
                .shadow_fault(ShadowFault::once(ShadowTrouble::Shuffle(rng.u64(..))).times(5)),
        }
        thread::sleep(Duration::from_millis(rng.u64(0..50)));
    }
    sandbox.clear_shadow_faults();
    let before = updates(&sandbox);
    wait_for("the desired values are cleared", LONG, || {
        shadow
            .document()
            .is_some_and(|it| it["state"]["desired"].is_null())
    });
    let (start, mut last) = (Instant::now(), (updates(&sandbox), Instant::now()));
    while last.1.elapsed() < Duration::from_secs(3) {
        let count = updates(&sandbox);
        if count != last.0 {
            last = (count, Instant::now());
        }
        assert!(start.elapsed() < LONG, "{count} updates, and no end");
        thread::sleep(Duration::from_millis(20));
    }
    let after = updates(&sandbox) - before;
    assert!(after < MOST_UPDATES, "{after} updates");
}
