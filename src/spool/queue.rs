//! Pure: which request of an action directory is taken next, and what becomes of it afterwards.
//! Holds names and facts, never contents.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use super::jam::Jam;
use super::order::{Facts, Key, Order, Rank};
use super::slots::Slots;
use super::{Identity, Name};

/// The first pause before a refused request is tried again; each further one is four times longer.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// So many others may pass a suspect that waits. Then it flies, alone, before them.
const PASSES: usize = 20;
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

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Carried out.
    Delivered,
    /// Refused by the broker; the same request may be accepted later. `quota`: so may others, when
    /// less is sent.
    Undelivered { reason: String, quota: bool },
    /// Refused by the broker for good.
    Denied(String),
    /// The connection was lost. `suspect`: the broker ended it, perhaps because of this request.
    Interrupted { suspect: bool },
    /// Not even sent: can never be accepted.
    Unusable(String),
    /// Something local was short (memory, file descriptors): nothing is known about the request.
    Postponed(String),
    /// The file is gone.
    Vanished,
}

/// What to do with the file of a request whose attempt has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposal {
    Remove,
    MoveToFailed {
        reason: String,
        attempts: u32,
    },
    /// It stays in `new/` and waits for another attempt, after this pause.
    Keep {
        pause: Duration,
    },
    /// Nothing is there to be disposed of.
    Forget,
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
    waiting: BTreeMap<Key, Name>,
    /// Those that wait and may have made the broker end a connection.
    suspects: BTreeMap<Key, Name>,
    /// How many others were taken since the last suspect, while one waits.
    passes: usize,
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
            waiting: BTreeMap::new(),
            suspects: BTreeMap::new(),
            passes: 0,
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
        let key = self.key(&name, &entry);
        let list = if key.is_suspect() {
            &mut self.suspects
        } else {
            &mut self.waiting
        };
        list.insert(key, name.clone());
        self.entries.insert(name, entry);
    }

    /// Whether it was waiting.
    fn step_out(&mut self, name: &Name, entry: &Entry) -> bool {
        let key = self.key(name, entry);
        self.waiting
            .remove(&key)
            .or(self.suspects.remove(&key))
            .is_some()
    }

    /// Takes the name out of every list.
    fn leave(&mut self, name: &Name) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        self.step_out(name, &entry);
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
        let waits = self.step_out(name, &entry);
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
        let (key, name) = if self.is_suspects_turn() {
            self.passes = 0;
            self.suspects.pop_first()?
        } else {
            self.passes = if self.suspects.is_empty() {
                0
            } else {
                self.passes + 1
            };
            self.waiting.pop_first()?
        };
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
        match (self.is_suspects_turn(), self.in_flight) {
            (true, 0) => Readiness::Alone,
            (true, _) => Readiness::Nothing,
            (false, _) if self.waiting.is_empty() => Readiness::Nothing,
            (false, _) => Readiness::Together,
        }
    }

    /// Whether a suspect goes next: nobody above suspicion waits, or enough of them have passed.
    fn is_suspects_turn(&self) -> bool {
        !self.suspects.is_empty() && (self.waiting.is_empty() || self.passes >= PASSES)
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

/// Whether a request can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing waits, or it has to go on waiting.
    Nothing,
    Together,
    /// Only while nothing else flies on the connection: the request is suspected to be the reason
    /// why the broker ended one.
    Alone,
}

/// A request that is to be carried out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    pub name: Name,
    pub prioritised: bool,
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
