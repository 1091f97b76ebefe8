use super::*;
use crate::shadow::cloud::topics::Channel;
use crate::shadow::effect::DesiredAnswer;
use crate::shadow::effect::{Report, Scope};
use crate::spool::Name;
use serde_json::Map;
use std::ffi::OsStr;

fn start() -> Instant {
    Instant::now()
}

/// A conversation, with words for what happens in it.
struct Talk {
    thing: Conversation,
    now: Instant,
}

impl Talk {
    /// Connected, nothing asked yet.
    fn new() -> Talk {
        let mut thing = Conversation::new("us", false);
        let now = start();
        thing.connected(now);
        Talk { thing, now }
    }

    /// Connected, and this document was fetched.
    fn knowing(version: u64, state: Value) -> Talk {
        let mut talk = Talk::new();
        talk.answer_get(version, state);
        talk
    }

    fn next(&mut self) -> Option<Action> {
        self.thing.next(self.now)
    }

    #[track_caller]
    fn get(&mut self) -> String {
        match self.next() {
            Some(Action::Get(request)) => {
                self.thing.taken(&token(&request), self.now);
                token(&request)
            }
            other => panic!("not a get: {other:?}"),
        }
    }

    #[track_caller]
    fn update(&mut self) -> Value {
        match self.next() {
            Some(Action::Update(request)) => {
                self.thing.taken(&token(&request), self.now);
                request
            }
            other => panic!("not an update: {other:?}"),
        }
    }

    fn hear(&mut self, channel: Channel, message: Value) -> Vec<ConversationEvent> {
        let payload = message.to_string();
        let services = std::iter::empty();
        self.thing
            .received(channel, payload.as_bytes(), services, self.now, 1.0)
            .0
    }

    #[track_caller]
    fn answer_get(&mut self, version: u64, state: Value) -> Vec<ConversationEvent> {
        let token = self.get();
        let answer = json!({"state": state, "version": version, "clientToken": token});
        self.hear(Channel::GetAccepted, answer)
    }

    fn accept(&mut self, request: &Value, version: u64) -> Vec<ConversationEvent> {
        let echo = json!({"state": request["state"], "version": version, "clientToken": request["clientToken"]});
        self.hear(Channel::UpdateAccepted, echo)
    }

    fn reject(&mut self, request: &Value, code: i64) -> Vec<ConversationEvent> {
        let answer = json!({"code": code, "message": "no", "clientToken": request["clientToken"]});
        self.hear(Channel::UpdateRejected, answer)
    }

    fn delta(&mut self, version: u64, state: Value) -> Vec<ConversationEvent> {
        self.hear(Channel::Delta, json!({"version": version, "state": state}))
    }

    fn others(&mut self, version: u64, state: Value) -> Vec<ConversationEvent> {
        let echo = json!({"state": state, "version": version, "clientToken": "them-1"});
        self.hear(Channel::UpdateAccepted, echo)
    }

    /// The service answers the desired value that is there with this configuration.
    fn answer_desired(&mut self, key: &str, config: Value) {
        let view = self.thing.view().unwrap();
        let (version, desired) = (view.version(), view.desired().get(key).cloned());
        let outbox = &mut self.thing.outbox;
        outbox.report(key, report(config));
        if let Some(desired) = desired {
            let version = version.unwrap_or_default();
            outbox
                .desired
                .answer(key, &desired, version, DesiredAnswer::InForce);
        }
    }

    /// The same for a command.
    fn answer_command(&mut self, key: &str) {
        let view = self.thing.view().unwrap();
        let (version, desired) = (view.version().unwrap(), view.desired()[key].clone());
        let answer = DesiredAnswer::Command(Some(desired.clone()));
        self.thing
            .outbox
            .desired
            .answer(key, &desired, version, answer);
    }

    fn pass(&mut self, seconds: u64) -> Option<ConversationEvent> {
        self.now += Duration::from_secs(seconds);
        self.thing.overdue(self.now, 1.0)
    }
}

fn report(config: Value) -> Report {
    Report {
        config,
        scope: Scope::Everything,
    }
}

fn token(request: &Value) -> String {
    request["clientToken"].as_str().unwrap().to_owned()
}

fn file(name: &str) -> FileId {
    FileId {
        dir: 0,
        name: Name::new(OsStr::new(name)),
    }
}

#[test]
fn the_document_is_fetched_first_and_nothing_else_is_asked_meanwhile() {
    let mut talk = Talk::new();
    talk.thing.outbox.patch(file("k"), "k", json!({"a": 1}));
    let first = talk.get();
    assert_eq!(talk.next(), None, "one request at a time");
    assert!(first.starts_with("us-"));
}

#[test]
fn nothing_is_asked_without_a_connection() {
    let mut thing = Conversation::new("us", false);
    assert_eq!(thing.next(start()), None);
    assert_eq!(thing.deadline(), None);
}

