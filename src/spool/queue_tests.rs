use std::time::SystemTime;

use super::*;
use crate::spool::Identity;
use crate::spool::order::Order::{Lexical, NewestFirst, OldestFirst, ReverseLexical};
use crate::spool::order::Priority;
use crate::spool::outcome::RefusalKind::{self, Passing, Permanent, Quota};
use crate::spool::outcome::{Blame, Refusal};
use crate::spool::ready_queue::PASSES;

fn name(text: &str) -> Name {
    Name::new(text.as_ref())
}

fn options(order: Order, window: usize) -> QueueOptions {
    QueueOptions {
        order,
        window,
        retries: 2,
        jam: Duration::from_secs(300),
    }
}

/// A file that was modified at this minute.
fn facts(inode: u64, minute: u64, priority: Option<i32>, slot: Option<&str>) -> Facts {
    Facts {
        identity: Identity {
            device: 1,
            inode,
            modified: (minute as i64 * 60, 0),
            size: 1,
        },
        modified: SystemTime::UNIX_EPOCH + Duration::from_secs(minute * 60),
        priority: priority.map(|number| Priority::new(number.into())),
        slot: slot.map(str::to_owned),
    }
}

fn plain(inode: u64) -> Facts {
    facts(inode, inode, None, None)
}

/// A queue with these requests, connected.
fn queue(options: QueueOptions, requests: &[(&str, Facts)]) -> (Queue, Instant) {
    let now = Instant::now();
    let mut queue = Queue::new(options);
    queue.link_up(now);
    for (text, facts) in requests {
        assert!(queue.arrived(name(text), facts.clone()));
    }
    (queue, now)
}

fn taken(queue: &mut Queue, now: Instant) -> Option<String> {
    queue.resume(now);
    queue.next(now).map(|next| next.name.to_string())
}

/// All that can be taken now, each carried out at once.
fn drain(queue: &mut Queue, now: Instant) -> String {
    let mut order = Vec::new();
    while let Some(text) = taken(queue, now) {
        deliver(queue, &text, now);
        order.push(text);
    }
    order.join(" ")
}

fn deliver(queue: &mut Queue, text: &str, now: Instant) {
    assert_eq!(
        queue.settled(&name(text), Outcome::Delivered, now),
        Disposal::Remove
    );
    queue.gone(&name(text));
}

/// A refusal when the broker has accepted so many others.
fn refused(kind: RefusalKind, accepted: u64) -> Outcome {
    Outcome::Refused(Refusal {
        reason: "busy".into(),
        kind,
        accepted,
    })
}

fn interrupted() -> Outcome {
    Outcome::Interrupted { blame: None }
}

