//! The shadow service, as a device and as an operator see it, without and with faults.

use std::time::Duration;

use iotcore_sandbox::{
    Event, Garbage, Sandbox, ShadowEvent, ShadowFault, ShadowKind, ShadowOperation, ShadowTrouble,
    Version,
};
use serde_json::{Value, json};

use crate::common::{BOTH, Device, SOON, Seen, sandbox};

/// Everything that a device hears about a shadow.
const ENDS: [&str; 8] = [
    "get/accepted",
    "get/rejected",
    "update/accepted",
    "update/rejected",
    "update/delta",
    "update/documents",
    "delete/accepted",
    "delete/rejected",
];

const CLASSIC: &str = "$aws/things/t/shadow";
const NAMED: &str = "$aws/things/t/shadow/name/s";

/// A device that has subscribed to everything about a shadow.
struct Twin {
    device: Device,
    prefix: &'static str,
}

fn twin(sandbox: &Sandbox, version: Version, prefix: &'static str) -> Twin {
    let mut device = Device::connect(sandbox, version, "pump");
    let filters = ENDS.map(|end| format!("{prefix}/{end}"));
    let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    assert_eq!(device.subscribe(&filters), [1; 8]);
    Twin { device, prefix }
}

impl Twin {
    fn ask(&mut self, operation: &str, payload: &str) {
        let topic = format!("{}/{operation}", self.prefix);
        self.device.publish(&topic, payload.as_bytes(), 0);
    }

    /// The next message: the end of its topic, and its JSON.
    fn hears(&mut self) -> (String, Value) {
        let (topic, payload) = self.device.message();
        let end = topic.strip_prefix(self.prefix).expect("about this shadow");
        let content = serde_json::from_str(&payload).expect("JSON");
        (end[1..].to_owned(), content)
    }

    fn hears_in_turn(&mut self, ends: &[&str]) -> Vec<Value> {
        let heard: Vec<(String, Value)> = ends.iter().map(|_| self.hears()).collect();
        let topics: Vec<&str> = heard.iter().map(|(end, _)| end.as_str()).collect();
        assert_eq!(topics, ends);
        heard.into_iter().map(|(_, content)| content).collect()
    }
}

fn shadow_events(sandbox: &Sandbox) -> Vec<ShadowEvent> {
    let records = sandbox.record().into_iter();
    let event = records.filter_map(|record| match record.event {
        Event::Shadow(event) => Some(event),
        _ => None,
    });
    event.collect()
}

