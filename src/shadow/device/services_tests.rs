use super::*;
use crate::format::Format;
use crate::shadow::cloud::answer::{Accepted, Sections};
use crate::shadow::cloud::outbox::Outbox;
use crate::shadow::cloud::view::View;
use crate::shadow::device::outfile::Notify;
use crate::shadow::device::service::{Output, Validation};
use crate::shadow::device::validate::Validator;
use crate::shadow::effect::FileId;
use crate::spool::Name;
use serde_json::json;
use std::time::Duration;

/// As the task of a shadow does it, with an outbox in the place of the conversation.
impl Services {
    /// `false`: something is in the way of a service.
    async fn reconcile_in(&mut self, view: &View, all: bool, outbox: &mut Outbox) -> bool {
        let targets = outbox.targets(view, self.keys(), all);
        let effects = self.reconcile(targets).await;
        apply(effects.cloud, outbox);
        !effects.look_again
    }

    async fn change_in(
        &mut self,
        key: &str,
        updates: Vec<ReadUpdate>,
        view: &View,
        outbox: &mut Outbox,
    ) -> Vec<(FileId, FileEnd)> {
        let reported = view.reported().get(key).unwrap_or(&Value::Null);
        let effects = self.change(key, updates, reported).await;
        apply(effects.cloud, outbox);
        effects.files
    }

    async fn settle_in(
        &mut self,
        ended: NotifyExit,
        outbox: &mut Outbox,
    ) -> Vec<(FileId, FileEnd)> {
        let effects = self.command_ended(ended).await;
        apply(effects.cloud, outbox);
        effects.files
    }
}

fn apply(effects: Vec<Effect>, outbox: &mut Outbox) {
    for effect in effects {
        let _ = outbox.apply(effect);
    }
}

fn service(output: Output) -> Service {
    Service {
        file: "net.json".into(),
        key: "net".into(),
        output,
        informat: Format::Json,
        notify: "true".into(),
        notify_keys: None,
        initial_notify: false,
        timeout: Duration::from_secs(5),
        validation: Validation::None,
    }
}

fn null() -> Service {
    let mut service = service(Output::File {
        path: "/dev/null".into(),
        format: Format::Json,
        keys: None,
    });
    service.notify_keys = Some(vec!["none".into()]);
    service
}

fn all(service: Service) -> Services {
    Services::new(
        vec![Outfile::new(service)],
        Rules {
            empty_array_deletes: false,
        },
    )
}

