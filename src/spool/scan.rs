//! One look at all names in `new/`, a few at a time: what there is no room for is not held.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::path::Path;

use super::Name;
use super::order::Order;
use super::waiting::{Found, MOST_HELD, Pending, nanoseconds};

/// So many names more than there is room for are held before the last in the order are dropped.
const SLACK: usize = 4096;

/// A look that has begun.
pub struct Scan {
    entries: ReadDir,
    order: Order,
    names: Vec<Pending>,
    /// Whoever is behind this one is not among those that are held.
    last: Option<Pending>,
    more: bool,
}

impl Scan {
    /// Begins at the first name in `new`.
    pub fn begin(new: &Path, order: Order) -> io::Result<Scan> {
        Ok(Scan {
            entries: fs::read_dir(new)?,
            order,
            names: Vec::new(),
            last: None,
            more: false,
        })
    }

    /// Reads so many entries more, and holds the `wanted` names but for hidden ones and directories:
    /// those that are first in the order. Whether there are further entries.
    pub fn step(&mut self, count: usize, wanted: impl Fn(&OsStr) -> bool) -> io::Result<bool> {
        for _ in 0..count {
            let Some(entry) = self.entries.next() else {
                return Ok(false);
            };
            self.add(&entry?, &wanted);
        }
        Ok(true)
    }

    fn add(&mut self, entry: &DirEntry, wanted: impl Fn(&OsStr) -> bool) {
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().first() == Some(&b'.');
        if hidden || entry.file_type().is_ok_and(|kind| kind.is_dir()) || !wanted(&name) {
            return;
        }
        let Some(modified) = self.modified(entry) else {
            return;
        };
        let name = Name::new(&name);
        let one = Pending { modified, name };
        if let Some(last) = &self.last
            && one.compare(last, self.order).is_gt()
        {
            self.more = true;
            return;
        }
        self.names.push(one);
        if self.names.len() > MOST_HELD + SLACK {
            self.keep_first();
        }
    }

    /// `None`: it has gone.
    fn modified(&self, entry: &DirEntry) -> Option<i64> {
        if !self.order.is_by_time() {
            return Some(0);
        }
        let meta = entry.metadata().ok()?;
        Some(meta.modified().map_or(0, nanoseconds))
    }

    fn keep_first(&mut self) {
        let order = self.order;
        let room = MOST_HELD.saturating_sub(1);
        if self.names.len() > room {
            self.names
                .select_nth_unstable_by(room, |a, b| a.compare(b, order));
            self.more |= self.names.len() > MOST_HELD;
            self.names.truncate(MOST_HELD);
            self.last = self.names.last().cloned();
        }
    }

    /// What was found, in order.
    pub fn end(mut self) -> Found {
        self.keep_first();
        let order = self.order;
        self.names.sort_unstable_by(|a, b| a.compare(b, order));
        self.names.dedup();
        Found {
            names: self.names,
            more: self.more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(dir: &Path, order: Order, wanted: impl Fn(&OsStr) -> bool) -> (Vec<String>, bool) {
        let mut scan = Scan::begin(dir, order).unwrap();
        while scan.step(1000, &wanted).unwrap() {}
        let Found { names, more } = scan.end();
        let names = names.iter().map(|one| one.name.to_string()).collect();
        (names, more)
    }

    #[test]
    fn a_scan_lists_requests_in_order_and_skips_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        for (seconds, file) in ["b", "a", "B", ".hidden", "known"].iter().enumerate() {
            let file = fs::File::create(dir.path().join(file)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds as u64);
            file.set_modified(time).unwrap();
        }
        fs::create_dir(dir.path().join("sub")).unwrap();
        for (order, expect) in [
            (Order::Lexical, ["B", "a", "b"]),
            (Order::ReverseLexical, ["b", "a", "B"]),
            (Order::OldestFirst, ["b", "a", "B"]),
            (Order::NewestFirst, ["B", "a", "b"]),
        ] {
            let (names, more) = scan(dir.path(), order, |name| name != "known");
            assert_eq!((names, more), (expect.map(String::from).into(), false));
        }
    }

    #[test]
    fn the_first_in_the_order_are_held_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let count = MOST_HELD + 2 * SLACK + 10;
        let name = |n: usize| format!("{n:05}");
        for n in 0..count {
            fs::write(dir.path().join(name(n)), "").unwrap();
        }
        let first: Vec<_> = (0..MOST_HELD).map(name).collect();
        assert_eq!(scan(dir.path(), Order::Lexical, |_| true), (first, true));
        let last: Vec<_> = (count - MOST_HELD..count).rev().map(name).collect();
        let found = scan(dir.path(), Order::ReverseLexical, |_| true);
        assert_eq!(found, (last, true));
        let few = |wanted: &OsStr| wanted.as_encoded_bytes().ends_with(b"00");
        assert!(!scan(dir.path(), Order::Lexical, few).1);
    }
}