#[test]
fn a_device_gets_updates_and_deletes() {
    for (version, prefix) in BOTH.into_iter().zip([CLASSIC, NAMED]) {
        let sandbox = sandbox();
        let mut twin = twin(&sandbox, version, prefix);
        twin.ask("get", "");
        let (end, refusal) = twin.hears();
        assert_eq!(
            (end.as_str(), &refusal["code"]),
            ("get/rejected", &json!(404))
        );

        twin.ask(
            "update",
            r#"{"state":{"reported":{"a":1}},"clientToken":"one"}"#,
        );
        let answers = twin.hears_in_turn(&["update/accepted", "update/documents"]);
        assert_eq!(answers[0]["state"], json!({ "reported": { "a": 1 } }));
        assert!(answers.iter().all(|answer| answer["clientToken"] == "one"));

        twin.ask("get", r#"{"clientToken":"two"}"#);
        let document = &twin.hears_in_turn(&["get/accepted"])[0];
        assert_eq!(
            (&document["version"], &document["clientToken"]),
            (&json!(1), &json!("two"))
        );

        twin.ask("delete", "anything");
        let deleted = &twin.hears_in_turn(&["delete/accepted"])[0];
        assert_eq!(
            (&deleted["version"], deleted.get("clientToken")),
            (&json!(1), None)
        );
        twin.device.sees_nothing();
    }
}

#[test]
fn timestamps_are_seconds_of_the_cloud_s_clock() {
    let sandbox = sandbox();
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    let before = epoch.elapsed().unwrap().as_secs();
    let shadow = sandbox.shadow("t");
    shadow.report(json!({ "a": 1 }));
    let document = shadow.document().unwrap();
    let stamp = document["metadata"]["reported"]["a"]["timestamp"]
        .as_u64()
        .unwrap();
    assert!((before..before + 100).contains(&stamp), "{stamp} {before}");
    assert!(document["timestamp"].as_u64().unwrap() >= stamp);
}

#[test]
fn what_an_operator_desires_reaches_the_device() {
    let sandbox = sandbox();
    let mut twin = twin(&sandbox, Version::V5, CLASSIC);
    let shadow = sandbox.shadow("t");
    assert_eq!(shadow.desire(json!({ "fan": "on" })), 1);
    let heard = twin.hears_in_turn(&["update/accepted", "update/delta", "update/documents"]);
    assert_eq!(heard[1]["state"], json!({ "fan": "on" }));
    assert_eq!(heard[0]["version"], heard[1]["version"]);

    twin.ask("update", r#"{"state":{"reported":{"fan":"on"}}}"#);
    twin.hears_in_turn(&["update/accepted", "update/documents"]);
    assert_eq!(shadow.reported(), shadow.desired());
    assert_eq!((shadow.delta(), shadow.version()), (None, Some(2)));
}

#[test]
fn what_an_operator_only_reads_or_is_refused_is_not_published() {
    let sandbox = sandbox();
    let mut twin = twin(&sandbox, Version::V311, CLASSIC);
    let shadow = sandbox.shadow("t");
    assert_eq!(shadow.document(), None);
    assert_eq!(shadow.delete().unwrap_err().code, 404);
    assert_eq!(shadow.update(json!({ "state": 1 })).unwrap_err().code, 400);
    twin.device.sees_nothing();
    shadow.desire(json!({}));
    twin.hears_in_turn(&["update/accepted", "update/documents"]);
    assert_eq!(shadow.delete().unwrap()["version"], 1);
    twin.hears_in_turn(&["delete/accepted"]);
}

#[test]
fn every_kind_of_refusal_reaches_the_device() {
    let sandbox = sandbox();
    sandbox.shadow("t").report(json!({ "a": 1 }));
    let mut twin = twin(&sandbox, Version::V311, CLASSIC);
    let mut check = |payload: &[u8], code: u16, token: Option<&str>| {
        let topic = format!("{CLASSIC}/update");
        twin.device.publish(&topic, payload, 0);
        let (end, refusal) = twin.hears();
        assert_eq!(
            (end.as_str(), &refusal["code"]),
            ("update/rejected", &json!(code))
        );
        assert_eq!(refusal.get("clientToken").and_then(Value::as_str), token);
        assert_eq!(refusal.get("timestamp").is_some(), token.is_some());
    };
    check(b"{", 400, None);
    check(br#"{"clientToken":"t"}"#, 400, Some("t"));
    check(
        br#"{"state":{},"version":9,"clientToken":"t"}"#,
        409,
        Some("t"),
    );
    check(b"{\"state\":\"\xff\"}", 415, None);
    let large = json!({ "state": { "reported": { "a": "x".repeat(9000) } }, "clientToken": "t" });
    check(large.to_string().as_bytes(), 413, Some("t"));
    assert_eq!(sandbox.shadow("t").version(), Some(1));
}

#[test]
fn others_hear_what_one_device_reports() {
    let sandbox = sandbox();
    let mut twin = twin(&sandbox, Version::V5, NAMED);
    let mut other = Device::connect(&sandbox, Version::V311, "valve");
    other.publish(
        &format!("{NAMED}/update"),
        br#"{"state":{"reported":{"a":1}},"clientToken":"v"}"#,
        1,
    );
    let heard = twin.hears_in_turn(&["update/accepted", "update/documents"]);
    assert_eq!(heard[0]["clientToken"], "v");
    assert_eq!(
        sandbox.named_shadow("t", "s").reported(),
        Some(json!({ "a": 1 }))
    );
}

#[test]
fn requests_and_answers_are_recorded_in_order() {
    let sandbox = sandbox();
    let mut twin = twin(&sandbox, Version::V311, CLASSIC);
    sandbox.shadow("t").desire(json!({ "a": 1 }));
    twin.ask(
        "update",
        r#"{"state":{"reported":{"b":1}},"version":1,"clientToken":"x"}"#,
    );
    twin.ask("update", r#"{"state":{},"version":1,"clientToken":"y"}"#);
    twin.hears_in_turn(&["update/accepted", "update/delta", "update/documents"]);
    twin.hears_in_turn(&["update/accepted", "update/delta", "update/documents"]);
    twin.hears_in_turn(&["update/rejected"]);
    use ShadowOperation::Update;
    let check = |event: &ShadowEvent,
                 kind,
                 client: Option<&str>,
                 token: Option<&str>,
                 version,
                 in_flight| {
        assert_eq!((event.kind, event.name.to_string().as_str()), (kind, "t"));
        assert_eq!(
            (event.client_id.as_deref(), event.token.as_deref()),
            (client, token)
        );
        assert_eq!(
            (event.version, event.in_flight),
            (version, in_flight),
            "{event}"
        );
    };
    let events = shadow_events(&sandbox);
    assert_eq!(events.len(), 10);
    check(&events[0], ShadowKind::Request(Update), None, None, None, 0);
    check(
        &events[1],
        ShadowKind::Accepted(Update),
        None,
        None,
        Some(1),
        0,
    );
    let (pump, x, y) = (Some("pump"), Some("x"), Some("y"));
    check(&events[4], ShadowKind::Request(Update), pump, x, Some(1), 1);
    check(
        &events[5],
        ShadowKind::Accepted(Update),
        pump,
        x,
        Some(2),
        0,
    );
    check(&events[6], ShadowKind::Delta, pump, x, Some(2), 0);
    check(&events[7], ShadowKind::Documents, pump, x, Some(2), 0);
    check(
        &events[9],
        ShadowKind::Rejected(Update, 409),
        pump,
        y,
        None,
        0,
    );
    assert_eq!(sandbox.most_in_flight("t"), 1);
}

#[test]
fn waiting_for_a_document_ends_with_the_change_or_the_time() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow("t");
    assert!(!shadow.wait_for(Duration::ZERO, |document| !document.is_null()));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| shadow.wait_for(SOON, |document| document["version"] == 2));
        shadow.report(json!({ "a": 1 }));
        shadow.report(json!({ "a": 2 }));
        assert!(waiter.join().unwrap());
    });
    assert!(shadow.wait_for(Duration::ZERO, |document| document["version"] == 2));
}