/// The broker ends the connection over these, in their order, when it has accepted so many others.
fn end_over(queue: &mut Queue, flying: &[String], accepted: u64, now: Instant) -> Vec<Disposal> {
    let alone = flying.len() == 1;
    let settle = |(place, text): (usize, &String)| {
        let blame = Some(Blame {
            alone,
            oldest: place == 0,
            accepted,
        });
        queue.settled(&name(text), Outcome::Interrupted { blame }, now)
    };
    flying.iter().enumerate().map(settle).collect()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_example_of_the_manual_is_taken_in_its_order() {
    let requests = [
        ("A", facts(1, 23 * 60 + 12, None, None)),
        ("B", facts(2, 11 * 60 + 51, Some(2), None)),
        ("C", facts(3, 3 * 60 + 22, Some(1), Some("xyz"))),
        ("D", facts(4, 11 * 60 + 51, Some(1), Some("xyz"))),
        ("E", facts(5, 16 * 60 + 20, Some(3), None)),
        ("F", facts(6, 11 * 60 + 45, None, None)),
    ];
    for (order, expect) in [(Lexical, "D B E A C F"), (OldestFirst, "D B E C F A")] {
        let (mut queue, now) = queue(options(order, 1), &requests);
        assert_eq!(drain(&mut queue, now), expect, "{order:?}");
    }
}

#[test]
fn each_order_is_by_bytes_or_by_time_with_ties_by_name() {
    let requests = [
        ("b", facts(1, 5, None, None)),
        ("a", facts(2, 5, None, None)),
        ("B", facts(3, 1, None, None)),
        ("é", facts(4, 9, None, None)),
    ];
    for (order, expect) in [
        (Lexical, "B a b é"),
        (ReverseLexical, "é b a B"),
        (NewestFirst, "é a b B"),
        (OldestFirst, "B a b é"),
    ] {
        let (mut queue, now) = queue(options(order, 1), &requests);
        assert_eq!(drain(&mut queue, now), expect, "{order:?}");
    }
}

#[test]
fn a_newer_one_of_its_slot_demotes_the_waiting_one_for_good() {
    let (mut queue, now) = queue(
        options(Lexical, 1),
        &[
            ("z-old", facts(1, 1, Some(1), Some("s"))),
            ("a", plain(2)),
            ("m", facts(3, 3, Some(2), None)),
        ],
    );
    queue.arrived(name("new"), facts(4, 2, None, Some("s")));
    assert_eq!(
        drain(&mut queue, now),
        "new m a z-old",
        "a slot without priority counts as 1"
    );
}

#[test]
fn an_older_one_of_its_slot_is_basic_from_the_start() {
    let (mut queue, now) = queue(
        options(Lexical, 1),
        &[("z-new", facts(1, 9, Some(5), Some("s"))), ("b", plain(2))],
    );
    queue.arrived(name("c-older"), facts(3, 8, Some(1), Some("s")));
    assert_eq!(drain(&mut queue, now), "z-new b c-older");
}

#[test]
fn no_more_than_the_window_is_in_flight() {
    let (mut queue, now) = queue(
        options(Lexical, 2),
        &[("a", plain(1)), ("b", plain(2)), ("c", plain(3))],
    );
    assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
    assert_eq!(taken(&mut queue, now).as_deref(), Some("b"));
    assert_eq!(taken(&mut queue, now), None);
    deliver(&mut queue, "a", now);
    assert_eq!(taken(&mut queue, now).as_deref(), Some("c"));
}

#[test]
fn a_name_seen_twice_is_one_request() {
    let (mut queue, now) = queue(options(Lexical, 5), &[("a", plain(1)), ("a", plain(1))]);
    assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
    queue.arrived(name("a"), plain(1));
    deliver(&mut queue, "a", now);
    assert_eq!(taken(&mut queue, now), None);
    assert_eq!(queue.entries.len(), 0);
}

#[test]
fn a_newer_file_of_a_name_in_flight_is_a_new_request() {
    let (mut queue, now) = queue(options(Lexical, 5), &[("a", plain(1))]);
    taken(&mut queue, now);
    queue.arrived(name("a"), plain(2));
    assert_eq!(
        taken(&mut queue, now),
        None,
        "the older one is still in flight"
    );
    deliver(&mut queue, "a", now);
    assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
}

#[test]
fn a_newer_file_of_a_waiting_name_takes_its_place_and_its_priority() {
    let (mut queue, now) = queue(
        options(Lexical, 1),
        &[("a", plain(1)), ("z", facts(2, 2, Some(1), None))],
    );
    queue.arrived(name("z"), plain(3));
    assert_eq!(drain(&mut queue, now), "a z");
}

#[test]
fn a_refusal_that_may_pass_is_tried_again_after_a_pause_and_then_given_up() {
    let (mut queue, now) = queue(options(Lexical, 5), &[("a", plain(1))]);
    taken(&mut queue, now);
    assert_eq!(
        queue.settled(&name("a"), refused(Passing, 0), now),
        Disposal::Keep { pause: seconds(2) }
    );
    assert_eq!(taken(&mut queue, now + seconds(1)), None);
    assert_eq!(queue.deadline(), Some(now + seconds(2)));
    assert_eq!(taken(&mut queue, now + seconds(2)).as_deref(), Some("a"));
    assert_eq!(
        queue.settled(&name("a"), refused(Passing, 1), now),
        Disposal::Keep { pause: seconds(8) }
    );
    taken(&mut queue, now + seconds(8));
    let given_up = Disposal::MoveToFailed {
        reason: "busy".into(),
        attempts: 3,
    };
    assert_eq!(
        queue.settled(&name("a"), refused(Passing, 2), now),
        given_up
    );
}

#[test]
fn nothing_is_given_up_while_nothing_is_accepted() {
    let never = QueueOptions {
        retries: 0,
        ..options(Lexical, 5)
    };
    for kind in [Permanent, Passing, Quota] {
        let (mut queue, mut now) = queue(never, &[("a", plain(1))]);
        for _ in 0..50 {
            assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
            let disposal = queue.settled(&name("a"), refused(kind, 7), now);
            assert!(matches!(disposal, Disposal::Keep { .. }), "{disposal:?}");
            now += seconds(300);
        }
    }
}

#[test]
fn what_was_refused_while_nothing_was_accepted_is_tried_at_once_when_something_is() {
    let (mut queue, now) = queue(options(Lexical, 5), &[("a", plain(1))]);
    taken(&mut queue, now);
    queue.settled(&name("a"), refused(Permanent, 0), now);
    assert_eq!(taken(&mut queue, now), None);
    queue.accepts_again();
    assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
}

#[test]
fn probes_are_single_and_come_from_both_ends() {
    let requests = ["a", "b", "c", "d"].map(|text| (text, plain(1)));
    let (mut queue, now) = queue(options(Lexical, 5), &requests);
    queue.probing(true);
    let mut probes = Vec::new();
    for _ in 0..4 {
        assert_eq!(queue.readiness(), Readiness::Alone);
        let probe = taken(&mut queue, now).expect("a probe");
        assert_eq!(queue.readiness(), Readiness::Nothing, "one at a time");
        queue.settled(&name(&probe), refused(Permanent, 0), now);
        probes.push(probe);
    }
    assert_eq!(probes, ["a", "d", "b", "c"]);
}

#[test]
fn a_lost_connection_costs_no_retry() {
    let (mut queue, now) = queue(
        QueueOptions {
            retries: 0,
            ..options(Lexical, 5)
        },
        &[("a", plain(1))],
    );
    for _ in 0..100 {
        assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
        assert_eq!(
            queue.settled(&name("a"), interrupted(), now),
            Disposal::Keep {
                pause: Duration::ZERO
            }
        );
    }
}

#[test]
fn what_will_never_be_accepted_is_given_up_at_once() {
    let (mut queue, now) = queue(options(Lexical, 5), &[("a", plain(1))]);
    taken(&mut queue, now);
    let given_up = Disposal::MoveToFailed {
        reason: "denied".into(),
        attempts: 1,
    };
    assert_eq!(
        queue.settled(&name("a"), Outcome::Unusable("denied".into()), now),
        given_up
    );
    queue.gone(&name("a"));
    assert_eq!(queue.entries.len(), 0);
}

/// Takes all that fits.
fn fly(queue: &mut Queue, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| taken(queue, now)).collect()
}