fn view(version: u64, state: Value) -> View {
    let of = |name: &str| {
        state
            .get(name)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    View::of(Accepted {
        token: None,
        version,
        state: Sections {
            desired: of("desired"),
            reported: of("reported"),
        },
        desired_removed: false,
        reported_removed: false,
    })
}
use serde_json::Value;

fn change(name: &str, patch: Value) -> Vec<ReadUpdate> {
    let id = FileId {
        dir: 0,
        name: Name::new(name.as_ref()),
    };
    vec![ReadUpdate {
        id,
        patch,
        starts: None,
    }]
}

#[tokio::test]
async fn two_update_files_for_dev_null_are_both_reported() {
    let mut services = all(null());
    let mut outbox = Outbox::default();
    let known = view(3, json!({"reported": {"net": {"a": 1, "b": 1}}}));
    // The cloud has not answered yet when the second comes.
    services
        .change_in("net", change("net.1", json!({"a": 5})), &known, &mut outbox)
        .await;
    services
        .change_in("net", change("net.2", json!({"b": 7})), &known, &mut outbox)
        .await;
    let update = outbox.next(&known, true).unwrap();
    assert_eq!(update.files.len(), 2, "both files go with this");
    assert_eq!(
        update.sections(),
        json!({"reported": {"net": {"a": 5, "b": 7}}})
    );
}

#[tokio::test]
async fn a_desired_value_for_dev_null_is_not_cleared_by_an_update_file_that_overtakes_its_report() {
    let mut services = all(null());
    let mut outbox = Outbox::default();
    let known = view(
        3,
        json!({"reported": {"net": {"a": 1, "b": 1}}, "desired": {"net": {"a": 2}}}),
    );
    services.reconcile_in(&known, true, &mut outbox).await;
    services
        .change_in("net", change("net.2", json!({"b": 7})), &known, &mut outbox)
        .await;
    let update = outbox.next(&known, true).unwrap();
    assert_eq!(
        update.sections(),
        json!({"reported": {"net": {"a": 2, "b": 7}}, "desired": {"net": null}})
    );
}

#[tokio::test]
async fn an_update_file_outlives_an_answered_desired_value_whose_clearing_is_late() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = service(Output::File {
        path: dir.path().join("net.conf"),
        format: Format::Json,
        keys: None,
    });
    files.notify = "true".into();
    let mut running = null();
    running.notify_keys = None;
    for it in [files, null(), running] {
        let mut services = all(it);
        let mut outbox = Outbox::default();
        let known = view(3, json!({"desired": {"net": {"a": 1}}}));
        services.reconcile_in(&known, true, &mut outbox).await;
        services
            .change_in("net", change("net.1", json!({"a": 2})), &known, &mut outbox)
            .await;
        // Whatever the cloud answers, the desired value is still there.
        for all in [false, true, true] {
            services.reconcile_in(&known, all, &mut outbox).await;
        }
        while services.notify.is_busy("net") {
            let ended = services.notified().await;
            services.settle_in(ended, &mut outbox).await;
        }
        services.reconcile_in(&known, true, &mut outbox).await;
        let update = outbox.next(&known, true).unwrap();
        let state = json!({"reported": {"net": {"a": 2}}, "desired": {"net": null}});
        assert_eq!((update.sections(), update.files.len()), (state, 1));
        // Without its clearing the file stays: a start would take up the desired value again.
        let plain = outbox.next(&known, false).unwrap();
        assert_eq!(plain.files, []);
    }
}

#[tokio::test]
async fn a_hand_edit_outlives_an_answered_desired_value_whose_clearing_is_late() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.conf");
    let mut services = all(service(Output::File {
        path: path.clone(),
        format: Format::Json,
        keys: None,
    }));
    let mut outbox = Outbox::default();
    let known = view(3, json!({"desired": {"net": {"a": 1}}}));
    services.reconcile_in(&known, true, &mut outbox).await;
    std::fs::write(&path, r#"{"a":3}"#).unwrap();
    services.reconcile_in(&known, true, &mut outbox).await;
    let update = outbox.next(&known, true).unwrap();
    let state = json!({"reported": {"net": {"a": 3}}, "desired": {"net": null}});
    assert_eq!(update.sections(), state);
    // Only what is added to the desired value is new.
    let more = view(4, json!({"desired": {"net": {"a": 1, "b": 4}}}));
    services.reconcile_in(&more, true, &mut outbox).await;
    let update = outbox.next(&more, true).unwrap();
    let state = json!({"reported": {"net": {"a": 3, "b": 4}}, "desired": {"net": null}});
    assert_eq!(update.sections(), state);
}

#[tokio::test]
async fn a_command_is_carried_out_once_when_another_is_added_before_it_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut it = service(Output::Ephemeral);
    it.notify = format!("cat >> {l}; echo >> {l}", l = log.display());
    let mut services = all(it);
    let mut outbox = Outbox::default();
    let first = view(3, json!({"desired": {"net": {"a": 1}}}));
    services.reconcile_in(&first, true, &mut outbox).await;
    let update = outbox.next(&first, true).unwrap();
    outbox.sent(&update);
    // No answer; then the document, in which a command was added.
    let more = view(4, json!({"desired": {"net": {"a": 1, "b": 2}}}));
    services.run_one_shots(outbox.desired.look(&more, true));
    services.reconcile_in(&more, true, &mut outbox).await;
    let update = outbox.next(&more, true).unwrap();
    outbox.sent(&update);
    services.run_one_shots(outbox.accepted(&update, 5));
    services
        .reconcile_in(&view(5, json!({})), true, &mut outbox)
        .await;
    while services.notify.is_busy("net") {
        let ended = services.notified().await;
        services.settle_in(ended, &mut outbox).await;
    }
    assert_eq!(std::fs::read_to_string(log).unwrap(), "{\"a\":1,\"b\":2}\n");
}

