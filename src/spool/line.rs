//! Pure: the requests that wait, in the order in which they are taken. Those that may have made the
//! broker end a connection stand aside, and are not passed for ever.

use std::collections::BTreeMap;

use super::Name;
use super::order::Key;

/// So many others may pass a suspect that waits. Then it goes first.
pub const PASSES: usize = 20;

#[derive(Debug, Default)]
pub struct Line {
    waiting: BTreeMap<Key, Name>,
    suspects: BTreeMap<Key, Name>,
    /// How many others were taken since the last suspect, while one waits.
    passes: usize,
}

impl Line {
    pub fn join(&mut self, key: Key, name: Name) {
        let list = if key.is_suspect() {
            &mut self.suspects
        } else {
            &mut self.waiting
        };
        list.insert(key, name);
    }

    /// Whether it was waiting.
    pub fn leave(&mut self, key: &Key) -> bool {
        self.waiting
            .remove(key)
            .or_else(|| self.suspects.remove(key))
            .is_some()
    }

    /// Who is taken next.
    pub fn first(&self) -> Option<&Key> {
        let list = if self.is_suspects_turn() {
            &self.suspects
        } else {
            &self.waiting
        };
        list.first_key_value().map(|(key, _)| key)
    }

    pub fn take(&mut self) -> Option<(Key, Name)> {
        if self.is_suspects_turn() {
            self.passes = 0;
            return self.suspects.pop_first();
        }
        self.passes = if self.suspects.is_empty() {
            0
        } else {
            self.passes + 1
        };
        self.waiting.pop_first()
    }

    /// Nobody above suspicion waits, or enough of them have passed.
    fn is_suspects_turn(&self) -> bool {
        !self.suspects.is_empty() && (self.waiting.is_empty() || self.passes >= PASSES)
    }
}
