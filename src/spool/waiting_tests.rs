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
    let mut waiting = WaitingNames::new(Order::Lexical);
    waiting.replace(found(names, more));
    waiting
}

fn drained(waiting: &mut WaitingNames) -> Vec<String> {
    std::iter::from_fn(|| waiting.first())
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
        let mut waiting = WaitingNames::new(order);
        for one in [&c, &a, &b] {
            waiting.insert(one.clone());
        }
        assert_eq!(drained(&mut waiting), expect, "{order:?}");
    }
}

#[test]
fn who_arrives_waits_behind_those_that_wait_but_not_behind_those_that_passed() {
    let mut waiting = lexical(&["b", "d"], false);
    assert!(waiting.precedes(&pending("c", 0)));
    waiting.insert(pending("c", 0));
    waiting.insert(pending("c", 0));
    assert_eq!(waiting.first().unwrap().to_string(), "b");
    assert!(
        !waiting.precedes(&pending("a", 0)),
        "those that were before it are in the queue"
    );
    assert_eq!(drained(&mut waiting), ["c", "d"]);
    assert!(waiting.is_empty());
    assert!(!waiting.precedes(&pending("e", 0)), "nothing waits");
}

#[test]
fn who_is_behind_all_that_are_held_is_left_on_disk_if_others_are() {
    let mut waiting = lexical(&["b"], true);
    waiting.insert(pending("c", 0));
    waiting.insert(pending("a", 0));
    assert_eq!(drained(&mut waiting), ["a", "b"]);
    assert!(!waiting.is_empty() && waiting.is_short());
    assert!(waiting.precedes(&pending("c", 0)), "others wait on disk");
}

#[test]
fn names_have_a_bound() {
    let names = (0..MOST_HELD).map(|n| pending(&format!("{n:06}"), 0));
    let mut waiting = WaitingNames::new(Order::Lexical);
    names.for_each(|one| waiting.insert(one));
    assert!(!waiting.more);
    waiting.insert(pending("x", 0));
    assert!(waiting.more, "it is behind all");
    waiting.insert(pending("", 0));
    assert_eq!(waiting.names.len(), MOST_HELD);
    assert_eq!(waiting.last().unwrap().to_string(), "032766");
}

#[test]
fn each_is_looked_at_once_also_when_the_directory_is_read_again() {
    let look = |waiting: &mut WaitingNames, most| {
        let names = std::iter::from_fn(|| waiting.next_unseen());
        names
            .take(most)
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    let mut waiting = lexical(&["b", "d", "f", "h"], false);
    assert_eq!(look(&mut waiting, 3), ["b", "d", "f"]);
    assert!(waiting.has_unseen());
    waiting.first();
    waiting.insert(pending("c", 0));
    waiting.insert(pending("g", 0));
    assert_eq!(look(&mut waiting, 9), ["h"], "arrivals were looked at");
    // One has gone, one was missed.
    waiting.replace(found(&["c", "f", "ff", "g", "h"], false));
    assert_eq!(look(&mut waiting, 9), ["ff", "g", "h"]);
    assert_eq!(waiting.last().unwrap().to_string(), "h");
    assert!(!waiting.has_unseen());
}

#[test]
fn what_is_left_to_a_scan_is_not_forgotten() {
    let mut waiting = lexical(&["a", "b"], false);
    waiting.next_unseen();
    waiting.leave_to_a_scan();
    assert_eq!(waiting.first(), None);
    assert!(!waiting.is_empty() && waiting.is_short() && !waiting.has_unseen());
    assert!(waiting.precedes(&pending("c", 0)), "it waits behind them");
}