#[tokio::test]
async fn null_removes_what_is_reported_beyond_outkeys_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut services = all(service(Output::File {
        path: dir.path().join("net.conf"),
        format: Format::Json,
        keys: Some(vec!["a".into()]),
    }));
    let mut outbox = Outbox::default();
    let known = view(3, json!({"reported": {"net": {"a": 1, "rssi": -70}}}));
    services
        .change_in("net", change("net.1", Value::Null), &known, &mut outbox)
        .await;
    let update = outbox.next(&known, true).unwrap();
    assert_eq!(update.sections(), json!({"reported": {"net": null}}));
}

#[tokio::test]
async fn a_desired_value_beyond_outkeys_is_cleared_and_not_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut services = all(service(Output::File {
        path: dir.path().join("net.conf"),
        format: Format::Json,
        keys: Some(vec!["a".into()]),
    }));
    let mut outbox = Outbox::default();
    let known = view(
        3,
        json!({"reported": {"net": {"rssi": -70}}, "desired": {"net": {"rssi": 1}}}),
    );
    services.reconcile_in(&known, true, &mut outbox).await;
    let update = outbox.next(&known, true).unwrap();
    assert_eq!(update.sections(), json!({"desired": {"net": null}}));
}

#[tokio::test]
async fn dev_null_is_notified_once_for_one_desired_value() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut it = null();
    it.notify_keys = None;
    it.notify = format!("echo x >> {}", log.display());
    let mut services = all(it);
    let mut outbox = Outbox::default();
    let known = view(3, json!({"desired": {"net": {"a": 2}}}));
    for _ in 0..5 {
        // The update is refused (429) each time, and the document is looked at again.
        services.reconcile_in(&known, true, &mut outbox).await;
        if services.notify.is_busy("net") {
            let ended = services.notified().await;
            services.settle_in(ended, &mut outbox).await;
        }
    }
    assert_eq!(std::fs::read_to_string(log).unwrap(), "x\n");
}

#[tokio::test]
async fn a_withdrawn_one_shot_is_not_carried_out() {
    let mut services = all(service(Output::Ephemeral));
    let mut outbox = Outbox::default();
    services
        .reconcile_in(
            &view(3, json!({"desired": {"net": {"a": 2}}})),
            false,
            &mut outbox,
        )
        .await;
    // Our clearing was never accepted (we rest after a 429): the operator takes it back, which an
    // echo shows.
    let gone = view(4, json!({}));
    services.run_one_shots(outbox.desired.look(&gone, true));
    services.reconcile_in(&gone, false, &mut outbox).await;
    assert!(!services.notify.is_busy("net"), "it runs");
}

#[tokio::test]
async fn a_cleared_one_shot_is_carried_out_when_the_answer_was_lost() {
    let mut services = all(service(Output::Ephemeral));
    let mut outbox = Outbox::default();
    services
        .reconcile_in(
            &view(3, json!({"desired": {"net": {"a": 2}}})),
            false,
            &mut outbox,
        )
        .await;
    // The cloud took the clearing; its answer was lost with the connection. Fetched again:
    let gone = view(4, json!({}));
    outbox.desired.clearing("net");
    services.run_one_shots(outbox.desired.look(&gone, true));
    services.reconcile_in(&gone, true, &mut outbox).await;
    assert!(
        services.notify.is_busy("net"),
        "cleared and never carried out"
    );
}

#[tokio::test]
async fn one_shots_that_come_while_one_runs_are_all_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut it = service(Output::Ephemeral);
    it.notify = format!("cat >> {l}; echo >> {l}", l = log.display());
    let mut services = all(it);
    let mut outbox = Outbox::default();
    let known = view(3, json!({}));
    for n in 1..=3 {
        let outcome = services
            .change_in(
                "net",
                change(&format!("net.{n}"), json!({"install": n})),
                &known,
                &mut outbox,
            )
            .await;
        assert_eq!(outcome, [], "not before its command has ended");
    }
    let mut files = Vec::new();
    while services.notify.is_busy("net") {
        let ended = services.notified().await;
        files.extend(services.settle_in(ended, &mut outbox).await);
    }
    assert_eq!(std::fs::read_to_string(log).unwrap().lines().count(), 3);
    assert_eq!(
        files.iter().map(|it| &it.1).collect::<Vec<_>>(),
        [&FileEnd::CarriedOut; 3],
        "each file is disposed of when its command has ended"
    );
}

