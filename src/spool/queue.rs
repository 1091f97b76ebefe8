//! Pure: which request of an action directory is taken next, and what becomes of it afterwards.
//! Holds names and facts, never contents.

use crate::waits::earliest;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::Name;
use super::jam::Jam;
use super::order::{Facts, Key, Order, Rank};
use super::outcome::{Disposal, NextRequest, Outcome, Readiness};
use super::ready_queue::ReadyQueue;
use super::record::{FIRST_PAUSE, Record, RetryDecision};
use super::slots::Slots;

/// Names held at most. More stay on disk until there is room.
pub const MOST_NAMES: usize = 16 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    pub order: Order,
    /// Requests in flight at the same time, at least 1.
    pub window: usize,
    /// Further attempts after a refusal that may pass, while others are accepted.
    pub retries: u32,
    /// How long a full window may go without any answer.
    pub jam: Duration,
}

#[derive(Debug)]
struct Entry {
    facts: Facts,
    rank: Rank,
    state: RequestState,
    /// What speaks against it; nothing for most.
    record: Option<Box<Record>>,
}

impl Entry {
    fn new(facts: Facts, rank: Rank, state: RequestState) -> Self {
        Entry {
            facts,
            rank,
            state,
            record: None,
        }
    }

    fn record(&mut self) -> &mut Record {
        self.record.get_or_insert_default()
    }

    fn suspicion(&self) -> u32 {
        self.record.as_ref().map_or(0, |record| record.suspicion())
    }

    fn company(&self) -> usize {
        self.record.as_ref().map_or(1, |record| record.company())
    }

    fn was_refused(&self) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.was_refused())
    }
}

#[derive(Debug)]
enum RequestState {
    Waiting,
    Paused(Instant),
    /// `again`: a newer file of the same name arrived meanwhile.
    InFlight {
        again: Option<Facts>,
    },
    /// The attempt has ended, and the file is being disposed of.
    Landed {
        again: Option<Facts>,
    },
}

/// The requests of one directory.
#[derive(Debug)]
pub struct Queue {
    options: QueueOptions,
    entries: HashMap<Name, Entry>,
    line: ReadyQueue,
    paused: BTreeSet<(Instant, Name)>,
    slots: Slots,
    in_flight: usize,
    /// The most in flight at one time since nothing was.
    flown: usize,
    /// Suspects, or a probe, are in flight: so many more suspects may join them, and nobody else.
    trial: Option<usize>,
    /// The broker accepts nothing: one request at a time is tried.
    probing: bool,
    /// The next probe is the last in the order, not the first.
    probe_last: bool,
    jam: Jam,
}

impl Queue {
    pub fn new(options: QueueOptions) -> Self {
        Queue {
            options,
            entries: HashMap::new(),
            line: ReadyQueue::default(),
            paused: BTreeSet::new(),
            slots: Slots::default(),
            in_flight: 0,
            flown: 0,
            trial: None,
            probing: false,
            probe_last: false,
            jam: Jam::new(options.jam),
        }
    }

    /// A file is there under this name. Repetition is harmless; a newer file of the same name takes
    /// the place of one that waits, and waits behind one that is in flight. `false`: no room, the
    /// file must be found again by a scan.
    pub fn arrived(&mut self, name: Name, facts: Facts) -> bool {
        let full = self.entries.len() >= MOST_NAMES;
        match self.entries.get_mut(&name) {
            // The scan that follows brings it back in its order: nothing is forgotten, only found later.
            None if full => return false,
            None => self.enter(name, facts),
            Some(entry) => match &mut entry.state {
                // An event for the very file that is on its way: publishing it once more would be a duplicate.
                RequestState::InFlight { .. } if entry.facts.identity == facts.identity => {}
                // The file behind the name is another one now. It must not overtake the one in flight, whose
                // disposal would remove it unseen.
                RequestState::InFlight { again } | RequestState::Landed { again } => {
                    *again = Some(facts)
                }
                // A pause is for the contents: only new contents end it.
                RequestState::Paused(_) if entry.facts.identity == facts.identity => {}
                RequestState::Waiting if entry.facts == facts => {}
                RequestState::Paused(_) | RequestState::Waiting => {
                    self.leave(&name);
                    self.enter(name, facts);
                }
            },
        }
        true
    }

    fn enter(&mut self, name: Name, facts: Facts) {
        // Of a slot only the newest goes by its priority; the older ones keep their place in the order.
        if let Some(older) = self.slots.entered(&name, &facts) {
            self.demote(&older);
        }
        let rank = self.slots.rank(&name, &facts);
        self.line_up(name, Entry::new(facts, rank, RequestState::Waiting));
    }