#[test]
fn messages_that_the_broker_may_have_ended_connections_over_go_last_by_halves() {
    let requests = ["a", "b", "c", "d", "e"].map(|text| (text, plain(1)));
    let (mut queue, now) = queue(options(Lexical, 4), &requests);
    for flying in [["a", "b", "c", "d"], ["b", "c", "d", "e"]] {
        assert_eq!(
            fly(&mut queue, now),
            flying,
            "the oldest stands aside, to be behind others once says nothing"
        );
        end_over(&mut queue, &flying.map(str::to_owned), 0, now);
    }
    assert_eq!(fly(&mut queue, now), ["e"]);
    assert_eq!(
        queue.readiness(),
        Readiness::Nothing,
        "suspects do not fly with others"
    );
    deliver(&mut queue, "e", now);
    assert_eq!(queue.readiness(), Readiness::Alone);
    assert_eq!(fly(&mut queue, now), ["c", "d"], "half of them together");
    queue.arrived(name("f"), plain(6));
    assert_eq!(
        queue.readiness(),
        Readiness::Nothing,
        "nobody else joins them"
    );
    deliver(&mut queue, "c", now);
    deliver(&mut queue, "d", now);
    assert_eq!(fly(&mut queue, now), ["f"]);
    deliver(&mut queue, "f", now);
    for text in ["a", "b"] {
        assert_eq!(fly(&mut queue, now), [text], "each by itself");
        deliver(&mut queue, text, now);
    }
}