#[test]
fn an_answer_is_in_the_outbox_before_the_puback() {
    let sandbox = sandbox();
    let mut device = Device::connect(&sandbox, Version::V311, "pump");
    device.subscribe(&[("$aws/things/t/shadow/get/rejected", 0)]);
    device.publish("$aws/things/t/shadow/get", b"", 1);
    assert!(matches!(device.next(), Seen::Publish { .. }));
    assert!(matches!(device.next(), Seen::Puback { .. }));
}

/// A sandbox in which this goes wrong with all shadows, and a device there.
fn troubled(fault: ShadowFault) -> (Sandbox, Twin) {
    let sandbox = sandbox();
    sandbox.shadow_fault(fault);
    let twin = twin(&sandbox, Version::V311, CLASSIC);
    (sandbox, twin)
}

const REPORT: &str = r#"{"state":{"reported":{"a":1}},"clientToken":"x"}"#;

#[test]
fn requests_are_rejected_at_will_and_not_carried_out() {
    for code in [400, 409, 413, 429, 500] {
        let fault = ShadowFault::always(ShadowTrouble::Reject(code)).times(2);
        let (sandbox, mut twin) = troubled(fault.on(ShadowOperation::Update));
        twin.ask("get", "");
        assert_eq!(twin.hears().1["code"], 404, "it is not about this request");
        for _ in 0..2 {
            twin.ask("update", REPORT);
            let refusal = &twin.hears_in_turn(&["update/rejected"])[0];
            assert_eq!(
                (&refusal["code"], &refusal["clientToken"]),
                (&json!(code), &json!("x"))
            );
        }
        assert_eq!(sandbox.shadow("t").version(), None);
        twin.ask("update", REPORT);
        twin.hears_in_turn(&["update/accepted", "update/documents"]);
    }
}

