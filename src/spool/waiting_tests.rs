use super::*;

fn pending(name: &str, modified: i64) -> Pending {
    Pending {
        modified,
        name: Name::new(name.as_ref()),
    }
}

fn found(names: &[&str], more: bool) -> Found {
    Found {
        names: names.iter().map(|name| pending(name, 0)).collect(),
        more,
    }
}

fn lexical(names: &[&str], more: bool) -> WaitingNames {
    let mut backlog = WaitingNames::new(Order::Lexical);
    backlog.replace(found(names, more));
    backlog
}

fn drained(backlog: &mut WaitingNames) -> Vec<String> {
    std::iter::from_fn(|| backlog.first())
        .map(|name| name.to_string())
        .collect()
}

#[test]
fn each_order_has_its_first() {
    let (a, b, c) = (pending("a", 3), pending("b", 1), pending("c", 3));
    for (order, expect) in [
        (Order::Lexical, ["a", "b", "c"]),
        (Order::ReverseLexical, ["c", "b", "a"]),
        (Order::NewestFirst, ["a", "c", "b"]),
        (Order::OldestFirst, ["b", "a", "c"]),
    ] {
        let mut backlog = WaitingNames::new(order);
        for one in [&c, &a, &b] {
            backlog.insert(one.clone());
        }
        assert_eq!(drained(&mut backlog), expect, "{order:?}");
    }
}

#[test]
fn who_arrives_waits_behind_those_that_wait_but_not_behind_those_that_passed() {
    let mut backlog = lexical(&["b", "d"], false);
    assert!(backlog.precedes(&pending("c", 0)));
    backlog.insert(pending("c", 0));
    backlog.insert(pending("c", 0));
    assert_eq!(backlog.first().unwrap().to_string(), "b");
    assert!(
        !backlog.precedes(&pending("a", 0)),
        "those that were before it are in the queue"
    );
    assert_eq!(drained(&mut backlog), ["c", "d"]);
    assert!(backlog.is_empty());
    assert!(!backlog.precedes(&pending("e", 0)), "nothing waits");
}

#[test]
fn who_is_behind_all_that_are_held_is_left_on_disk_if_others_are() {
    let mut backlog = lexical(&["b"], true);
    backlog.insert(pending("c", 0));
    backlog.insert(pending("a", 0));
    assert_eq!(drained(&mut backlog), ["a", "b"]);
    assert!(!backlog.is_empty() && backlog.is_short());
    assert!(backlog.precedes(&pending("c", 0)), "others wait on disk");
}

#[test]
fn names_have_a_bound() {
    let names = (0..MOST_HELD).map(|n| pending(&format!("{n:06}"), 0));
    let mut backlog = WaitingNames::new(Order::Lexical);
    names.for_each(|one| backlog.insert(one));
    assert!(!backlog.more);
    backlog.insert(pending("x", 0));
    assert!(backlog.more, "it is behind all");
    backlog.insert(pending("", 0));
    assert_eq!(backlog.names.len(), MOST_HELD);
    assert_eq!(backlog.last().unwrap().to_string(), "032766");
}

#[test]
fn each_is_looked_at_once_also_when_the_directory_is_read_again() {
    let look = |backlog: &mut WaitingNames, most| {
        let names = std::iter::from_fn(|| backlog.next_unseen(most));
        names.map(|name| name.to_string()).collect::<Vec<_>>()
    };
    let mut backlog = lexical(&["b", "d", "f", "h"], false);
    assert!(backlog.has_unseen(3));
    assert_eq!(look(&mut backlog, 3), ["b", "d", "f"]);
    assert!(!backlog.has_unseen(3));
    backlog.first();
    backlog.insert(pending("c", 0));
    backlog.insert(pending("g", 0));
    assert_eq!(look(&mut backlog, 9), ["h"], "arrivals were looked at");
    // One has gone, one was missed.
    backlog.replace(found(&["c", "f", "ff", "g", "h"], false));
    assert_eq!(look(&mut backlog, 9), ["ff", "g", "h"]);
    assert_eq!(backlog.last().unwrap().to_string(), "h");
    assert!(!backlog.has_unseen(9));
}