#[test]
fn a_message_comes_with_what_the_services_are_to_do() {
    let mut talk = Talk::new();
    let mut targets = |channel, message: Value| {
        let payload = message.to_string();
        let services = ["net", "ntp"].into_iter();
        let heard = talk
            .thing
            .received(channel, payload.as_bytes(), services, talk.now, 1.0);
        talk.thing.next(talk.now);
        heard
            .1
            .into_iter()
            .map(|it| (it.key, it.unanswered))
            .collect::<Vec<_>>()
    };
    let nothing = json!({"version": 2, "state": {"other": 1}});
    assert_eq!(targets(Channel::Delta, nothing), [], "before the document");
    let document = json!({"version": 3, "state": {"desired": {"net": 1}}, "clientToken": "us-1"});
    assert_eq!(
        targets(Channel::GetAccepted, document),
        [("net".into(), Some(json!(1))), ("ntp".into(), None)],
        "every service, when the whole document is known"
    );
    let delta = json!({"version": 4, "state": {"ntp": 2, "other": 3}});
    assert_eq!(
        targets(Channel::Delta, delta),
        [
            ("net".into(), Some(json!(1))),
            ("ntp".into(), Some(json!(2)))
        ][1..],
    );
}

#[test]
fn an_answered_desired_value_is_reported_and_cleared_with_the_version_it_answers() {
    let mut talk = Talk::knowing(7, json!({"desired": {"net": {"a": 1}, "theirs": {"x": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    assert_eq!(
        request["state"],
        json!({"reported": {"net": {"a": 1}}, "desired": {"net": null}})
    );
    assert_eq!(request["version"], json!(7));
    assert_eq!(
        talk.accept(&request, 8),
        [ConversationEvent::Settled(vec![])]
    );
    assert_eq!(talk.next(), None, "all is said; what is not ours stays");
    assert_eq!(talk.thing.view().unwrap().version(), Some(8));
    assert!(talk.thing.view().unwrap().desired().contains_key("theirs"));
}

#[test]
fn a_rejected_desired_value_is_cleared_without_a_report() {
    let mut talk = Talk::knowing(
        3,
        json!({"desired": {"net": {"a": 2}}, "reported": {"net": {"a": 1}}}),
    );
    talk.answer_desired("net", json!({"a": 1}));
    assert_eq!(talk.update()["state"], json!({"desired": {"net": null}}));
}

#[test]
fn a_newer_desired_value_is_not_wiped() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    assert_eq!(
        talk.delta(4, json!({"net": {"a": 2}})),
        [ConversationEvent::DesiredChanged]
    );
    let request = talk.update();
    assert_eq!(
        request["state"],
        json!({"reported": {"net": {"a": 1}}}),
        "the old answer clears nothing"
    );
    talk.accept(&request, 5);
    talk.answer_desired("net", json!({"a": 2}));
    assert_eq!(talk.update()["state"]["desired"], json!({"net": null}));
}

#[test]
fn a_delta_behind_our_update_outlives_its_answer() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    // The cloud accepted ours as 4, then somebody desired it again; the delta overtakes the answer.
    assert_eq!(
        talk.delta(5, json!({"net": {"a": 2}})),
        [ConversationEvent::DesiredChanged]
    );
    talk.accept(&request, 4);
    let view = talk.thing.view().unwrap();
    assert_eq!(
        (view.version(), &view.desired()["net"]),
        (Some(5), &json!({"a": 2}))
    );
}

#[test]
fn a_conflict_looks_again_before_anything_is_sent() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    assert_eq!(talk.reject(&request, 409), []);
    let news = talk.answer_get(9, json!({"desired": {"net": {"a": 2}}}));
    assert_eq!(news, [ConversationEvent::Document]);
    talk.answer_desired("net", json!({"a": 2}));
    assert_eq!(talk.update()["version"], json!(9));
}

#[test]
fn conflicts_in_a_row_slow_down_and_a_plain_report_gets_through_without_version() {
    let mut talk = Talk::knowing(3, json!({}));
    talk.answer_desired("net", json!({"a": 1}));
    for version in 4..7 {
        let request = talk.update();
        assert!(request.get("version").is_some());
        talk.reject(&request, 409);
        talk.pass(20);
        talk.answer_get(version, json!({}));
        talk.answer_desired("net", json!({"a": 1}));
    }
    assert_eq!(talk.update().get("version"), None);
}

#[test]
fn a_missing_shadow_is_reported_and_then_made() {
    let mut talk = Talk::new();
    let token = talk.get();
    let answer = json!({"code": 404, "message": "none", "clientToken": token});
    assert_eq!(
        talk.hear(Channel::GetRejected, answer),
        [ConversationEvent::Missing]
    );
    assert_eq!(talk.next(), None, "nothing to say, nothing is made");
    talk.thing.outbox.seed(Map::new());
    let request = talk.update();
    assert_eq!(request["state"], json!({"reported": {}}));
    assert_eq!(request.get("version"), None);
    talk.accept(&request, 1);
    assert_eq!(talk.next(), None);
}

#[test]
fn silence_asks_again_with_growing_pauses() {
    let mut talk = Talk::new();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        talk.get();
        match talk.pass(10) {
            Some(ConversationEvent::Retry { pause, .. }) => pauses.push(pause.as_secs()),
            other => panic!("{other:?}"),
        }
        assert_eq!(talk.next(), None, "it rests");
        assert_eq!(talk.pass(128), None);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 128]);
}