#[test]
fn an_answer_is_withheld_of_what_was_done_or_was_not() {
    let check = |what: ShadowTrouble, heard: &[&str], version: Option<u64>, kind: ShadowKind| {
        let (sandbox, mut twin) = troubled(ShadowFault::once(what));
        twin.ask("update", REPORT);
        twin.hears_in_turn(heard);
        twin.device.sees_nothing();
        assert_eq!(sandbox.shadow("t").version(), version);
        let events = shadow_events(&sandbox);
        let withheld = events
            .iter()
            .find(|event| event.kind == kind)
            .expect("recorded");
        assert_eq!(
            (withheld.token.as_deref(), withheld.in_flight),
            (Some("x"), 1)
        );
    };
    let operation = ShadowOperation::Update;
    check(
        ShadowTrouble::Withhold,
        &["update/documents"],
        Some(1),
        ShadowKind::Withheld(operation),
    );
    check(
        ShadowTrouble::Ignore,
        &[],
        None,
        ShadowKind::Ignored(operation),
    );
}

#[test]
fn the_eleventh_request_without_an_answer_is_one_too_many() {
    let (sandbox, mut first) = troubled(ShadowFault::always(ShadowTrouble::Withhold));
    (0..10).for_each(|_| first.ask("get", ""));
    first.ask("get", "");
    assert_eq!(first.hears_in_turn(&["get/rejected"])[0]["code"], 429);
    assert_eq!(sandbox.most_in_flight("t"), 11);
    assert_eq!(sandbox.most_in_flight("u"), 0);

    sandbox.clear_shadow_faults();
    first.device.send_disconnect();
    assert_eq!(first.device.next(), Seen::Closed);
    let mut second = twin(&sandbox, Version::V311, CLASSIC);
    second.ask("get", "");
    assert_eq!(
        second.hears().1["code"],
        404,
        "what was withheld ended with its connection"
    );
}

#[test]
fn a_late_answer_is_overtaken_and_outlives_its_connection() {
    let delay = ShadowTrouble::Delay(Duration::from_millis(30));
    let (sandbox, mut first) = troubled(ShadowFault::always(delay).times(2));
    first.ask("update", REPORT);
    let heard = first.hears_in_turn(&["update/documents", "update/accepted"]);
    assert_eq!(heard[1]["clientToken"], "x");

    let mut other = Device::connect(&sandbox, Version::V5, "valve");
    other.subscribe(&[("$aws/things/t/shadow/update/accepted", 1)]);
    first.ask("update", REPORT);
    first.hears_in_turn(&["update/documents"]);
    first.device.send_disconnect();
    assert_eq!(other.message().0, "$aws/things/t/shadow/update/accepted");
    let in_flight: Vec<usize> = shadow_events(&sandbox)
        .iter()
        .map(|event| event.in_flight)
        .collect();
    assert_eq!(in_flight[..3], [1, 1, 0], "requested, documents, accepted");
}

