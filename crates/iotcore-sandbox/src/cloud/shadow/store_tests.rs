//! Versions, deletion, and that a rejected request changes nothing.

use serde_json::json;

use super::*;

const HOUR: u64 = 3600;

/// One shadow and a clock.
struct Bench {
    store: Store,
    name: ShadowName,
    hours: u64,
}

fn bench() -> Bench {
    with(ShadowLimits::default())
}

fn with(limits: ShadowLimits) -> Bench {
    Bench {
        store: Store::new(limits),
        name: ShadowName::new("t", None).expect("a name"),
        hours: 0,
    }
}

impl Bench {
    fn at(&self) -> Duration {
        Duration::from_secs(self.hours * HOUR)
    }

    fn ask(&mut self, request: Value) -> Result<Updated, ShadowRejection> {
        let at = self.at();
        self.store.update(&self.name, &request, at)
    }

    fn update(&mut self, request: Value) -> u64 {
        let accepted = self.ask(request).expect("accepted").accepted;
        accepted["version"].as_u64().expect("a version")
    }

    fn report(&mut self, reported: Value) -> u64 {
        self.update(json!({ "state": { "reported": reported } }))
    }

    fn delete(&mut self) -> u64 {
        let at = self.at();
        let deleted = self.store.delete(&self.name, &json!({}), at);
        deleted.expect("deleted")["version"]
            .as_u64()
            .expect("a version")
    }

    fn code(&mut self, request: Value) -> u16 {
        self.ask(request).expect_err("refused").code
    }

    fn document(&self) -> Value {
        let document = self.store.get(&self.name, &Value::Null, self.at());
        document.expect("there is a shadow")
    }
}

#[test]
fn the_version_rises_with_every_accepted_update_whatever_it_says() {
    let mut bench = bench();
    assert_eq!(bench.report(json!({ "a": 1 })), 1);
    assert_eq!(bench.report(json!({ "a": 1 })), 2);
    assert_eq!(bench.update(json!({ "state": {} })), 3);
    assert_eq!(bench.update(json!({ "state": null })), 4);
    assert_eq!(bench.code(json!({ "state": 1 })), 400);
    assert_eq!(bench.update(json!({ "state": {}, "version": 4 })), 5);
    assert_eq!(bench.code(json!({ "state": {}, "version": 4 })), 409);
    assert_eq!(bench.document()["version"], 5);
}

#[test]
fn an_update_without_state_leaves_an_empty_shadow() {
    let mut bench = bench();
    bench.update(json!({ "state": { "desired": { "a": 1 }, "reported": { "a": 1 } } }));
    bench.update(json!({ "state": null }));
    let empty = json!({ "state": {}, "metadata": {}, "version": 2, "timestamp": 0 });
    assert_eq!(bench.document(), empty);
}

#[test]
fn a_refused_update_changes_nothing() {
    let mut bench = bench();
    bench.report(json!({ "a": "x".repeat(8000) }));
    let before = bench.document();
    let too_much = json!({ "state": { "desired": { "b": "x".repeat(200) } } });
    assert_eq!(
        bench.code(too_much.clone()),
        413,
        "together with what is reported"
    );
    assert_eq!(bench.document(), before);
    bench.report(json!({ "a": null }));
    assert_eq!(bench.update(too_much), 3);
}

#[test]
fn there_is_nothing_before_the_first_update() {
    let check = |shadow: Option<&str>, message: &str| {
        let mut store = Store::new(ShadowLimits::default());
        let name = ShadowName::new("t", shadow).expect("a name");
        let get = store
            .get(&name, &json!({}), Duration::ZERO)
            .expect_err("404");
        assert_eq!((get.code, get.message.as_str()), (404, message));
        let delete = store.delete(&name, &json!({}), Duration::ZERO);
        assert_eq!(delete, Err(get));
    };
    check(None, "No shadow exists with name: 't'");
    check(Some("s"), "No shadow exists with name: 't~s'");
}

#[test]
fn numbering_goes_on_after_a_deletion_for_two_days() {
    for (hours, version) in [(0, 3), (47, 3), (48, 1), (1000, 1)] {
        let mut bench = bench();
        bench.report(json!({ "a": 1 }));
        bench.report(json!({ "a": 2 }));
        bench.hours = 10;
        assert_eq!(bench.delete(), 2);
        bench.hours += hours;
        assert_eq!(
            bench.report(json!({ "b": 1 })),
            version,
            "after {hours} hours"
        );
        assert_eq!(bench.document()["state"], json!({ "reported": { "b": 1 } }));
    }
}

#[test]
fn the_step_after_a_deletion_can_be_two() {
    let mut bench = with(ShadowLimits {
        version_step: 2,
        ..ShadowLimits::default()
    });
    bench.report(json!({ "a": 1 }));
    bench.delete();
    assert_eq!(bench.report(json!({ "a": 1 })), 3);
}

#[test]
fn a_new_shadow_agrees_to_the_next_number_only() {
    let mut bench = bench();
    assert_eq!(bench.code(json!({ "state": {}, "version": 7 })), 409);
    assert_eq!(bench.code(json!({ "state": {}, "version": 0 })), 409);
    assert_eq!(bench.update(json!({ "state": {}, "version": 1 })), 1);
    bench.delete();
    assert_eq!(bench.code(json!({ "state": {}, "version": 1 })), 409);
    assert_eq!(bench.update(json!({ "state": {}, "version": 2 })), 2);
}

#[test]
fn a_delta_comes_with_every_update_that_leaves_one_and_tells_all_of_it() {
    let mut bench = bench();
    let mut delta = |request: Value| {
        let delta = bench
            .ask(json!({ "state": request }))
            .expect("accepted")
            .delta;
        delta.map(|delta| (delta["state"].clone(), delta["version"].as_u64()))
    };
    assert_eq!(delta(json!({ "reported": { "a": 0 } })), None);
    assert_eq!(
        delta(json!({ "desired": { "a": 1 } })),
        Some((json!({ "a": 1 }), Some(2)))
    );
    let both = json!({ "a": 1, "b": 2 });
    assert_eq!(
        delta(json!({ "desired": { "b": 2 } })),
        Some((both.clone(), Some(3)))
    );
    assert_eq!(
        delta(json!({ "reported": { "c": 3 } })),
        Some((both.clone(), Some(4)))
    );
    assert_eq!(delta(json!({})), Some((both, Some(5))));
    assert_eq!(delta(json!({ "reported": { "a": 1, "b": 2.0 } })), None);
}

#[test]
fn shadows_of_one_thing_are_apart() {
    let mut bench = bench();
    bench.report(json!({ "a": 1 }));
    bench.name = ShadowName::new("t", Some("s")).expect("a name");
    assert_eq!(bench.report(json!({ "b": 1 })), 1);
    assert_eq!(bench.document()["state"], json!({ "reported": { "b": 1 } }));
}

#[test]
fn old_stamps_stay_and_new_ones_are_in_seconds() {
    let mut bench = bench();
    bench.hours = 1;
    bench.report(json!({ "a": 1, "b": 1 }));
    bench.hours = 2;
    bench.report(json!({ "b": 2 }));
    let stamps = json!({ "reported": { "a": { "timestamp": 3600 }, "b": { "timestamp": 7200 } } });
    assert_eq!(bench.document()["metadata"], stamps);
}

#[test]
fn a_get_with_a_bad_token_is_refused() {
    let mut bench = bench();
    bench.report(json!({ "a": 1 }));
    let request = json!({ "clientToken": 7 });
    let get = bench.store.get(&bench.name, &request, bench.at());
    assert_eq!(get.expect_err("refused").message, "Invalid clientToken");
}