#[test]
fn what_became_of_an_unanswered_update_is_looked_up() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_command("net");
    talk.update();
    talk.pass(10);
    talk.pass(1);
    let news = talk.answer_get(4, json!({}));
    let orders = vec![("net".to_owned(), json!({"a": 1}))];
    assert_eq!(
        news,
        [
            ConversationEvent::OneShots(orders),
            ConversationEvent::Document
        ]
    );
    assert_eq!(talk.next(), None, "it had been accepted");
}

#[test]
fn what_a_document_shows_of_a_clearing_is_not_hidden_by_a_newer_delta() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_command("net");
    talk.update();
    talk.pass(10);
    talk.pass(1);
    let token = talk.get();
    talk.delta(5, json!({"net": {"b": 1}}));
    let document = json!({"state": {}, "version": 4, "clientToken": token});
    let news = talk.hear(Channel::GetAccepted, document);
    let orders = vec![("net".to_owned(), json!({"a": 1}))];
    assert_eq!(
        news,
        [
            ConversationEvent::OneShots(orders),
            ConversationEvent::Document
        ]
    );
    let desired = talk.thing.view().unwrap().desired().get("net");
    let answers = &talk.thing.outbox.desired;
    assert_eq!(answers.fresh("net", desired), Some(json!({"b": 1})));
}

#[test]
fn an_answer_that_comes_too_late_is_an_echo_like_any_other() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_command("net");
    let request = talk.update();
    talk.pass(10);
    talk.pass(1);
    let orders = vec![("net".to_owned(), json!({"a": 1}))];
    assert_eq!(
        talk.accept(&request, 4),
        [
            ConversationEvent::OneShots(orders),
            ConversationEvent::DesiredChanged
        ]
    );
    assert_eq!(
        talk.answer_get(4, json!({})),
        [ConversationEvent::Document],
        "once"
    );
}

#[test]
fn throttling_and_faults_of_the_cloud_are_tried_again() {
    for code in [429, 500, 403, 415] {
        let mut talk = Talk::knowing(3, json!({}));
        talk.thing.outbox.patch(file("k"), "k", json!({"a": 1}));
        let request = talk.update();
        let news = talk.reject(&request, code);
        assert!(
            matches!(news[..], [ConversationEvent::Retry { .. }]),
            "{code}: {news:?}"
        );
        assert_eq!(talk.next(), None);
        talk.pass(1);
        talk.answer_get(3, json!({}));
        assert_eq!(talk.update()["state"], request["state"]);
    }
}

#[test]
fn a_lost_connection_fetches_anew_and_sends_what_is_still_true() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    talk.thing.disconnected();
    assert_eq!(talk.next(), None);
    talk.thing.connected(talk.now);
    assert_eq!(
        talk.accept(&request, 4),
        [ConversationEvent::DesiredChanged],
        "an answer of another time settles nothing"
    );
    talk.answer_get(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    assert_eq!(talk.update()["state"], request["state"]);
}

#[test]
fn connections_that_break_on_every_request_are_given_time_for_others() {
    let mut talk = Talk::new();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let rests = talk.thing.next(talk.now).is_none();
        if rests {
            let until = talk.thing.deadline().unwrap();
            waits.push((until - talk.now).as_secs());
            talk.now = until;
            talk.thing.overdue(until, 1.0);
            talk.get();
        } else {
            waits.push(0);
        }
        talk.thing.disconnected();
        talk.thing.connected(talk.now);
    }
    assert_eq!(waits, [0, 0, 1, 2, 4, 8]);
}

#[test]
fn foreign_and_malformed_answers_settle_nothing() {
    let mut talk = Talk::new();
    let ours = talk.get();
    for message in [
        json!({"state": {}, "version": 3, "clientToken": "them-9"}),
        json!({"state": {}, "version": 3}),
    ] {
        assert_eq!(talk.hear(Channel::GetAccepted, message), []);
    }
    for nonsense in [
        json!({"state": {}, "clientToken": ours}),
        json!({"state": [], "version": 3, "clientToken": ours}),
        json!({"state": {"desired": 5}, "version": 3, "clientToken": ours}),
        json!("text"),
    ] {
        let news = talk.hear(Channel::GetAccepted, nonsense);
        assert!(
            matches!(news[..], [ConversationEvent::Malformed(_)]),
            "{news:?}"
        );
    }
    assert!(talk.thing.view().is_none());
    assert!(
        matches!(talk.pass(10), Some(ConversationEvent::Retry { .. })),
        "it counts as silence"
    );
}

#[test]
fn deltas_count_once_and_in_the_order_of_their_versions() {
    let mut talk = Talk::knowing(3, json!({}));
    assert_eq!(
        talk.delta(5, json!({"net": {"a": 2}})),
        [ConversationEvent::DesiredChanged]
    );
    assert_eq!(talk.delta(5, json!({"net": {"a": 2}})), [], "twice");
    assert_eq!(talk.delta(4, json!({"net": {"a": 1}})), [], "too late");
    assert_eq!(talk.thing.view().unwrap().desired()["net"], json!({"a": 2}));
}

