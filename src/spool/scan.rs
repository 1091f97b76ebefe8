//! The names in `new/`, read one by one: what there is no room for is not held.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::Path;

use super::Name;
use super::order::Order;

/// So many names more than there is room for are held before the last in the order are dropped.
const SLACK: usize = 4096;

/// What a scan has found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Names that may be requests, in byte order.
    pub names: Vec<Name>,
    /// There were more than there is room for.
    pub more: bool,
}

/// The `wanted` names in `new`, but for hidden ones and directories: at most `room`, those that are
/// first in the order by name. Orders by time are not known here.
pub fn scan(
    new: &Path,
    order: Order,
    room: usize,
    wanted: impl Fn(&Name) -> bool,
) -> io::Result<Found> {
    let mut names = Vec::new();
    let mut more = false;
    for entry in fs::read_dir(new)? {
        let entry = entry?;
        let name = Name::new(&entry.file_name());
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !name.is_hidden() && !directory && wanted(&name) {
            names.push(name);
        }
        if names.len() > room + SLACK {
            more |= keep_first(&mut names, order, room);
        }
    }
    more |= keep_first(&mut names, order, room);
    names.sort_unstable();
    Ok(Found { names, more })
}

/// Whether any had to be dropped.
fn keep_first(names: &mut Vec<Name>, order: Order, room: usize) -> bool {
    if names.len() <= room {
        return false;
    }
    names.select_nth_unstable_by(room, |a, b| compare(order, a, b));
    names.truncate(room);
    true
}

fn compare(order: Order, a: &Name, b: &Name) -> Ordering {
    match order {
        Order::ReverseLexical => b.cmp(a),
        Order::Lexical | Order::NewestFirst | Order::OldestFirst => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_ref())
    }

    #[test]
    fn a_scan_lists_requests_in_byte_order_and_skips_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b", "a", "B", ".hidden", "known"] {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        fs::create_dir(dir.path().join("sub")).unwrap();
        let known = name("known");
        let found = scan(dir.path(), Order::Lexical, 10, |name| *name != known).unwrap();
        assert_eq!(found.names, [name("B"), name("a"), name("b")]);
        assert!(!found.more);
    }

    #[test]
    fn the_first_in_the_order_are_held_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let count = SLACK * 2 + 10;
        for n in 0..count {
            fs::write(dir.path().join(format!("{n:05}")), "").unwrap();
        }
        for (order, first) in [(Order::Lexical, 0), (Order::ReverseLexical, count - 3)] {
            let found = scan(dir.path(), order, 3, |_| true).unwrap();
            let expect: Vec<Name> = (first..first + 3)
                .map(|n| name(&format!("{n:05}")))
                .collect();
            assert_eq!((found.names, found.more), (expect, true), "{order:?}");
        }
        let found = scan(dir.path(), Order::Lexical, count, |_| true).unwrap();
        assert_eq!((found.names.len(), found.more), (count, false));
    }
}
