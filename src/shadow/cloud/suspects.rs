//! Pure: updates that fail again and again for no reason of their own that anybody names: which of
//! them let the others go first, and when one is given up.

use std::collections::BTreeMap;

/// Failures in a row before the parts of an update go one by one.
const PATIENCE: u32 = 3;

#[derive(Debug)]
struct Suspect {
    /// It had its last turn at this count of all turns.
    turn: u64,
    /// The cloud has accepted something else since it is suspect.
    others_pass: bool,
}

/// The subjects of updates that failed while they were alone.
#[derive(Debug, Default)]
pub struct Suspects {
    failures: u32,
    turns: u64,
    by_key: BTreeMap<String, Suspect>,
}

impl Suspects {
    /// An update has failed.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether updates have failed so often in a row that one of their parts may be the cause.
    pub fn are_likely(&self) -> bool {
        self.failures >= PATIENCE
    }

    /// What failed was alone with this subject: others go first.
    pub fn blame(&mut self, key: &str) {
        self.turns += 1;
        let turn = self.turns;
        let suspect = self.by_key.entry(key.to_owned()).or_insert(Suspect {
            turn,
            others_pass: false,
        });
        suspect.turn = turn;
    }

    /// Whether it lets others go first.
    pub fn contains(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Whether the cloud has accepted others since it failed, so that the fault is its own.
    pub fn is_proven(&self, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|it| it.others_pass)
    }

    /// The one whose last turn is the longest ago comes first.
    pub fn in_turn(&self) -> Vec<&str> {
        let mut keys: Vec<(&String, &Suspect)> = self.by_key.iter().collect();
        keys.sort_by_key(|(_, suspect)| suspect.turn);
        keys.into_iter().map(|(key, _)| key.as_str()).collect()
    }

    /// The cloud has accepted an update about these.
    pub fn accepted<'a>(&mut self, keys: impl Iterator<Item = &'a String>) {
        self.failures = 0;
        for key in keys {
            self.by_key.remove(key);
        }
        for suspect in self.by_key.values_mut() {
            suspect.others_pass = true;
        }
    }

    /// It is given up.
    pub fn forget(&mut self, key: &str) {
        self.by_key.remove(key);
    }
}