#[test]
fn an_old_delta_makes_us_look_again_once_a_minute() {
    let mut talk = Talk::knowing(30, json!({}));
    talk.delta(2, json!({"net": {"a": 1}}));
    talk.pass(1);
    talk.answer_get(2, json!({"desired": {"net": {"a": 1}}}));
    assert_eq!(
        talk.thing.view().unwrap().version(),
        Some(2),
        "it was made anew"
    );
    talk.delta(1, json!({}));
    assert_eq!(talk.next(), None);
    talk.now += LOOK_AGAIN;
    talk.delta(1, json!({}));
    talk.get();
}

#[test]
fn a_desired_value_that_equals_what_is_reported_is_noticed_without_a_delta() {
    let mut talk = Talk::knowing(3, json!({"reported": {"net": {"a": 1}}}));
    let news = talk.others(4, json!({"desired": {"net": {"a": 1}}}));
    assert_eq!(news, [ConversationEvent::DesiredChanged]);
    talk.answer_desired("net", json!({"a": 1}));
    assert_eq!(talk.update()["state"], json!({"desired": {"net": null}}));
}

#[test]
fn echo_and_delta_of_one_update_may_come_in_any_order() {
    for delta_first in [true, false] {
        let mut talk = Talk::knowing(3, json!({"reported": {"b": 1}}));
        if delta_first {
            assert_eq!(
                talk.delta(4, json!({"a": 1})),
                [ConversationEvent::DesiredChanged]
            );
            assert_eq!(
                talk.others(4, json!({"desired": {"a": 1, "b": 1}})),
                [ConversationEvent::DesiredChanged]
            );
        } else {
            assert_eq!(
                talk.others(4, json!({"desired": {"a": 1, "b": 1}})),
                [ConversationEvent::DesiredChanged]
            );
            assert_eq!(talk.delta(4, json!({"a": 1})), []);
        }
        assert_eq!(talk.next(), None);
        assert_eq!(
            Value::Object(talk.thing.view().unwrap().desired().clone()),
            json!({"a": 1, "b": 1})
        );
    }
}

#[test]
fn missing_echoes_are_made_up_for_by_a_fetch() {
    let mut talk = Talk::knowing(3, json!({}));
    assert_eq!(talk.others(7, json!({"desired": {"net": {"a": 1}}})), []);
    assert_eq!(talk.next(), None, "not within a second of the last fetch");
    let due = talk.thing.deadline().unwrap();
    assert_eq!(due, talk.now + Duration::from_secs(1));
    talk.pass(1);
    talk.answer_get(7, json!({"desired": {"net": {"a": 1}}}));
}

#[test]
fn a_delta_that_overtakes_the_document_is_not_lost() {
    let mut talk = Talk::new();
    let token = talk.get();
    talk.delta(8, json!({"net": {"a": 2}}));
    let answer =
        json!({"state": {"desired": {"net": {"a": 1}}}, "version": 7, "clientToken": token});
    assert_eq!(
        talk.hear(Channel::GetAccepted, answer),
        [ConversationEvent::Document]
    );
    let view = talk.thing.view().unwrap();
    assert_eq!(
        (view.version(), &view.desired()["net"]),
        (Some(8), &json!({"a": 2}))
    );
}