#[test]
fn one_that_ends_connections_alone_is_given_up_when_others_are_accepted() {
    let (mut queue, now) = queue(options(Lexical, 4), &[("a", plain(1)), ("b", plain(2))]);
    let flying = fly(&mut queue, now);
    end_over(&mut queue, &flying, 0, now);
    assert_eq!(drain_one(&mut queue, now), "b");
    let alone = ["a".to_owned()];
    assert_eq!(fly(&mut queue, now), alone);
    let mut now = now;
    for pause in [2, 8] {
        assert_eq!(
            end_over(&mut queue, &alone, 1, now),
            [Disposal::Keep {
                pause: seconds(pause)
            }],
            "once or twice may be by chance"
        );
        assert_eq!(taken(&mut queue, now), None, "it rests");
        now += seconds(pause);
        assert_eq!(fly(&mut queue, now), alone);
    }
    let disposal = end_over(&mut queue, &alone, 1, now);
    assert!(
        matches!(&disposal[0], Disposal::MoveToFailed { reason, .. } if reason.contains("3 connections")),
        "{disposal:?}"
    );
}

fn drain_one(queue: &mut Queue, now: Instant) -> String {
    let text = taken(queue, now).expect("something waits");
    deliver(queue, &text, now);
    text
}

#[test]
fn a_suspect_is_not_passed_for_ever() {
    let (mut queue, now) = queue(options(Lexical, 1), &[("z-suspect", plain(1))]);
    let flying = fly(&mut queue, now);
    end_over(&mut queue, &flying, 0, now);
    let now = now + seconds(2);
    queue.resume(now);
    for n in 0..100 {
        queue.arrived(name(&format!("a-{n:03}")), plain(100 + n));
    }
    let mut passed = 0;
    loop {
        let text = taken(&mut queue, now).expect("something waits");
        deliver(&mut queue, &text, now);
        if text == "z-suspect" {
            break;
        }
        passed += 1;
    }
    assert_eq!(passed, PASSES);
}

#[test]
fn what_becomes_of_another_file_of_the_name_is_nothing_to_one_in_flight() {
    let (mut queue, now) = queue(options(Lexical, 2), &[("a", plain(1))]);
    taken(&mut queue, now);
    queue.gone(&name("a"));
    queue.arrived(name("a"), plain(2));
    assert_eq!(taken(&mut queue, now), None, "the first is still in flight");
    deliver(&mut queue, "a", now);
    assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
}

/// The number of connections that it takes until all good ones are delivered, and all in all until
/// every poisoned one is given up.
fn hunt(poisoned: usize, good: usize, window: usize) -> (usize, usize) {
    let (mut queue, mut now) = queue(options(Lexical, window), &[]);
    for n in 0..poisoned {
        queue.arrived(name(&format!("a-poison-{n:03}")), plain(n as u64));
    }
    for n in 0..good {
        queue.arrived(name(&format!("b-good-{n:04}")), plain(1000 + n as u64));
    }
    let (mut accepted, mut connections, mut until_good, mut given_up) = (0, 0, 0, 0);
    while given_up < poisoned {
        assert!(
            connections < 1000,
            "{accepted} delivered, {given_up} given up"
        );
        let flying = fly(&mut queue, now);
        // A broker that answers in order: those before the first poisoned one are accepted.
        let first = flying.iter().position(|text| text.contains("poison"));
        for text in &flying[..first.unwrap_or(flying.len())] {
            deliver(&mut queue, text, now);
            accepted += 1;
        }
        if accepted as usize == good && until_good == 0 {
            until_good = connections.max(1);
        }
        let Some(first) = first else {
            if flying.is_empty() {
                now = queue.deadline().expect("somebody rests");
            }
            continue;
        };
        connections += 1;
        let rest = &flying[first..];
        for (text, disposal) in rest.iter().zip(end_over(&mut queue, rest, accepted, now)) {
            if matches!(disposal, Disposal::MoveToFailed { .. }) {
                assert!(text.contains("poison"), "{text} is good");
                queue.gone(&name(text));
                given_up += 1;
            }
        }
    }
    assert_eq!(accepted as usize, good);
    (until_good, connections)
}

