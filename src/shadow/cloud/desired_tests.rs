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

/// This wish for `k` was answered at version 5.
fn answered(wish: Value, answer: DesiredAnswer) -> DesiredAnswers {
    let mut wishes = DesiredAnswers::default();
    wishes.answer("k", &wish, 5, answer);
    wishes
}

#[test]
fn only_what_was_added_or_changed_in_a_setting_is_new() {
    let wishes = answered(
        json!({"a": 1, "o": {"x": 1, "y": 1}}),
        DesiredAnswer::InForce,
    );
    for (wish, fresh) in [
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
        assert_eq!(wishes.fresh("k", Some(&wish)), fresh, "{wish}");
        assert_eq!(wishes.clears("k", Some(&wish)), fresh.is_none(), "{wish}");
    }
    assert_eq!(wishes.fresh("other", Some(&json!(1))), Some(json!(1)));
    assert!(!wishes.clears("k", None));
}

#[test]
fn gone_means_gone_and_the_same_wish_is_a_new_one() {
    let mut wishes = answered(json!({"a": 1, "b": 1}), DesiredAnswer::InForce);
    assert_eq!(wishes.look(&view(json!({"k": {"b": 1}})), true), []);
    let both = json!({"a": 1, "b": 1});
    assert_eq!(wishes.fresh("k", Some(&both)), Some(json!({"a": 1})));
    wishes.look(&view(json!({})), true);
    assert_eq!(wishes.fresh("k", Some(&both)), Some(both));
}

#[test]
fn what_somebody_wishes_anew_is_new_and_an_old_echo_is_not() {
    let mut wishes = answered(json!({"a": 1, "b": 1}), DesiredAnswer::InForce);
    let patch = |patch: Value| patch.as_object().unwrap().clone();
    assert!(!wishes.wished(&patch(json!({"k": {"a": 1}})), 5));
    assert!(!wishes.wished(&patch(json!({"other": {"a": 1}})), 6));
    assert!(wishes.wished(&patch(json!({"k": {"a": 1}})), 6));
    let both = json!({"a": 1, "b": 1});
    assert_eq!(wishes.fresh("k", Some(&both)), Some(json!({"a": 1})));
}

#[test]
fn a_setting_that_is_held_is_not_cleared_and_not_new() {
    let mut wishes = answered(json!(1), DesiredAnswer::Held);
    assert_eq!(wishes.fresh("k", Some(&json!(1))), None);
    assert!(!wishes.clears("k", Some(&json!(1))));
    wishes.release("k");
    assert!(wishes.clears("k", Some(&json!(1))));
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
        let mut wishes = command();
        if asked {
            wishes.clearing("k");
        }
        let orders = wishes.look(&view(desired.clone()), true);
        assert_eq!(!orders.is_empty(), carried_out, "{desired} {asked}");
        assert_eq!(wishes.look(&view(json!({})), true), [], "{desired}: once");
    }
    let mut wishes = command();
    wishes.clearing("k");
    assert_eq!(
        wishes.cleared("k", 6).into_iter().collect::<Vec<_>>(),
        order
    );
    assert_eq!(wishes.cleared("k", 6), None);
    let mut wishes = command();
    wishes.clearing("k");
    let taken_back = wishes.look(&view(json!({})), false);
    assert_eq!(taken_back, [], "by somebody else");
}

#[test]
fn a_command_that_is_being_cleared_is_not_mixed_with_the_next() {
    let command = DesiredAnswer::Command(Some(json!(1)));
    let mut wishes = answered(json!({"a": 1}), command);
    let more = json!({"a": 1, "b": 1});
    assert_eq!(wishes.fresh("k", Some(&more)), Some(more.clone()));
    wishes.clearing("k");
    assert_eq!(wishes.fresh("k", Some(&more)), None, "not now");
    wishes.not_cleared("k");
    assert_eq!(wishes.fresh("k", Some(&more)), Some(more));
}

#[test]
fn an_answer_during_the_clearing_of_an_older_wish_outlives_it() {
    let mut wishes = answered(json!({"a": 1}), DesiredAnswer::InForce);
    wishes.clearing("k");
    wishes.answer("k", &json!({"b": 1}), 7, DesiredAnswer::InForce);
    wishes.cleared("k", 6);
    assert_eq!(wishes.fresh("k", Some(&json!({"b": 1}))), None);
    assert!(wishes.waits("k"));
}

#[test]
fn an_answer_during_the_clearing_of_the_same_wish_is_gone_with_it() {
    let mut wishes = answered(json!({"a": 1}), DesiredAnswer::InForce);
    wishes.clearing("k");
    // An echo tells more of the version that is being cleared.
    wishes.answer("k", &json!({"a": 1, "b": 1}), 5, DesiredAnswer::InForce);
    wishes.cleared("k", 6);
    assert!(!wishes.waits("k"));
}

#[test]
fn a_command_is_carried_out_also_when_its_wish_was_looked_at_during_its_clearing() {
    let command = DesiredAnswer::Command(Some(json!(1)));
    let mut wishes = answered(json!({"a": 1}), command);
    wishes.clearing("k");
    wishes.look(&view(json!({"k": {"a": 1}})), false);
    assert_eq!(wishes.cleared("k", 6), Some(("k".to_owned(), json!(1))));
}