#[test]
fn of_several_files_only_the_one_to_blame_is_given_up() {
    let mut talk = Talk::knowing(3, json!({}));
    for name in ["1", "2", "3"] {
        talk.thing
            .outbox
            .patch(file(name), name, json!({"from": name}));
    }
    let request = talk.update();
    assert_eq!(request["state"]["reported"].as_object().unwrap().len(), 3);
    assert_eq!(talk.reject(&request, 413), []);
    let (mut version, mut settled, mut given_up) = (3, Vec::new(), Vec::new());
    while let Some(Action::Update(request)) = talk.next() {
        assert_eq!(request["state"]["reported"].as_object().unwrap().len(), 1);
        let news = if request["state"]["reported"].get("2").is_some() {
            talk.reject(&request, 413)
        } else {
            version += 1;
            talk.accept(&request, version)
        };
        for news in news {
            match news {
                ConversationEvent::Settled(files) => settled.extend(files),
                ConversationEvent::GivenUp { what, .. } => given_up.extend(what.files),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(
        (settled, given_up),
        (vec![file("1"), file("3")], vec![file("2")])
    );
}

#[test]
fn a_configuration_that_the_cloud_does_not_take_still_clears_its_desired_value() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    talk.thing.outbox.taken_up(file("net"), "net", None);
    let request = talk.update();
    match &talk.reject(&request, 413)[..] {
        [ConversationEvent::GivenUp { what, .. }] => {
            assert_eq!(
                (&what.files[..], &what.keys[..]),
                (&[file("net")][..], &["net".to_owned()][..])
            );
        }
        other => panic!("{other:?}"),
    }
    let request = talk.update();
    assert_eq!(request["state"], json!({"desired": {"net": null}}));
    talk.reject(&request, 400);
    assert_eq!(
        talk.next(),
        None,
        "and if even that is refused, there is an end to it"
    );
}

#[test]
fn updates_alone_are_sent_without_ever_fetching() {
    let mut thing = Conversation::new("us", true);
    thing.connected(start());
    let mut talk = Talk {
        thing,
        now: start(),
    };
    talk.thing
        .outbox
        .patch(file("k.1"), "k", json!({"a": 1, "b": null}));
    talk.thing.outbox.patch(file("k.2"), "k", json!({"b": 2}));
    let request = talk.update();
    assert_eq!(
        request["state"],
        json!({"reported": {"k": {"a": 1, "b": 2}}})
    );
    assert_eq!(request.get("version"), None);
    assert_eq!(
        talk.accept(&request, 5),
        [ConversationEvent::Settled(vec![file("k.1"), file("k.2")])]
    );
    talk.thing.outbox.patch(file("k.3"), "k", json!({"b": 3}));
    assert_eq!(talk.update().get("version"), None);
}

#[test]
fn files_that_one_patch_cannot_say_travel_one_after_the_other() {
    let mut talk = Talk::knowing(3, json!({}));
    talk.thing.outbox.patch(file("k.1"), "k", Value::Null);
    talk.thing.outbox.patch(file("k.2"), "k", json!({"b": 2}));
    let request = talk.update();
    assert_eq!(request["state"], json!({"reported": {"k": null}}));
    talk.accept(&request, 4);
    assert_eq!(talk.update()["state"], json!({"reported": {"k": {"b": 2}}}));
}

#[test]
fn a_file_whose_contents_the_cloud_has_is_settled_without_a_word() {
    let mut talk = Talk::knowing(3, json!({"reported": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    talk.thing.outbox.taken_up(file("net"), "net", None);
    assert_eq!(talk.next(), Some(Action::Settled(vec![file("net")])));
    assert_eq!(talk.next(), None);
}

#[test]
fn members_outside_its_keys_are_left_alone() {
    let mut talk = Talk::knowing(
        3,
        json!({"reported": {"net": {"a": 1, "rssi": -70, "b": 5}}}),
    );
    let scope = Scope::These(vec!["a".into(), "b".into()]);
    for (config, expect) in [
        (json!({"a": 2, "b": 5, "noise": 1}), json!({"a": 2})),
        (json!({"a": 1}), json!({"b": null})),
        (Value::Null, json!({"a": null, "b": null})),
    ] {
        let report = Report {
            config,
            scope: scope.clone(),
        };
        talk.thing.outbox.report("net", report);
        let update = talk
            .thing
            .outbox
            .next(talk.thing.view().unwrap(), true)
            .unwrap();
        assert_eq!(update.sections(), json!({"reported": {"net": expect}}));
    }
}

#[test]
fn updates_that_keep_failing_slow_down_although_fetches_succeed() {
    let mut talk = Talk::knowing(3, json!({}));
    talk.thing.outbox.patch(file("k"), "k", json!({"a": 1}));
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let request = talk.update();
        match &talk.reject(&request, 500)[..] {
            [ConversationEvent::Retry { pause, .. }] => pauses.push(pause.as_secs()),
            other => panic!("{other:?}"),
        }
        talk.pass(128);
        talk.answer_get(3, json!({}));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16]);
    let request = talk.update();
    talk.accept(&request, 4);
    assert_eq!(talk.next(), None);
    talk.thing.outbox.patch(file("l"), "l", json!(1));
    let request = talk.update();
    let news = talk.reject(&request, 500);
    assert!(
        matches!(&news[..], [ConversationEvent::Retry { pause, .. }] if pause.as_secs() == 1),
        "afresh"
    );
}

#[test]
fn a_configuration_that_no_message_can_hold_stops_nobody() {
    let mut talk = Talk::knowing(3, json!({"desired": {"big": {"x": 1}}}));
    talk.answer_desired("big", json!({"text": "x".repeat(200_000)}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    assert_eq!(
        request["state"],
        json!({"desired": {"big": null}, "reported": {"net": {"a": 1}}})
    );
}

#[test]
fn many_reports_travel_in_several_updates() {
    let mut talk = Talk::knowing(3, json!({}));
    for number in 0..10 {
        talk.answer_desired(&format!("k{number}"), json!({"text": "x".repeat(3000)}));
    }
    let mut sizes = Vec::new();
    let mut version = 3;
    while let Some(Action::Update(request)) = talk.next() {
        sizes.push(request["state"]["reported"].as_object().unwrap().len());
        version += 1;
        talk.accept(&request, version);
    }
    assert_eq!(sizes, [3, 3, 3, 1]);
}

#[test]
fn an_update_that_is_refused_again_and_again_slows_down() {
    let mut talk = Talk::knowing(3, json!({}));
    talk.thing.outbox.patch(file("k"), "k", json!({"a": 1}));
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let request = talk.update();
        match &talk.reject(&request, 429)[..] {
            [ConversationEvent::Retry { pause, .. }] => pauses.push(pause.as_secs()),
            other => panic!("{other:?}"),
        }
        talk.pass(128);
        talk.answer_get(3, json!({}));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16]);
}

#[test]
fn connections_that_are_shorter_than_the_rest_do_not_silence_it_for_ever() {
    let mut talk = Talk::new();
    talk.thing.disconnected();
    for _ in 0..10 {
        talk.thing.connected(talk.now);
        talk.now += Duration::from_secs(200);
        talk.thing.overdue(talk.now, 1.0);
        talk.get();
        talk.thing.disconnected();
    }
    // From now on connections live for 100 s each, and none is lost with a request under way.
    let mut asked = 0;
    for _ in 0..100 {
        talk.thing.connected(talk.now);
        for _ in 0..100 {
            talk.now += Duration::from_secs(1);
            talk.thing.overdue(talk.now, 1.0);
            if talk.next().is_some() {
                asked += 1;
                break;
            }
        }
        if asked > 0 {
            break;
        }
        talk.thing.disconnected();
    }
    assert!(
        asked > 0,
        "nothing was asked in 100 connections of 100 s each"
    );
}

#[test]
fn an_answer_that_takes_longer_than_the_patience_is_used() {
    let mut talk = Talk::new();
    let mut late = Vec::new();
    // Every answer takes 12 s.
    for _ in 0..20 {
        let token = talk.get();
        late.push(token);
        talk.pass(10);
        talk.pass(2);
        let token = late.pop().unwrap();
        let news = talk.hear(
            Channel::GetAccepted,
            json!({"state": {}, "version": 3, "clientToken": token}),
        );
        if news == [ConversationEvent::Document] {
            return;
        }
        talk.pass(128);
    }
    panic!("20 documents came, none was used");
}

#[test]
fn a_refused_configuration_is_offered_again_after_a_fetch() {
    let mut talk = Talk::knowing(3, json!({}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    talk.reject(&request, 413);
    assert_eq!(talk.next(), None);
    for version in 4..8 {
        talk.thing.start_afresh();
        talk.pass(1);
        talk.answer_get(version, json!({}));
        talk.answer_desired("net", json!({"a": 1}));
        if talk.next().is_some() {
            return;
        }
    }
    panic!("never reported again");
}

#[test]
fn what_others_write_into_reported_is_left_until_the_next_fetch() {
    let ours = json!({"reported": {"net": {"a": 1}}});
    for theirs in [
        json!({"reported": {"net": {"a": 2}}}),
        json!({"reported": {"net": null}}),
        json!({"reported": null}),
    ] {
        let mut talk = Talk::knowing(3, ours.clone());
        talk.answer_desired("net", json!({"a": 1}));
        assert_eq!(talk.next(), None);
        talk.others(4, theirs.clone());
        talk.pass(100);
        assert_eq!(talk.next(), None, "{theirs}");
        talk.thing.start_afresh();
        talk.answer_get(4, theirs);
        talk.answer_desired("net", json!({"a": 1}));
        talk.update();
    }
}

/// Counts what is asked in an hour with somebody who answers each update of ours with another one,
/// which we do not receive in order, so that we fetch.
fn an_hour_with(mut undo: impl FnMut(&mut Talk, u64)) -> (usize, usize, usize) {
    let mut talk = Talk::knowing(3, json!({"reported": {"net": {"a": 2}}}));
    talk.answer_desired("net", json!({"a": 1}));
    let (mut version, mut updates, mut fetches, mut told) = (3, 0, 0, 0);
    let end = talk.now + Duration::from_secs(3600);
    while talk.now < end {
        match talk.next() {
            Some(Action::Update(request)) => {
                updates += 1;
                version += 2;
                talk.accept(&request, version - 1);
                undo(&mut talk, version);
            }
            Some(Action::Get(request)) => {
                fetches += 1;
                let answer = json!({
                    "state": {"reported": {"net": {"a": 2}}, "desired": talk.thing.view().map(|it| it.desired().clone())},
                    "version": version, "clientToken": request["clientToken"],
                });
                talk.hear(Channel::GetAccepted, answer);
                talk.answer_desired("net", json!({"a": 1}));
            }
            Some(Action::Undone { .. }) => told += 1,
            Some(other) => panic!("{other:?}"),
            None => match talk.thing.deadline() {
                Some(deadline) => {
                    assert!(deadline > talk.now, "no timer is due already");
                    talk.now = deadline;
                    talk.thing.overdue(talk.now, 1.0);
                }
                None => break,
            },
        }
    }
    (updates, fetches, told)
}

#[test]
fn somebody_who_undoes_our_reports_makes_them_rarer_and_is_reported_once() {
    let (updates, fetches, told) = an_hour_with(|talk, version| {
        talk.others(version + 10, json!({"reported": {"net": {"a": 2}}}));
    });
    assert!((5..15).contains(&updates), "{updates} updates");
    assert!((5..15).contains(&fetches), "{fetches} fetches");
    assert_eq!(told, 1);
}

#[test]
fn somebody_who_desires_again_what_is_in_force_makes_its_clearing_rarer() {
    let (updates, _, told) = an_hour_with(|talk, version| {
        talk.delta(version, json!({"net": {"a": 1}}));
        talk.answer_desired("net", json!({"a": 1}));
    });
    assert!((5..20).contains(&updates), "{updates} updates");
    assert_eq!(told, 1);
}

#[test]
fn a_storm_of_orders_to_fetch_is_one_fetch_a_second() {
    let mut talk = Talk::knowing(3, json!({}));
    let mut fetches = 0;
    for _ in 0..4000 {
        talk.now += Duration::from_millis(1);
        talk.thing.start_afresh();
        if let Some(Action::Get(request)) = talk.next() {
            fetches += 1;
            let answer = json!({"state": {}, "version": 3, "clientToken": request["clientToken"]});
            talk.hear(Channel::GetAccepted, answer);
        }
    }
    assert_eq!(fetches, 4);
}

#[test]
fn an_update_file_goes_out_between_fetches_that_are_ordered_all_the_time() {
    let mut talk = Talk::knowing(3, json!({}));
    talk.thing.start_afresh();
    talk.thing.outbox.patch(file("k"), "k", json!({"a": 1}));
    talk.update();
}

#[test]
fn a_change_of_ours_is_reported_at_once_however_often_others_undo_it() {
    let mut talk = Talk::knowing(3, json!({"reported": {"net": {"a": 2}}}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    talk.accept(&request, 4);
    talk.thing.start_afresh();
    talk.pass(1);
    talk.answer_get(5, json!({"reported": {"net": {"a": 2}}}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    talk.accept(&request, 6);
    talk.answer_desired("net", json!({"a": 3}));
    assert_eq!(
        talk.update()["state"],
        json!({"reported": {"net": {"a": 3}}})
    );
}

#[test]
fn a_desired_value_that_is_no_longer_different_is_still_answered() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    // Somebody reports it for us, so no later delta mentions it. An update file comes.
    talk.delta(4, json!({"theirs": 1}));
    talk.answer_desired("net", json!({"a": 2}));
    talk.pass(1);
    talk.thing.start_afresh();
    talk.answer_get(4, json!({"desired": {"net": {"a": 1}, "theirs": 1}}));
    let desired = json!({"a": 1});
    let answers = &talk.thing.outbox.desired;
    assert_eq!(answers.fresh("net", Some(&desired)), None);
}

#[test]
fn a_deleted_shadow_is_forgotten_and_fetched() {
    let mut talk = Talk::knowing(7, json!({"reported": {"net": {"a": 1}}}));
    talk.answer_desired("net", json!({"a": 1}));
    assert_eq!(talk.next(), None);
    assert_eq!(
        talk.hear(Channel::DeleteAccepted, json!({"version": 7})),
        []
    );
    assert!(talk.thing.view().is_none());
    talk.pass(1);
    talk.answer_get(7, json!({"desired": {"net": {"b": 2}}}));
    talk.answer_desired("net", json!({"a": 1, "b": 2}));
    let state = json!({"reported": {"net": {"a": 1, "b": 2}}, "desired": {"net": null}});
    assert_eq!(talk.update()["state"], state);
}

#[test]
fn a_missing_shadow_is_made_by_an_update_file_and_not_by_a_report() {
    let mut talk = Talk::new();
    let token = talk.get();
    let answer = json!({"code": 404, "message": "none", "clientToken": token});
    talk.hear(Channel::GetRejected, answer);
    talk.answer_desired("net", json!({"a": 1}));
    assert_eq!(talk.next(), None);
    talk.thing.outbox.patch(file("k"), "k", json!({"b": 1}));
    let state = json!({"reported": {"net": {"a": 1}, "k": {"b": 1}}});
    assert_eq!(talk.update()["state"], state);
}

#[test]
fn a_shadow_that_somebody_makes_is_fetched() {
    for is_delta in [true, false] {
        let mut talk = Talk::new();
        let token = talk.get();
        let answer = json!({"code": 404, "message": "none", "clientToken": token});
        talk.hear(Channel::GetRejected, answer);
        talk.answer_desired("net", json!({"a": 1}));
        if is_delta {
            talk.delta(1, json!({"theirs": 1}));
        } else {
            talk.others(1, json!({"desired": {"theirs": 1}}));
        }
        talk.pass(1);
        talk.answer_get(1, json!({"desired": {"theirs": 1}}));
        talk.update();
    }
}

#[test]
fn a_report_that_is_too_large_beside_its_desired_value_travels_with_the_clearing() {
    let desired = json!({"text": "x".repeat(5000)});
    let mut talk = Talk::knowing(3, json!({"desired": {"net": desired}}));
    for version in 4..7 {
        talk.answer_desired("net", desired.clone());
        let request = talk.update();
        talk.reject(&request, 409);
        talk.pass(200);
        talk.answer_get(version, json!({"desired": {"net": desired}}));
    }
    talk.answer_desired("net", desired.clone());
    let request = talk.update();
    assert_eq!(request["state"].get("desired"), None, "the shadow is busy");
    assert_eq!(talk.reject(&request, 413), []);
    let request = talk.update();
    let state = json!({"reported": {"net": desired}, "desired": {"net": null}});
    assert_eq!(
        (&request["state"], &request["version"]),
        (&state, &json!(6))
    );
}

/// Lets the cloud answer like this until it has nothing to answer for a while; gives what was settled
/// and what was given up.
fn settle_with(
    talk: &mut Talk,
    mut answer: impl FnMut(&mut Talk, &Value) -> Option<Vec<ConversationEvent>>,
) -> (Vec<FileId>, Vec<FileId>) {
    let (mut settled, mut failed) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let news = match talk.next() {
            Some(Action::Update(request)) => match answer(talk, &request) {
                Some(news) => news,
                None => talk.pass(10).into_iter().collect(),
            },
            Some(Action::Get(request)) => {
                let answer =
                    json!({"state": {}, "version": 3, "clientToken": request["clientToken"]});
                talk.thing.taken(&token(&request), talk.now);
                talk.hear(Channel::GetAccepted, answer)
            }
            Some(other) => panic!("{other:?}"),
            None => talk.pass(128).into_iter().collect(),
        };
        for news in news {
            match news {
                ConversationEvent::Settled(files) => settled.extend(files),
                ConversationEvent::GivenUp { what, .. } => failed.extend(what.files),
                _ => {}
            }
        }
    }
    (settled, failed)
}

fn three_files() -> Talk {
    let mut talk = Talk::knowing(3, json!({}));
    for name in ["1", "2", "3"] {
        let patch = json!({ "from": name });
        talk.thing.outbox.patch(file(name), name, patch);
    }
    talk
}

fn is_about(request: &Value, key: &str) -> bool {
    request["state"]["reported"].get(key).is_some()
}

#[test]
fn an_update_without_any_answer_lets_the_others_pass() {
    let mut talk = three_files();
    let (settled, failed) = settle_with(&mut talk, |talk, request| {
        let silent = is_about(request, "1");
        talk.thing.taken(&token(request), talk.now);
        (!silent).then(|| talk.accept(request, 4))
    });
    assert_eq!((settled, failed), (vec![file("2"), file("3")], vec![]));
}

#[test]
fn an_update_that_is_forbidden_while_others_are_not_is_given_up() {
    let mut talk = three_files();
    let (settled, failed) = settle_with(&mut talk, |talk, request| {
        Some(match is_about(request, "1") {
            true => talk.reject(request, 403),
            false => talk.accept(request, 4),
        })
    });
    let others = vec![file("2"), file("3")];
    assert_eq!((settled, failed), (others, vec![file("1")]));
}

#[test]
fn where_all_updates_are_forbidden_none_is_given_up() {
    let mut talk = three_files();
    let answers = settle_with(&mut talk, |talk, request| Some(talk.reject(request, 403)));
    assert_eq!(answers, (vec![], vec![]));
}

#[test]
fn an_update_that_is_refused_without_a_token_is_given_up_in_the_end() {
    let mut talk = three_files();
    let (settled, failed) = settle_with(&mut talk, |talk, request| {
        if !is_about(request, "1") {
            return Some(talk.accept(request, 4));
        }
        talk.thing.taken(&token(request), talk.now);
        let refusal = json!({"code": 400, "message": "Invalid JSON"});
        talk.hear(Channel::UpdateRejected, refusal);
        None
    });
    let others = vec![file("2"), file("3")];
    assert_eq!((settled, failed), (others, vec![file("1")]));
}

#[test]
fn no_update_is_larger_than_a_message() {
    let mut talk = Talk::knowing(3, json!({}));
    for key in ["a", "b", "c"] {
        talk.answer_desired(key, json!({"text": "x".repeat(50 * 1024)}));
    }
    let request = talk.update();
    assert!(
        request.to_string().len() < 128 * 1024,
        "{}",
        request.to_string().len()
    );
}

#[test]
fn a_pending_default_shadow_is_dropped_when_there_is_a_shadow_now() {
    let mut talk = Talk::new();
    let token = talk.get();
    talk.hear(
        Channel::GetRejected,
        json!({"code": 404, "message": "none", "clientToken": token}),
    );
    talk.thing.outbox.seed(
        [("led".to_owned(), json!({"on": true}))]
            .into_iter()
            .collect(),
    );
    talk.thing.disconnected();
    talk.thing.connected(talk.now);
    talk.answer_get(8, json!({"reported": {"led": {"on": false}}}));
    assert_eq!(talk.next(), None, "somebody has made it meanwhile");
}

#[test]
fn huge_versions_do_no_harm() {
    let mut talk = Talk::knowing(3, json!({}));
    talk.delta(u64::MAX, json!({"net": {"a": 1}}));
    talk.answer_desired("net", json!({"a": 1}));
    let request = talk.update();
    talk.accept(&request, 5);
}

#[test]
fn a_clear_that_conflicts_for_ever_does_not_hold_up_update_files() {
    let mut talk = Talk::knowing(3, json!({"desired": {"net": {"a": 1}}}));
    talk.thing.outbox.patch(file("k"), "k", json!({"a": 1}));
    for version in 4..24 {
        talk.answer_desired("net", json!({"a": 1}));
        let request = talk.update();
        if request.get("version").is_none() {
            return;
        }
        talk.reject(&request, 409);
        talk.pass(200);
        talk.answer_get(version, json!({"desired": {"net": {"a": 1}}}));
    }
    panic!("20 conflicts, and the file still waits for the clearing of a desired value");
}

#[test]
fn an_answer_that_may_have_been_dropped_is_not_waited_for_as_long_as_others() {
    let mut talk = Talk::new();
    talk.get();
    talk.thing.missed(talk.now);
    talk.thing.missed(talk.now + Duration::from_millis(900));
    let until = talk.now + Duration::from_secs(2);
    assert_eq!(talk.thing.deadline(), Some(until));
    assert!(talk.pass(1).is_none(), "it may still come");
    assert!(talk.pass(1).is_some(), "no answer");
    talk.now += Duration::from_secs(10);
    talk.thing.overdue(talk.now, 1.0);
    talk.get();
    let patience = talk.now + Duration::from_secs(10);
    assert_eq!(talk.thing.deadline(), Some(patience), "the next one is");
}