fn shell(path: std::path::PathBuf) -> Service {
    service(Output::File {
        path,
        format: Format::Shell,
        keys: None,
    })
}

#[tokio::test]
async fn what_a_shell_file_leaves_out_is_not_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut outfile = Outfile::new(shell(dir.path().join("net.conf")));
    let desired = json!({"PATH": "/evil", "a": 1});
    let first = outfile.apply(&[desired], &Value::Null).await.unwrap();
    let second = outfile.apply(&[], &first.config).await.unwrap();
    assert_eq!(
        first.config, second.config,
        "nothing has happened in between but a fetch"
    );
}

#[tokio::test]
async fn a_type_that_was_desired_survives_a_fetch() {
    let dir = tempfile::tempdir().unwrap();
    let mut outfile = Outfile::new(shell(dir.path().join("net.conf")));
    let first = outfile
        .apply(&[json!({"my_key": "x", "a": 7})], &Value::Null)
        .await
        .unwrap();
    let second = outfile
        .apply(&[json!({"a": "7"})], &first.config)
        .await
        .unwrap();
    let third = outfile.apply(&[], &second.config).await.unwrap();
    assert_eq!(second.config, json!({"my_key": "x", "a": "7"}));
    assert_eq!(third.config, second.config);
}

#[tokio::test]
async fn a_removed_plain_text_stays_removed() {
    let dir = tempfile::tempdir().unwrap();
    let it = service(Output::File {
        path: dir.path().join("net.conf"),
        format: Format::Plaintext,
        keys: None,
    });
    let mut outfile = Outfile::new(it);
    outfile.apply(&[json!("")], &Value::Null).await.unwrap();
    let second = outfile.apply(&[Value::Null], &json!("")).await.unwrap();
    assert_eq!(second.config, Value::Null);
    let third = outfile.apply(&[], &Value::Null).await.unwrap();
    assert_eq!(third.config, Value::Null);
}

#[tokio::test]
async fn a_link_to_what_is_not_there_yet_stays() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("net.conf");
    std::os::unix::fs::symlink(dir.path().join("real.conf"), &link).unwrap();
    let mut outfile = Outfile::new(shell(link.clone()));
    outfile
        .apply(&[json!({"a": 1})], &Value::Null)
        .await
        .unwrap();
    assert!(link.is_symlink());
}

#[tokio::test]
async fn a_malformed_file_is_kept_beside_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.conf");
    std::fs::write(&path, "{\"a\": 1, \"b\": 2,}").unwrap();
    let mut outfile = Outfile::new(service(Output::File {
        path: path.clone(),
        format: Format::Json,
        keys: None,
    }));
    outfile.apply(&[], &Value::Null).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(dir.path().join(".net.conf.bad")).unwrap(),
        "{\"a\": 1, \"b\": 2,}"
    );
}