#[test]
fn poisoned_messages_are_found_in_few_connections_and_never_stop_the_good_ones() {
    let mut table = String::new();
    for (poisoned, good, window, at_most) in [
        (1, 1000, 10, 2),
        (1, 1000, 90, 2),
        (60, 1000, 10, 18),
        (60, 1000, 90, 41),
        (5, 5, 1, 8),
    ] {
        let (until_good, connections) = hunt(poisoned, good, window);
        let all = poisoned + good;
        table += &format!(
            "{poisoned} of {all}, window {window}: {until_good} connections until all good ones are delivered, {connections} in all\n"
        );
        assert!(until_good <= at_most, "{table}");
        // Each is found, and then proven by three connections of its own.
        assert!(connections <= poisoned * 5 + 3, "{table}");
    }
    println!("{table}");
}

#[test]
fn a_quota_refusal_waits_for_the_link_alone() {
    let (mut queue, now) = queue(options(Lexical, 2), &[("a", plain(1)), ("b", plain(2))]);
    taken(&mut queue, now);
    assert_eq!(
        queue.settled(&name("a"), refused(Quota, 0), now),
        Disposal::Keep {
            pause: Duration::ZERO
        }
    );
    assert_eq!(queue.deadline(), None);
}

#[test]
fn a_denial_is_an_answer_and_no_jam() {
    let (mut queue, now) = queue(options(Lexical, 1), &[("a", plain(1)), ("b", plain(2))]);
    taken(&mut queue, now);
    queue.settled(&name("a"), Outcome::Denied("no".into()), now + seconds(299));
    queue.gone(&name("a"));
    taken(&mut queue, now + seconds(299));
    assert!(!queue.jammed(now + seconds(598)));
}

#[test]
fn a_full_window_without_any_answer_is_a_jam() {
    let (mut queue, now) = queue(options(Lexical, 1), &[("a", plain(1)), ("b", plain(2))]);
    assert_eq!(queue.deadline(), None, "no jam before the window is full");
    taken(&mut queue, now);
    assert!(!queue.jammed(now + seconds(299)));
    assert_eq!(queue.deadline(), Some(now + seconds(300)));
    assert!(queue.jammed(now + seconds(300)));
}

#[test]
fn an_answer_starts_the_jam_clock_afresh() {
    let (mut queue, now) = queue(options(Lexical, 1), &[("a", plain(1)), ("b", plain(2))]);
    taken(&mut queue, now);
    deliver(&mut queue, "a", now + seconds(200));
    taken(&mut queue, now + seconds(200));
    assert!(!queue.jammed(now + seconds(499)));
    assert!(queue.jammed(now + seconds(500)));
}

#[test]
fn there_is_no_jam_while_offline_and_a_reconnect_does_not_hide_one() {
    let (mut queue, now) = queue(options(Lexical, 1), &[("a", plain(1))]);
    taken(&mut queue, now);
    queue.link_down(now + seconds(100));
    queue.settled(&name("a"), interrupted(), now + seconds(100));
    assert_eq!(queue.deadline(), None);
    assert!(!queue.jammed(now + seconds(10_000)), "no jam while offline");
    queue.link_up(now + seconds(10_000));
    taken(&mut queue, now + seconds(10_000));
    assert!(
        queue.jammed(now + seconds(10_200)),
        "100 s before, 200 s after"
    );
}

