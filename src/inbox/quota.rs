//! Pure: how much of an inbox is taken.

use std::collections::HashMap;

use crate::spool::Name;

/// The bounds of one inbox, and what stands in it.
#[derive(Debug)]
pub struct Quota {
    most_files: usize,
    most_bytes: u64,
    inventory: HashMap<Name, u64>,
    bytes: u64,
}

impl Quota {
    pub fn new(most_files: usize, most_bytes: u64) -> Quota {
        Quota {
            most_files,
            most_bytes,
            inventory: HashMap::new(),
            bytes: 0,
        }
    }

    /// Messages in the inbox.
    pub fn files(&self) -> usize {
        self.inventory.len()
    }

    /// Their bytes, with those of their headers.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether `files` more, of so many bytes together, may be put into it. A single one always fits
    /// an empty inbox, or it would wait for ever.
    pub fn fits(&self, files: usize, bytes: u64) -> bool {
        let alone = self.inventory.is_empty() && files == 1;
        let within = self.bytes.saturating_add(bytes) <= self.most_bytes;
        self.inventory.len() + files <= self.most_files && (within || alone)
    }

    /// Whether a full inbox has become so empty that this is worth telling.
    pub fn is_relieved(&self) -> bool {
        self.inventory.len() <= self.most_files / 4 * 3 && self.bytes <= self.most_bytes / 4 * 3
    }

    /// A message was put into it.
    pub fn put(&mut self, name: Name, bytes: u64) {
        self.bytes += bytes;
        self.bytes -= self.inventory.insert(name, bytes).unwrap_or(0);
    }

    /// A message has left. One that is not known makes no difference.
    pub fn left(&mut self, name: &Name) {
        self.bytes -= self.inventory.remove(name).unwrap_or(0);
    }

    /// What a look at the directory has found.
    pub fn counted(&mut self, inventory: HashMap<Name, u64>) {
        self.bytes = inventory.values().sum();
        self.inventory = inventory;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_ref())
    }

    #[test]
    fn an_inbox_is_full_by_files_or_by_bytes() {
        let mut room = Quota::new(3, 100);
        room.put(name("a"), 40);
        room.put(name("b"), 40);
        for (files, bytes, fits) in [(1, 20, true), (1, 21, false), (2, 2, false)] {
            assert_eq!(
                room.fits(files, bytes),
                fits,
                "{files} files, {bytes} bytes"
            );
        }
        room.left(&name("a"));
        assert!(room.fits(2, 60));
        room.left(&name("a"));
        assert_eq!((room.files(), room.bytes()), (1, 40), "it left once");
    }

    #[test]
    fn an_inbox_that_fills_and_drains_by_single_messages_is_reported_once() {
        let mut room = Quota::new(8, 800);
        (0..8).for_each(|n| room.put(name(&n.to_string()), 100));
        room.left(&name("0"));
        assert!(room.fits(1, 1) && !room.is_relieved());
        room.left(&name("1"));
        assert!(room.is_relieved());
    }

    #[test]
    fn a_single_message_fits_an_empty_inbox_whatever_its_size() {
        let mut room = Quota::new(3, 100);
        assert!(room.fits(1, 1000) && !room.fits(2, 1000));
        room.put(name("a"), 1000);
        assert!(!room.fits(1, 1));
    }

    #[test]
    fn a_look_at_the_directory_replaces_what_was_believed() {
        let mut room = Quota::new(3, 100);
        room.put(name("a"), 50);
        room.counted([(name("b"), 10), (name("c"), 20)].into());
        assert_eq!((room.files(), room.bytes()), (2, 30));
    }
}
