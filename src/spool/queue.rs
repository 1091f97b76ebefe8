//! Pure: which request of an action directory is taken next, and what becomes of it afterwards.
//! Holds names and facts, never contents.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use super::jam::Jam;
use super::line::Line;
use super::order::{Facts, Key, Order, Rank};
use super::outcome::{Disposal, Next, Outcome, Readiness};
use super::slots::Slots;
use super::{Identity, Name};

/// The first pause before a refused request is tried again; each further one is four times longer.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Names held at most. More stay on disk until there is room.
pub const MOST_NAMES: usize = 100_000;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub order: Order,
    /// Requests in flight at the same time, at least 1.
    pub window: usize,
    /// Further attempts after a refusal that may pass.
    pub retries: u32,
    /// How long a full window may go without any answer.
    pub jam: Duration,
}

#[derive(Debug)]
struct Entry {
    facts: Facts,
    rank: Rank,
    state: State,
    /// Refusals so far.
    refusals: u32,
    /// Connections ended by the broker, perhaps because of this request.
    suspicion: u32,
}

#[derive(Debug)]
enum State {
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
    /// Carried out or given up, but the file could not be removed: never taken again.
    SetAside,
}

/// The requests of one directory.
#[derive(Debug)]
pub struct Queue {
    options: Options,
    entries: HashMap<Name, Entry>,
    line: Line,
    paused: BTreeSet<(Instant, Name)>,
    slots: Slots,
    in_flight: usize,
    /// A suspect is in flight: it flies alone.
    suspect_in_flight: bool,
    /// The broker said that we send too much: nothing is taken until then.
    held: Option<Instant>,
    jam: Jam,
}

impl Queue {
    pub fn new(options: Options) -> Self {
        Queue {
            options,
            entries: HashMap::new(),
            line: Line::default(),
            paused: BTreeSet::new(),
            slots: Slots::default(),
            in_flight: 0,
            suspect_in_flight: false,
            held: None,
            jam: Jam::new(options.jam),
        }
    }

    /// Whether enough requests have left for a scan to be worth it, after one did not fit.
    pub fn has_room(&self) -> bool {
        self.entries.len() < MOST_NAMES / 2
    }

    /// Whether the name needs no second look by a scan. A request that was set aside does: its
    /// file may have been replaced.
    pub fn knows(&self, name: &Name) -> bool {
        self.entries
            .get(name)
            .is_some_and(|entry| !matches!(entry.state, State::SetAside))
    }

    /// A file is there under this name. Repetition is harmless; a newer file of the same name takes
    /// the place of one that waits, and waits behind one that is in flight. `false`: no room, the
    /// file must be found again by a scan.
    pub fn arrived(&mut self, name: Name, facts: Facts) -> bool {
        let full = self.entries.len() >= MOST_NAMES;
        match self.entries.get_mut(&name) {
            None if full => return false,
            None => self.enter(name, facts),
            Some(entry) => match &mut entry.state {
                State::InFlight { .. } if entry.facts.identity == facts.identity => {}
                State::InFlight { again } | State::Landed { again } => *again = Some(facts),
                State::SetAside if entry.facts.identity == facts.identity => {}
                State::Paused(_) if entry.facts.identity == facts.identity => {}
                State::Waiting if entry.facts == facts => {}
                State::SetAside | State::Paused(_) | State::Waiting => {
                    self.leave(&name);
                    self.enter(name, facts);
                }
            },
        }
        true
    }

    fn enter(&mut self, name: Name, facts: Facts) {
        if let Some(older) = self.slots.entered(&name, &facts) {
            self.demote(&older);
        }
        let rank = self.slots.rank(&name, &facts);
        let entry = Entry {
            facts,
            rank,
            state: State::Waiting,
            refusals: 0,
            suspicion: 0,
        };
        self.line_up(name, entry);
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
        if let State::Paused(until) = entry.state {
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
            entry.suspicion,
            entry.rank,
            &entry.facts,
            name,
        )
    }

    /// The next request to carry out, which is in flight from now on. `None`: nothing waits, or the
    /// window is full. `prioritised` says whether it was taken by its priority.
    pub fn next(&mut self, now: Instant) -> Option<Next> {
        if self.readiness() == Readiness::Nothing {
            return None;
        }
        let (key, name) = self.line.take()?;
        self.suspect_in_flight = key.is_suspect();
        self.in_flight += 1;
        self.jam.window(self.in_flight >= self.options.window, now);
        let entry = self.entries.get_mut(&name)?;
        entry.state = State::InFlight { again: None };
        Some(Next {
            name,
            prioritised: entry.rank != Rank::Basic,
        })
    }

    /// Whether [`Queue::next`] would hand out something.
    pub fn readiness(&self) -> Readiness {
        if self.held.is_some() || self.suspect_in_flight || self.in_flight >= self.options.window {
            return Readiness::Nothing;
        }
        match (self.line.first(), self.in_flight) {
            (None, _) => Readiness::Nothing,
            (Some(key), 0) if key.is_suspect() => Readiness::Alone,
            (Some(key), _) if key.is_suspect() => Readiness::Nothing,
            (Some(_), _) => Readiness::Together,
        }
    }

