//! Pure: the requests that wait, in the order in which they are taken. Those that may have made the
//! broker end a connection stand aside, and are not passed for ever.

use std::collections::BTreeMap;

use super::Name;
use super::order::Key;

/// So many others may pass a suspect that waits. Then it goes first. Doubled each time when it turns
/// out that a suspect did end a connection, up to `MOST_PASSES`: each such turn costs the others a reconnect.
pub const PASSES: usize = 20;
const MOST_PASSES: usize = 20 << 10;

#[derive(Debug)]
pub struct ReadyQueue {
    waiting: BTreeMap<Key, Name>,
    suspects: BTreeMap<Key, Name>,
    /// How many others were taken since the last suspect, while one waits.
    passes: usize,
    most_passes: usize,
}

impl Default for ReadyQueue {
    fn default() -> Self {
        ReadyQueue {
            waiting: BTreeMap::new(),
            suspects: BTreeMap::new(),
            passes: 0,
            most_passes: PASSES,
        }
    }
}

impl ReadyQueue {
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
        self.turn().first_key_value().map(|(key, _)| key)
    }

    pub fn first_name(&self) -> Option<&Name> {
        self.turn().first_key_value().map(|(_, name)| name)
    }

    fn turn(&self) -> &BTreeMap<Key, Name> {
        if self.is_suspects_turn() {
            &self.suspects
        } else {
            &self.waiting
        }
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

    /// The suspect that is taken next, to fly with another one.
    pub fn first_suspect(&self) -> Option<&Name> {
        self.suspects.first_key_value().map(|(_, name)| name)
    }

    pub fn take_suspect(&mut self) -> Option<(Key, Name)> {
        self.suspects.pop_first()
    }

    /// Who is tried while nothing is accepted: from either end, because those at one end may all be of
    /// the kind that is refused.
    pub fn take_probe(&mut self, last: bool) -> Option<(Key, Name)> {
        let waiting = if last {
            self.waiting.pop_last()
        } else {
            self.waiting.pop_first()
        };
        waiting.or_else(|| self.suspects.pop_first())
    }

    /// Suspects had their turn, and the broker ended the connection again.
    pub fn suspects_failed(&mut self) {
        self.most_passes = (self.most_passes * 2).min(MOST_PASSES);
    }

    /// A suspect was innocent.
    pub fn suspect_cleared(&mut self) {
        self.most_passes = PASSES;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.suspects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.suspects.is_empty()
    }

    /// Nobody above suspicion waits, or enough of them have passed.
    fn is_suspects_turn(&self) -> bool {
        !self.suspects.is_empty() && (self.waiting.is_empty() || self.passes >= self.most_passes)
    }
}