#[test]
fn a_machine_that_is_short_of_something_tries_again_later() {
    let (mut queue, now) = queue(
        QueueOptions {
            retries: 0,
            ..options(Lexical, 5)
        },
        &[("a", plain(1))],
    );
    for round in 0..10 {
        let now = now + seconds(round * 10);
        assert_eq!(taken(&mut queue, now).as_deref(), Some("a"));
        let short = Outcome::Postponed("too many open files".into());
        assert_eq!(
            queue.settled(&name("a"), short, now),
            Disposal::Keep { pause: seconds(2) }
        );
    }
}

#[test]
fn names_have_a_bound() {
    let (mut queue, _) = queue(options(Lexical, 1), &[]);
    for n in 0..MOST_NAMES {
        assert!(queue.arrived(name(&n.to_string()), plain(n as u64)));
    }
    assert!(!queue.arrived(name("one too many"), plain(0)));
    assert!(
        queue.arrived(name("5"), plain(77)),
        "a known name needs no room"
    );
}

/// A model in which the order is a sort of everything that waits.
#[derive(Default)]
struct Model {
    waiting: Vec<(String, Facts)>,
    /// Demoted names, by the inode that was demoted.
    demoted: Vec<u64>,
    in_flight: Vec<(String, Facts)>,
}

impl Model {
    fn arrived(&mut self, text: &str, facts: Facts) {
        self.waiting.retain(|(other, _)| other != text);
        let rivals = self.waiting.iter().chain(&self.in_flight);
        let rivals: Vec<_> = rivals
            .filter(|(_, other)| other.slot.is_some() && other.slot == facts.slot)
            .filter(|(_, other)| !self.demoted.contains(&other.identity.inode))
            .map(|(name, other)| (other.modified, name.clone(), other.identity.inode))
            .collect();
        for (modified, name, inode) in rivals {
            let older = (modified, name) < (facts.modified, text.to_owned());
            self.demoted
                .push(if older { inode } else { facts.identity.inode });
        }
        self.waiting.push((text.to_owned(), facts));
    }

    fn next(&mut self) -> Option<String> {
        let rank = |facts: &Facts| {
            let basic = self.demoted.contains(&facts.identity.inode);
            match (&facts.slot, facts.priority) {
                (Some(_), priority) if !basic => {
                    Rank::Prioritised(priority.unwrap_or(Priority::new(1.0)))
                }
                (None, Some(priority)) => Rank::Prioritised(priority),
                _ => Rank::Basic,
            }
        };
        self.waiting
            .sort_by_key(|(text, facts)| (rank(facts), facts.modified, text.clone()));
        if self.waiting.is_empty() {
            return None;
        }
        let first = self.waiting.remove(0);
        self.in_flight.push(first.clone());
        Some(first.0)
    }
}

/// Law: on random arrivals and deliveries the queue takes what a sorted list would.
#[test]
fn the_queue_agrees_with_a_sorted_list() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut queue, now) = queue(options(OldestFirst, 3), &[]);
        let mut model = Model::default();
        for step in 0..200u64 {
            if random.bool() {
                let text = format!("n{}", random.u8(..40));
                if model.in_flight.iter().any(|(other, _)| *other == text) {
                    continue;
                }
                let priority = random.bool().then(|| random.i32(-2..3));
                let slot = random.bool().then(|| if random.bool() { "s" } else { "t" });
                let facts = facts(step + 1, random.u64(..20), priority, slot);
                // Replacing a waiting one takes its slot away first, as if it had never been there.
                if model.waiting.iter().any(|(other, _)| *other == text) {
                    continue;
                }
                queue.arrived(name(&text), facts.clone());
                model.arrived(&text, facts);
            } else if model.in_flight.len() < 3 {
                assert_eq!(
                    taken(&mut queue, now),
                    model.next(),
                    "seed {seed}, step {step}"
                );
            } else {
                let (text, _) = model.in_flight.remove(random.usize(..3));
                deliver(&mut queue, &text, now);
            }
        }
    }
}