#[test]
fn answers_come_garbled() {
    let heard = |garbage: Garbage| {
        let fault = ShadowFault::once(ShadowTrouble::Garble(garbage));
        let (sandbox, mut twin) = troubled(fault.on(ShadowOperation::Update));
        twin.ask("update", REPORT);
        let (topic, payload) = twin.device.message();
        assert_eq!(topic, format!("{CLASSIC}/update/accepted"));
        assert_eq!(sandbox.shadow("t").version(), Some(1), "it was carried out");
        serde_json::from_str::<Value>(&payload).ok()
    };
    assert_eq!(heard(Garbage::NotJson), None);
    assert_eq!(
        heard(Garbage::MembersMissing),
        Some(json!({ "clientToken": "x" }))
    );
    assert_eq!(
        heard(Garbage::OtherToken).expect("JSON")["clientToken"],
        "somebody-else"
    );
    assert_eq!(
        heard(Garbage::NoToken).expect("JSON").get("clientToken"),
        None
    );
    assert!(heard(Garbage::WrongTypes).expect("JSON")["version"].is_string());
}

#[test]
fn the_publications_of_an_update_come_in_any_order_and_twice_the_same_way_each_time() {
    let run = || {
        let (sandbox, mut twin) = troubled(ShadowFault::always(ShadowTrouble::Shuffle(7)));
        (0..20).for_each(|n| {
            sandbox.shadow("t").desire(json!({ "a": n }));
        });
        sandbox.publish(&format!("{CLASSIC}/get/accepted"), b"{\"end\":1}", 1);
        let mut heard = Vec::new();
        loop {
            let (end, content) = twin.hears();
            if content.get("end").is_some() {
                return heard;
            }
            heard.push((end, content["version"].clone()));
        }
    };
    let heard = run();
    let of = |version: u64| {
        let version = json!(version);
        let ends = heard
            .iter()
            .filter(|(end, told)| *told == version || end.ends_with("documents"));
        ends.map(|(end, _)| end.as_str()).collect::<Vec<_>>()
    };
    assert!(heard.len() > 60, "some came twice");
    assert!((1..=20).any(|version| of(version).first() == Some(&"update/delta")));
    assert_eq!(run(), heard);
}

#[test]
fn old_deltas_come_again() {
    let sandbox = sandbox();
    let shadow = sandbox.shadow("t");
    shadow.fault(ShadowFault::once(ShadowTrouble::StaleDelta(1)));
    let mut twin = twin(&sandbox, Version::V5, CLASSIC);
    shadow.desire(json!({ "a": 1 }));
    twin.hears_in_turn(&["update/accepted", "update/delta", "update/documents"]);
    twin.ask("update", r#"{"state":{"reported":{"a":1}}}"#);
    let heard = twin.hears_in_turn(&["update/accepted", "update/documents", "update/delta"]);
    assert_eq!(
        (&heard[2]["version"], &heard[2]["state"]),
        (&json!(1), &json!({ "a": 1 }))
    );

    assert!(shadow.replay_delta(1));
    assert_eq!(twin.hears_in_turn(&["update/delta"])[0]["version"], 1);
    assert!(
        !shadow.replay_delta(2),
        "the second update left nothing to do"
    );
    let kinds: Vec<ShadowKind> = shadow_events(&sandbox)
        .iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == ShadowKind::StaleDelta)
            .count(),
        2
    );
}

#[test]
fn a_fault_of_one_shadow_is_not_another_s() {
    let sandbox = sandbox();
    sandbox
        .named_shadow("t", "s")
        .fault(ShadowFault::always(ShadowTrouble::Ignore));
    let mut twin = twin(&sandbox, Version::V311, CLASSIC);
    twin.device
        .publish(&format!("{NAMED}/update"), REPORT.as_bytes(), 0);
    twin.ask("update", REPORT);
    twin.hears_in_turn(&["update/accepted", "update/documents"]);
    assert_eq!(sandbox.named_shadow("t", "s").version(), None);
}