#[tokio::test]
async fn big_numbers_that_differ_are_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut outfile = Outfile::new(service(Output::File {
        path: dir.path().join("net.conf"),
        format: Format::Json,
        keys: None,
    }));
    let first = outfile
        .apply(
            &[serde_json::from_str(r#"{"id":18446744073709551614}"#).unwrap()],
            &Value::Null,
        )
        .await
        .unwrap();
    let next = outfile
        .apply(
            &[serde_json::from_str(r#"{"id":18446744073709551615}"#).unwrap()],
            &Value::Null,
        )
        .await
        .unwrap();
    assert_eq!(first.notify, Notify::Begun);
    assert_eq!(next.notify, Notify::Owed, "the marker is still there");
}

#[tokio::test]
async fn beyond_outkeys_a_removal_and_a_new_object_are_two_steps() {
    let dir = tempfile::tempdir().unwrap();
    let mut services = all(service(Output::File {
        path: dir.path().join("net.conf"),
        format: Format::Json,
        keys: Some(vec!["a".into()]),
    }));
    let mut outbox = Outbox::default();
    let known = view(3, json!({"reported": {"net": {"x": {"old": 1}}}}));
    let changes = [json!({"x": null}), json!({"x": {"new": 2}})]
        .into_iter()
        .enumerate()
        .flat_map(|(n, patch)| change(&format!("net.{n}"), patch))
        .collect();
    services
        .change_in("net", changes, &known, &mut outbox)
        .await;
    let update = outbox.next(&known, true).unwrap();
    let mut reported = json!({"net": {"x": {"old": 1}}});
    crate::shadow::document::merge(&mut reported, &update.state.reported.clone().into());
    outbox.accepted(&update, 4);
    if let Some(update) = outbox.next(&known, true) {
        crate::shadow::document::merge(&mut reported, &update.state.reported.clone().into());
    }
    assert_eq!(reported, json!({"net": {"x": {"new": 2}}}));
}

#[tokio::test]
async fn a_file_after_a_refused_configuration_is_not_said_to_be_in_the_cloud() {
    let dir = tempfile::tempdir().unwrap();
    let mut services = all(service(Output::File {
        path: dir.path().join("net.conf"),
        format: Format::Json,
        keys: None,
    }));
    let mut outbox = Outbox::default();
    let known = view(3, json!({}));
    services
        .change_in("net", change("net.1", json!({"a": 1})), &known, &mut outbox)
        .await;
    let update = outbox.next(&known, true).unwrap();
    outbox.refused(&update, true);
    services
        .change_in("net", change("net.2", json!({"a": 1})), &known, &mut outbox)
        .await;
    assert_eq!(outbox.settled(&known), []);
}

#[cfg(feature = "javascript")]
#[tokio::test]
async fn a_service_whose_validation_hangs_twice_waits_for_a_person_and_others_are_served() {
    // Within one step of the interpreter, for some seconds.
    let text = "exports.validate = (config) => {
        if (config.hang) 'a'.repeat(4e4).indexOf('a'.repeat(2e4) + 'b');
    }";
    let dir = tempfile::tempdir().unwrap();
    let mut hanging = shell(dir.path().join("net"));
    hanging.validation =
        Validation::Script(std::sync::Arc::new(crate::shadow::device::script::Script {
            file: "net.js".into(),
            sources: std::sync::Arc::new([("net.js".to_owned(), text.to_owned())].into()),
        }));
    let mut other = shell(dir.path().join("other"));
    other.key = "other".into();
    let impatient = Validator::new(Duration::from_millis(200));
    let outfiles = vec![Outfile::with(hanging, impatient), Outfile::new(other)];
    let mut services = Services::new(
        outfiles,
        Rules {
            empty_array_deletes: false,
        },
    );
    let mut outbox = Outbox::default();
    for version in 3..5 {
        let desired = json!({"desired": {"net": {"hang": version}, "other": {"a": version}}});
        assert!(
            services
                .reconcile_in(&view(version, desired), false, &mut outbox)
                .await
        );
    }
    let known = view(5, json!({"desired": {"net": {"b": 1}, "other": {"a": 5}}}));
    assert!(
        services.reconcile_in(&known, true, &mut outbox).await,
        "quietly"
    );
    let outcome = services
        .change_in("net", change("net.1", json!({"b": 2})), &known, &mut outbox)
        .await;
    let (_, FileEnd::Postponed { reason, .. }) = &outcome[0] else {
        panic!("postponed, not {outcome:?}");
    };
    assert!(reason.contains("until SIGHUP"));
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    assert_eq!((read("net"), read("other")), ("".into(), "a='5'\n".into()));
    // A machine that is busy with those two may need more than one try.
    for _ in 0..20 {
        services.enable();
        services.reconcile_in(&known, true, &mut outbox).await;
        if read("net") == "b='1'\n" {
            return;
        }
    }
    panic!("it is not state again: {}", read("net"));
}
