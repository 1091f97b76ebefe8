//! Pure: which request is the newest of its priority slot. Only that one goes by its priority.

use std::collections::HashMap;

use super::Name;
use super::order::{Facts, Priority, Rank};

/// The newest request of each slot, among those that are waiting or in flight.
#[derive(Debug, Default)]
pub struct Slots(HashMap<String, (Name, std::time::SystemTime)>);

impl Slots {
    /// A request enters. Hands back the one that is no longer the newest of its slot because of it.
    pub fn entered(&mut self, name: &Name, facts: &Facts) -> Option<Name> {
        let slot = facts.slot.as_ref()?;
        let candidate = (name.clone(), facts.modified);
        match self.0.get_mut(slot) {
            None => {
                self.0.insert(slot.clone(), candidate);
                None
            }
            Some(newest) => {
                let newer = (facts.modified, name) > (newest.1, &newest.0);
                newer.then(|| std::mem::replace(newest, candidate).0)
            }
        }
    }

    /// A request is gone. One that was demoted because of it stays demoted.
    pub fn left(&mut self, name: &Name, facts: &Facts) {
        if let Some(slot) = &facts.slot
            && self.0.get(slot).is_some_and(|(newest, _)| newest == name)
        {
            self.0.remove(slot);
        }
    }

    /// How a request that has just entered ranks.
    pub fn rank(&self, name: &Name, facts: &Facts) -> Rank {
        match (&facts.slot, facts.priority) {
            (None, None) => Rank::Basic,
            (None, Some(priority)) => Rank::Prioritised(priority),
            (Some(slot), priority) => match self.0.get(slot) {
                Some((newest, _)) if newest == name => {
                    Rank::Prioritised(priority.unwrap_or(Priority::new(1.0)))
                }
                _ => Rank::Basic,
            },
        }
    }
}
