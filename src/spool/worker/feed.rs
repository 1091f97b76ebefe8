//! What is reported of those that wait, and when.

use std::time::SystemTime;

use super::super::Name;
use super::super::queue::MOST_NAMES;
use super::super::waiting::{Pending, nanoseconds};
use super::messages::{Sighting, WorkerEvent};
use super::state::{AT_A_TIME, Worker};

/// Names that are reported, and not gone since. Those that have just gone may still be in the
/// queue.
const MOST_TOLD: usize = MOST_NAMES - 1024;
/// So many are reported although nobody has asked for them: as they arrive, or, before they would wait
/// behind others, by their place in the order.
const UNASKED: usize = 128;
const UNASKED_IN_ORDER: usize = 1024;
/// So many of those that wait are looked at for their priority before the first is taken.
const FIRST_LOOKS: usize = 1024;

impl Worker {
    pub(super) fn asked(&mut self, first: usize, last: usize) {
        let wanted = self.wanted.get_or_insert_default();
        wanted.first += first;
        wanted.last += last;
    }

    pub(super) fn has_room(&self) -> bool {
        self.arrivals.count_told() < MOST_TOLD
    }

    /// Looks at some of the files that have arrived.
    pub(super) fn look_at_arrivals(&mut self, news: &mut Vec<WorkerEvent>) {
        // What was closed before it is opened is read to its end.
        self.arrivals.catch_up();
        let mut found = Vec::new();
        for _ in 0..AT_A_TIME {
            let Some(arrival) = self.arrivals.found.pop_front() else {
                break;
            };
            if let Some(sighting) = self.sighted(&arrival.name, arrival.certain, news) {
                found.extend(self.or_waits(sighting));
            }
        }
        self.report(found, news);
    }

    /// One that has arrived, unless it has to wait behind others.
    fn or_waits(&mut self, sighting: Sighting) -> Option<Sighting> {
        let Sighting { name, facts, .. } = &sighting;
        if self.arrivals.has_told(name.as_os_str()) {
            return Some(sighting);
        }
        let count = self.arrivals.count_told();
        let urgent = facts.priority.is_some() || facts.slot.is_some();
        if urgent && count < MOST_TOLD {
            return Some(sighting);
        }
        let arrival = self.pending(name, facts.modified);
        let waits = if !self.scanning.has_ended() || self.names.precedes(&arrival) {
            true
        } else if self.names.is_empty() {
            count >= UNASKED
        } else {
            count >= UNASKED_IN_ORDER
        };
        if !waits {
            return Some(sighting);
        }
        if !self.scanning.arrived(&arrival) {
            self.arrivals.intake.scan_soon();
        }
        self.names.insert(arrival);
        None
    }

    fn pending(&self, name: &Name, modified: SystemTime) -> Pending {
        let by_time = self.reporting.order.is_by_time();
        Pending {
            modified: if by_time { nanoseconds(modified) } else { 0 },
            name: name.clone(),
        }
    }

    pub(super) fn can_feed(&self) -> bool {
        let wanted = self.wanted.unwrap_or_default();
        wanted.first + wanted.last > 0
            && self.scanning.has_ended()
            && self.names.holds_any()
            && self.has_room()
    }

    /// Reports some of those that wait, as they were asked for.
    pub(super) fn feed(&mut self, news: &mut Vec<WorkerEvent>) {
        self.arrivals.catch_up();
        let mut found = Vec::new();
        for _ in 0..AT_A_TIME {
            let Some(name) = self.next_wanted(found.len()) else {
                break;
            };
            if !self.arrivals.has_told(name.as_os_str()) {
                found.extend(self.sighted(&name, false, news));
            }
        }
        if let Some(wanted) = &mut self.wanted {
            // Those that are gone or are reported already do not count.
            let from_end = found.len().min(wanted.last);
            wanted.last -= from_end;
            wanted.first = wanted.first.saturating_sub(found.len() - from_end);
        }
        if !self.names.holds_any() && !self.names.is_empty() {
            // Nothing may have left, so that no other look is due, for instance because somebody has taken
            // them all away.
            self.arrivals.intake.scan_again();
        }
        self.report(found, news);
    }

    fn next_wanted(&mut self, found: usize) -> Option<Name> {
        let wanted = self.wanted.unwrap_or_default();
        if found < wanted.last {
            return self.names.last();
        }
        let more = found < wanted.last + wanted.first;
        more.then(|| self.names.first()).flatten()
    }

    /// Whether some of those that wait are to be looked at for their priority.
    pub(super) fn has_to_look(&self) -> bool {
        let wanted = self.reporting.priority.is_some() && (self.priorities || self.looks_first());
        wanted && self.scanning.is_over() && self.has_room() && self.names.has_unseen()
    }

    /// Whether so few were looked at since the last scan that it goes on before the first is taken.
    fn looks_first(&self) -> bool {
        self.reporting.look_at_all || self.scanning.looks < FIRST_LOOKS
    }

    /// Reports those that have a priority, wherever they wait.
    pub(super) fn look_for_priorities(&mut self, news: &mut Vec<WorkerEvent>) {
        let mut found = Vec::new();
        for _ in 0..AT_A_TIME {
            let Some(name) = self.names.next_unseen() else {
                break;
            };
            self.scanning.looks += 1;
            if self.arrivals.has_told(name.as_os_str()) {
                continue;
            }
            // Whatever is wrong with it is found when it is its turn.
            let Ok(opened) = self.open_one(&name) else {
                continue;
            };
            if self.arrivals.intake.is_unsure(&name, &opened) {
                continue;
            }
            let sighting = self.sighting(name, opened);
            if sighting.facts.priority.is_some() || sighting.facts.slot.is_some() {
                found.push(sighting);
            }
        }
        self.report(found, news);
    }

    fn report(&mut self, found: Vec<Sighting>, news: &mut Vec<WorkerEvent>) {
        for Sighting { name, facts, .. } in &found {
            self.arrivals.tells(name);
            self.priorities |= facts.priority.is_some() || facts.slot.is_some();
        }
        if !found.is_empty() {
            news.push(WorkerEvent::Found(found));
        }
    }

    /// Reports what has changed of those that wait.
    pub(super) fn tell(&mut self, news: &mut Vec<WorkerEvent>) {
        if self.has_fed() {
            self.wanted = None;
            self.waiting = !self.names.is_empty();
            news.push(WorkerEvent::Fed {
                waiting: self.waiting,
            });
        }
        if self.has_to_tell_of_waiting() {
            self.waiting = true;
            news.push(WorkerEvent::Waiting);
        }
        if self.has_to_tell_of_scan() {
            self.scanning.untold = false;
            news.push(WorkerEvent::Scanned);
        }
    }

    pub(super) fn has_to_tell(&self) -> bool {
        self.has_fed() || self.has_to_tell_of_waiting() || self.has_to_tell_of_scan()
    }

    /// Whether all was reported that was asked for, or all there is.
    fn has_fed(&self) -> bool {
        self.wanted.is_some_and(|wanted| {
            wanted.first + wanted.last == 0 || self.scanning.is_over() && self.names.is_empty()
        })
    }

    fn has_to_tell_of_waiting(&self) -> bool {
        !self.waiting && self.wanted.is_none() && !self.names.is_empty()
    }

    fn has_to_tell_of_scan(&self) -> bool {
        self.scanning.untold
            && self.scanning.is_over()
            && self.arrivals.found.is_empty()
            && !self.can_feed()
            && !(self.looks_first() && self.has_to_look())
    }
}