    /// Puts a request that waits where it belongs.
    fn line_up(&mut self, name: Name, entry: Entry) {
        self.line.join(self.key(&name, &entry), name.clone());
        self.entries.insert(name, entry);
    }

    /// Takes the name out of every list.
    fn leave(&mut self, name: &Name) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        self.line.leave(&self.key(name, &entry));
        if let RequestState::Paused(until) = entry.state {
            self.paused.remove(&(until, name.clone()));
        }
        self.slots.left(name, &entry.facts);
        Some(entry)
    }

    fn demote(&mut self, name: &Name) {
        let Some(mut entry) = self.entries.remove(name) else {
            return;
        };
        let waits = self.line.leave(&self.key(name, &entry));
        entry.rank = Rank::Basic;
        if waits {
            self.line_up(name.clone(), entry);
        } else {
            self.entries.insert(name.clone(), entry);
        }
    }

    fn key(&self, name: &Name, entry: &Entry) -> Key {
        Key::new(
            self.options.order,
            entry.suspicion(),
            entry.rank,
            &entry.facts,
            name,
        )
    }

    /// The next request to carry out, which is in flight from now on. `None`: nothing waits, or the
    /// window is full. `prioritised` says whether it was taken by its priority.
    pub fn next(&mut self, now: Instant) -> Option<NextRequest> {
        if self.readiness() == Readiness::Nothing {
            return None;
        }
        let (key, name) = self.take()?;
        self.in_flight += 1;
        self.flown = self.flown.max(self.in_flight);
        self.jam.window(self.in_flight >= self.options.window, now);
        // A suspect flies with fewer each time, until it is alone and the next ending can only be its own.
        let company = self.entries.get(&name).map_or(1, Entry::company);
        if key.is_suspect() || self.probing {
            let room = company.saturating_sub(self.in_flight);
            self.trial = Some(
                self.trial
                    .map_or(room, |left| room.min(left.saturating_sub(1))),
            );
        }
        let entry = self.entries.get_mut(&name)?;
        entry.state = RequestState::InFlight { again: None };
        Some(NextRequest {
            name,
            prioritised: entry.rank != Rank::Basic,
            refused_before: entry.was_refused(),
        })
    }

    fn take(&mut self) -> Option<(Key, Name)> {
        if self.trial.is_some() {
            return self.line.take_suspect();
        }
        if self.probing {
            // From both ends in turn: a message that the policy forbids may stand at either.
            let last = self.probe_last;
            self.probe_last = !last;
            return self.line.take_probe(last);
        }
        self.line.take()
    }

    /// Whether the window is not full, if so many others count too.
    pub fn has_room_beside(&self, others: usize) -> bool {
        self.in_flight + others < self.options.window
    }

    /// How many wait for their turn.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// How large the file of the next request is, as far as that is known.
    pub fn next_size(&self) -> u64 {
        let next = self.line.first_name();
        next.and_then(|name| self.entries.get(name))
            .map_or(0, |entry| entry.facts.identity.size)
    }

    /// Whether [`Queue::next`] would hand out something.
    pub fn readiness(&self) -> Readiness {
        if self.in_flight >= self.options.window {
            return Readiness::Nothing;
        }
        if let Some(room) = self.trial {
            return self.trial_readiness(room);
        }
        if self.probing {
            let idle = self.in_flight == 0 && !self.line.is_empty();
            return if idle {
                Readiness::Alone
            } else {
                Readiness::Nothing
            };
        }
        match (self.line.first(), self.in_flight) {
            (None, _) => Readiness::Nothing,
            (Some(key), 0) if key.is_suspect() => Readiness::Alone,
            (Some(key), _) if key.is_suspect() => Readiness::Nothing,
            (Some(_), _) => Readiness::Together,
        }
    }

    /// Whether another suspect may join those in flight.
    fn trial_readiness(&self, room: usize) -> Readiness {
        let next = self.line.first_suspect();
        let company = next
            .and_then(|name| self.entries.get(name))
            .map_or(0, Entry::company);
        if !self.probing && room > 0 && company > self.in_flight {
            Readiness::Alone
        } else {
            Readiness::Nothing
        }
    }

    /// Whether the broker accepts nothing at present, so that only one request at a time is to be
    /// tried. When that is over, what was refused meanwhile need not wait for the end of its pause.
    pub fn probing(&mut self, probing: bool) {
        self.probing = probing;
    }

    /// The broker accepts requests again: those that were refused are tried again at once.
    pub fn accepts_again(&mut self) {
        let refused = self.paused.iter().filter(|(_, name)| {
            self.entries
                .get(name)
                .is_some_and(|entry| entry.was_refused() && entry.suspicion() == 0)
        });
        for (until, name) in refused.cloned().collect::<Vec<_>>() {
            self.paused.remove(&(until, name.clone()));
            self.wait(&name);
        }
    }

    /// Requests whose pause is over wait again. To be called before [`Queue::readiness`].
    pub fn resume(&mut self, now: Instant) {
        while self.paused.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, name)) = self.paused.pop_first() {
                self.wait(&name);
            }
        }
    }

    fn wait(&mut self, name: &Name) {
        if let Some(mut entry) = self.entries.remove(name) {
            entry.state = RequestState::Waiting;
            self.line_up(name.clone(), entry);
        }
    }

    /// The attempt ended. For everything but [`Disposal::Keep`] the caller disposes of the file and
    /// then says [`Queue::gone`].
    pub fn settled(&mut self, name: &Name, outcome: Outcome, now: Instant) -> Disposal {
        let answered = matches!(
            outcome,
            Outcome::Delivered | Outcome::Refused(_) | Outcome::Denied(_) | Outcome::Unusable(_)
        );
        // Before they are forgotten: the verdict depends on how many were on the way.
        let (flown, tried) = (self.flown, self.trial.is_some());
        self.landed(answered, now);
        let Some(entry) = self.entries.get_mut(name) else {
            return Disposal::Forget;
        };
        if let RequestState::InFlight { again } = &mut entry.state {
            entry.state = RequestState::Landed {
                again: again.take(),
            };
        }
        let verdict = match outcome {
            Outcome::Delivered => {
                if entry.suspicion() > 0 {
                    self.line.suspect_cleared();
                }
                return Disposal::Remove;
            }
            Outcome::Vanished => return Disposal::Forget,
            Outcome::Unusable(reason) | Outcome::Denied(reason) => RetryDecision::GiveUp {
                reason,
                attempts: 1,
            },
            Outcome::Refused(refusal) => entry.record().refused(refusal, self.options.retries),
            Outcome::Interrupted { blame: Some(blame) } => {
                // One of those in flight is the oldest, so each ending is counted once.
                if tried && blame.oldest {
                    self.line.suspects_failed();
                }
                entry.record().suspected(blame, flown)
            }
            // A lost connection costs no retry: the broker has not answered.
            Outcome::Interrupted { blame: None } => RetryDecision::Keep(Duration::ZERO),
            // Something here was in the way, and the broker has not been asked: no retry is spent.
            Outcome::Postponed(_) => RetryDecision::Keep(FIRST_PAUSE),
        };
        match verdict {
            RetryDecision::Keep(pause) => self.keep(name, pause, now),
            RetryDecision::GiveUp { reason, attempts } => {
                Disposal::MoveToFailed { reason, attempts }
            }
        }
    }

    fn landed(&mut self, answered: bool, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.trial = None;
            self.flown = 0;
        }
        // A lost connection is no answer: it must not stop the stopwatch of a jam.
        if answered {
            self.jam.answered(now);
        }
        self.jam.window(self.in_flight >= self.options.window, now);
    }

    fn keep(&mut self, name: &Name, pause: Duration, now: Instant) -> Disposal {
        let Some(entry) = self.entries.get_mut(name) else {
            return Disposal::Forget;
        };
        if let RequestState::Landed { again: Some(newer) } = &entry.state {
            // The file that was refused is no longer there.
            let newer = newer.clone();
            self.leave(name);
            self.enter(name.clone(), newer);
        } else if pause.is_zero() {
            self.wait(name);
        } else {
            entry.state = RequestState::Paused(now + pause);
            self.paused.insert((now + pause, name.clone()));
        }
        Disposal::Keep { pause }
    }

    /// The file was disposed of. A newer one of the same name, if it has arrived, waits now. Does
    /// nothing for a request in flight: that file is another one.
    pub fn gone(&mut self, name: &Name) {
        if self.is_in_flight(name) {
            return;
        }
        if let Some(Entry {
            state: RequestState::Landed { again: Some(newer) },
            ..
        }) = self.leave(name)
        {
            self.enter(name.clone(), newer);
        }
    }

    fn is_in_flight(&self, name: &Name) -> bool {
        self.entries
            .get(name)
            .is_some_and(|entry| matches!(entry.state, RequestState::InFlight { .. }))
    }

    pub fn link_up(&mut self, now: Instant) {
        self.jam.link(true, now);
    }

    pub fn link_down(&mut self, now: Instant) {
        self.jam.link(false, now);
    }

    /// Whether the window was full without any answer for too long.
    pub fn jammed(&mut self, now: Instant) -> bool {
        self.jam.look(now)
    }

    /// When to ask [`Queue::next`] or [`Queue::jammed`] again, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let paused = self.paused.first().map(|(until, _)| *until);
        earliest([paused, self.jam.deadline()])
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