    /// Requests whose pause is over wait again. To be called before [`Queue::readiness`].
    pub fn resume(&mut self, now: Instant) {
        self.held = self.held.filter(|until| *until > now);
        while self.paused.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, name)) = self.paused.pop_first() {
                self.wait(&name);
            }
        }
    }

    fn wait(&mut self, name: &Name) {
        if let Some(mut entry) = self.entries.remove(name) {
            entry.state = State::Waiting;
            self.line_up(name.clone(), entry);
        }
    }

    /// The attempt ended. For everything but [`Disposal::Keep`] the caller disposes of the file and
    /// then says [`Queue::gone`] or [`Queue::set_aside`].
    pub fn settled(&mut self, name: &Name, outcome: Outcome, now: Instant) -> Disposal {
        let answered = matches!(
            outcome,
            Outcome::Delivered
                | Outcome::Undelivered { .. }
                | Outcome::Denied(_)
                | Outcome::Unusable(_)
        );
        self.landed(answered, now);
        let Some(entry) = self.entries.get_mut(name) else {
            return Disposal::Forget;
        };
        let attempts = entry.refusals + 1;
        if let State::InFlight { again } = &mut entry.state {
            entry.state = State::Landed {
                again: again.take(),
            };
        }
        match outcome {
            Outcome::Delivered => Disposal::Remove,
            Outcome::Vanished => Disposal::Forget,
            Outcome::Unusable(reason) | Outcome::Denied(reason) => {
                Disposal::MoveToFailed { reason, attempts }
            }
            Outcome::Undelivered { reason, .. } if attempts > self.options.retries => {
                Disposal::MoveToFailed { reason, attempts }
            }
            Outcome::Undelivered { quota, .. } => {
                entry.refusals = attempts;
                let pause = pause_after(attempts);
                if quota {
                    self.held = self.held.max(Some(now + pause));
                }
                self.keep(name, pause, now)
            }
            Outcome::Postponed(_) => self.keep(name, FIRST_PAUSE, now),
            // A lost connection costs no retry: the broker has not answered.
            Outcome::Interrupted { suspect: false } => self.keep(name, Duration::ZERO, now),
            Outcome::Interrupted { suspect: true } => {
                // One that has ended a connection while it was alone rests before it ends another.
                let pause = match entry.suspicion {
                    0 => Duration::ZERO,
                    alone => pause_after(alone),
                };
                entry.suspicion = entry.suspicion.saturating_add(1);
                self.keep(name, pause, now)
            }
        }
    }

    fn landed(&mut self, answered: bool, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.suspect_in_flight = false;
        }
        if answered {
            self.jam.answered(now);
        }
        self.jam.window(self.in_flight >= self.options.window, now);
    }

    fn keep(&mut self, name: &Name, pause: Duration, now: Instant) -> Disposal {
        let Some(entry) = self.entries.get_mut(name) else {
            return Disposal::Forget;
        };
        if let State::Landed { again: Some(newer) } = &entry.state {
            // The file that was refused is no longer there.
            let newer = newer.clone();
            self.leave(name);
            self.enter(name.clone(), newer);
        } else if pause.is_zero() {
            self.wait(name);
        } else {
            entry.state = State::Paused(now + pause);
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
            state: State::Landed { again: Some(newer) },
            ..
        }) = self.leave(name)
        {
            self.enter(name.clone(), newer);
        }
    }

    fn is_in_flight(&self, name: &Name) -> bool {
        self.entries
            .get(name)
            .is_some_and(|entry| matches!(entry.state, State::InFlight { .. }))
    }

    /// The file could neither be removed nor moved: the request is not repeated while this very
    /// file is there.
    pub fn set_aside(&mut self, name: &Name, identity: Identity) {
        if self.is_in_flight(name) {
            return;
        }
        self.leave(name);
        let facts = Facts {
            identity,
            modified: SystemTime::UNIX_EPOCH,
            priority: None,
            slot: None,
        };
        let entry = Entry {
            facts,
            rank: Rank::Basic,
            state: State::SetAside,
            refusals: 0,
            suspicion: 0,
        };
        self.entries.insert(name.clone(), entry);
    }

    /// Forgets what was set aside and is no longer there.
    pub fn forget_aside(&mut self, is_there: impl Fn(&Name) -> bool) {
        self.entries
            .retain(|name, entry| !matches!(entry.state, State::SetAside) || is_there(name));
    }

    /// Whether this very file was set aside.
    pub fn is_aside(&self, name: &Name, identity: Identity) -> bool {
        self.entries.get(name).is_some_and(|entry| {
            matches!(entry.state, State::SetAside) && entry.facts.identity == identity
        })
    }

    pub fn link_up(&mut self, now: Instant) {
        self.jam.link(true, now);
    }

    pub fn link_down(&mut self, now: Instant) {
        self.jam.link(false, now);
    }

    /// Whether the window was full without any answer for too long.
    pub fn jammed(&self, now: Instant) -> bool {
        self.jam.is_due(now)
    }

    /// When to ask [`Queue::next`] or [`Queue::jammed`] again, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let paused = self.paused.first().map(|(until, _)| *until);
        [paused, self.held, self.jam.deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}

fn pause_after(refusals: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(4u32.saturating_pow(refusals - 1))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
