use super::*;
use crate::shadow::cloud::answer::{Accepted, Sections};
use serde_json::json;

fn view(desired: Value) -> View {
    View::of(Accepted {
        token: None,
        version: 9,
        state: Sections {
            desired: desired.as_object().unwrap().clone(),
            reported: Map::new(),
        },
        desired_removed: false,
        reported_removed: false,
    })
}

/// This desired value for `k` was answered at version 5.
fn answered(desired: Value, answer: DesiredAnswer) -> DesiredAnswers {
    let mut answers = DesiredAnswers::default();
    answers.answer("k", &desired, 5, answer);
    answers
}

#[test]
fn only_what_was_added_or_changed_in_a_setting_is_new() {
    let answers = answered(
        json!({"a": 1, "o": {"x": 1, "y": 1}}),
        DesiredAnswer::InForce,
    );
    for (desired, fresh) in [
        (json!({"a": 1, "o": {"x": 1, "y": 1}}), None),
        (json!({"a": 1.0}), None),
        (json!({"a": 2}), Some(json!({"a": 2}))),
        (json!({"a": 1, "o": {"z": 1}}), Some(json!({"o": {"z": 1}}))),
        (
            json!({"o": {"y": "DELETE"}}),
            Some(json!({"o": {"y": "DELETE"}})),
        ),
        (json!({"a": 1, "o": "DELETE"}), Some(json!({"o": "DELETE"}))),
        (json!("DELETE"), Some(json!("DELETE"))),
    ] {
        assert_eq!(answers.fresh("k", Some(&desired)), fresh, "{desired}");
        assert_eq!(
            answers.clears("k", Some(&desired)),
            fresh.is_none(),
            "{desired}"
        );
    }
    assert_eq!(answers.fresh("other", Some(&json!(1))), Some(json!(1)));
    assert!(!answers.clears("k", None));
}

#[test]
fn gone_means_gone_and_the_same_desired_value_is_a_new_one() {
    let mut answers = answered(json!({"a": 1, "b": 1}), DesiredAnswer::InForce);
    assert_eq!(answers.look(&view(json!({"k": {"b": 1}})), true), []);
    let both = json!({"a": 1, "b": 1});
    assert_eq!(answers.fresh("k", Some(&both)), Some(json!({"a": 1})));
    answers.look(&view(json!({})), true);
    assert_eq!(answers.fresh("k", Some(&both)), Some(both));
}

#[test]
fn what_somebody_desires_again_is_new_and_an_old_echo_is_not() {
    let mut answers = answered(json!({"a": 1, "b": 1}), DesiredAnswer::InForce);
    let patch = |patch: Value| patch.as_object().unwrap().clone();
    assert!(!answers.desired_again(&patch(json!({"k": {"a": 1}})), 5));
    assert!(!answers.desired_again(&patch(json!({"other": {"a": 1}})), 6));
    assert!(answers.desired_again(&patch(json!({"k": {"a": 1}})), 6));
    let both = json!({"a": 1, "b": 1});
    assert_eq!(answers.fresh("k", Some(&both)), Some(json!({"a": 1})));
}

#[test]
fn a_setting_that_is_held_is_not_cleared_and_not_new() {
    let mut answers = answered(json!(1), DesiredAnswer::Held);
    assert_eq!(answers.fresh("k", Some(&json!(1))), None);
    assert!(!answers.clears("k", Some(&json!(1))));
    answers.release("k");
    assert!(answers.clears("k", Some(&json!(1))));
}

#[test]
fn a_command_is_carried_out_when_it_was_cleared_at_our_request_and_only_then() {
    let order = vec![("k".to_owned(), json!({"do": "a"}))];
    let command = || {
        let command = DesiredAnswer::Command(Some(json!({"do": "a"})));
        answered(json!({"a": 1}), command)
    };
    // What the next document shows, whether the clearing was asked for, and what follows.
    for (desired, asked, carried_out) in [
        (json!({}), true, true),
        (json!({}), false, false),
        (json!({"k": {"b": 1}}), true, true),
        (json!({"k": {"b": 1}}), false, false),
        (json!({"k": {"a": 1}}), true, false),
        (json!({"k": {"a": 1, "b": 1}}), true, false),
        (json!({"k": {"a": 2}}), true, false),
        (json!({"k": "a"}), true, false),
    ] {
        let mut answers = command();
        if asked {
            answers.clearing("k");
        }
        let orders = answers.look(&view(desired.clone()), true);
        assert_eq!(!orders.is_empty(), carried_out, "{desired} {asked}");
        assert_eq!(answers.look(&view(json!({})), true), [], "{desired}: once");
    }
    let mut answers = command();
    answers.clearing("k");
    assert_eq!(
        answers.cleared("k", 6).into_iter().collect::<Vec<_>>(),
        order
    );
    assert_eq!(answers.cleared("k", 6), None);
    let mut answers = command();
    answers.clearing("k");
    let taken_back = answers.look(&view(json!({})), false);
    assert_eq!(taken_back, [], "by somebody else");
}

#[test]
fn a_command_that_is_being_cleared_is_not_mixed_with_the_next() {
    let command = DesiredAnswer::Command(Some(json!(1)));
    let mut answers = answered(json!({"a": 1}), command);
    let more = json!({"a": 1, "b": 1});
    assert_eq!(answers.fresh("k", Some(&more)), Some(more.clone()));
    answers.clearing("k");
    assert_eq!(answers.fresh("k", Some(&more)), None, "not now");
    answers.not_cleared("k");
    assert_eq!(answers.fresh("k", Some(&more)), Some(more));
}

#[test]
fn an_answer_during_the_clearing_of_an_older_desired_value_outlives_it() {
    let mut answers = answered(json!({"a": 1}), DesiredAnswer::InForce);
    answers.clearing("k");
    answers.answer("k", &json!({"b": 1}), 7, DesiredAnswer::InForce);
    answers.cleared("k", 6);
    assert_eq!(answers.fresh("k", Some(&json!({"b": 1}))), None);
    assert!(answers.waits("k"));
}

#[test]
fn an_answer_during_the_clearing_of_the_same_desired_value_is_gone_with_it() {
    let mut answers = answered(json!({"a": 1}), DesiredAnswer::InForce);
    answers.clearing("k");
    // An echo shows more of the version that is being cleared.
    answers.answer("k", &json!({"a": 1, "b": 1}), 5, DesiredAnswer::InForce);
    answers.cleared("k", 6);
    assert!(!answers.waits("k"));
}

#[test]
fn a_command_is_carried_out_also_when_its_desired_value_was_looked_at_during_its_clearing() {
    let command = DesiredAnswer::Command(Some(json!(1)));
    let mut answers = answered(json!({"a": 1}), command);
    answers.clearing("k");
    answers.look(&view(json!({"k": {"a": 1}})), false);
    assert_eq!(answers.cleared("k", 6), Some(("k".to_owned(), json!(1))));
}
