//! Pure: whether the broker accepts messages at all. A broker that refuses every one of them, or ends
//! the connection over every one, says nothing about a single message: while that lasts, messages are
//! held back, and one at a time is tried, with growing pauses in between.
//!
//! It is fed by every answer to a message and by every connection that the broker ended over messages.
//! Requests to the cloud's services do not count: other topics are allowed to them.

use std::time::{Duration, Instant};

use super::publish_error::RefusalClass;

/// So many refusals in a row, without a message that was accepted, stop the messages. Doubled each
/// time when that turns out to have been too early, up to `MOST_REFUSALS`: refused messages that come
/// first in their order must not hold up the good ones behind them for long.
const REFUSALS: u32 = 16;
const MOST_REFUSALS: u32 = 1024;
/// So many messages accepted in a row make the broker an ordinary one again.
const CALM: u32 = 100;
/// So many connections in a row that the broker ended over messages, without one that was accepted.
/// Doubled in the same way, up to `MOST_ENDINGS`.
const ENDINGS: u32 = 6;
const MOST_ENDINGS: u32 = 24;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What publishers may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything may be sent.
    Free,
    /// Nothing may be sent.
    Held,
    /// One message, while nothing else is on its way.
    Probe,
}

/// What is to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakerChange {
    /// Messages are held back after so many refusals, or connections that were ended, in a row.
    Held { refusals: u32, endings: u32 },
    /// The broker said that more was sent than it takes; messages pause for so long.
    Quota { pause: Duration },
    /// A message was accepted again, after so many refusals and endings and this time.
    Freed {
        refusals: u32,
        endings: u32,
        after: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BreakerState {
    Closed,
    /// Until then nothing is sent. `quota`: because of too much, so what is accepted meanwhile does
    /// not end it, but shows that no probe is needed afterwards.
    Open {
        until: Instant,
        quota: bool,
        accepted: bool,
    },
    Probing,
}

/// The breaker of one link. Outlives connections.
#[derive(Debug)]
pub struct Breaker {
    state: BreakerState,
    /// Refusals and endings since a message was last accepted.
    refusals: u32,
    endings: u32,
    /// Messages accepted in a row.
    calm: u32,
    tolerance: u32,
    patience: u32,
    pause: Duration,
    /// Messages accepted so far.
    accepted: u64,
    /// When messages were first held back.
    since: Option<Instant>,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            state: BreakerState::Closed,
            refusals: 0,
            endings: 0,
            calm: 0,
            tolerance: REFUSALS,
            patience: ENDINGS,
            pause: FIRST_PAUSE,
            accepted: 0,
            since: None,
        }
    }
}

impl Breaker {
    pub fn flow(&self) -> Flow {
        match self.state {
            BreakerState::Closed => Flow::Free,
            BreakerState::Open { .. } => Flow::Held,
            BreakerState::Probing => Flow::Probe,
        }
    }

    /// Messages accepted so far: whoever was refused twice can see whether others were accepted in
    /// between.
    pub fn accepted_so_far(&self) -> u64 {
        self.accepted
    }

    /// The broker acknowledged a message.
    pub fn accepted(&mut self, now: Instant) -> Option<BreakerChange> {
        self.accepted += 1;
        self.calm = self.calm.saturating_add(1);
        if self.calm >= CALM {
            (self.tolerance, self.patience) = (REFUSALS, ENDINGS);
        }
        if let BreakerState::Open {
            quota: true,
            accepted,
            ..
        } = &mut self.state
        {
            *accepted = true;
            return None;
        }
        self.state = BreakerState::Closed;
        self.pause = FIRST_PAUSE;
        let (refusals, endings) = (self.refusals, self.endings);
        (self.refusals, self.endings) = (0, 0);
        let since = self.since.take()?;
        self.tolerance = self.tolerance.saturating_mul(2).min(MOST_REFUSALS);
        self.patience = self.patience.saturating_mul(2).min(MOST_ENDINGS);
        Some(BreakerChange::Freed {
            refusals,
            endings,
            after: now.saturating_duration_since(since),
        })
    }

    /// The broker refused a message.
    pub fn refused(&mut self, refusal: RefusalClass, now: Instant) -> Option<BreakerChange> {
        let quota = refusal == RefusalClass::Quota;
        self.calm = 0;
        if !quota {
            self.refusals = self.refusals.saturating_add(1);
        }
        match self.state {
            BreakerState::Closed if quota => Some(self.over_quota(now)),
            BreakerState::Closed if self.refusals >= self.tolerance => Some(self.hold(now)),
            BreakerState::Closed => None,
            // What was on its way already.
            BreakerState::Open { .. } => None,
            BreakerState::Probing => self.again(quota, now),
        }
    }

    /// The broker refused a message that it had refused before: no reason to stop the others, since
    /// many such messages may come in a row when their pauses end. A probe has failed all the same.
    pub fn refused_again(&mut self, refusal: RefusalClass, now: Instant) -> Option<BreakerChange> {
        let free = self.flow() == Flow::Free;
        if free && refusal != RefusalClass::Quota {
            return None;
        }
        self.refused(refusal, now)
    }

    /// The broker ended the connection while messages were on their way.
    pub fn ended(&mut self, now: Instant) -> Option<BreakerChange> {
        self.calm = 0;
        self.endings = self.endings.saturating_add(1);
        match self.state {
            BreakerState::Closed if self.endings >= self.patience => Some(self.hold(now)),
            BreakerState::Closed => None,
            BreakerState::Open { .. } | BreakerState::Probing => self.again(false, now),
        }
    }

    fn over_quota(&mut self, now: Instant) -> BreakerChange {
        self.open(true, now);
        BreakerChange::Quota { pause: self.pause }
    }

    fn hold(&mut self, now: Instant) -> BreakerChange {
        self.since = Some(now);
        self.open(false, now);
        BreakerChange::Held {
            refusals: self.refusals,
            endings: self.endings,
        }
    }

    /// The probe failed as well. Only the first one after a pause for too much is worth a line.
    fn again(&mut self, quota: bool, now: Instant) -> Option<BreakerChange> {
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        self.open(quota, now);
        if self.since.is_some() {
            return None;
        }
        self.since = Some(now);
        Some(BreakerChange::Held {
            refusals: self.refusals,
            endings: self.endings,
        })
    }

    fn open(&mut self, quota: bool, now: Instant) {
        self.state = BreakerState::Open {
            until: now + self.pause,
            quota,
            accepted: false,
        };
    }

    /// A pause may be over. To be called when [`Breaker::deadline`] is reached and after a connect.
    pub fn resume(&mut self, now: Instant) {
        if let BreakerState::Open {
            until, accepted, ..
        } = self.state
            && until <= now
        {
            if accepted && self.since.is_none() {
                self.state = BreakerState::Closed;
                self.pause = FIRST_PAUSE;
            } else {
                self.state = BreakerState::Probing;
            }
        }
    }

    /// When [`Breaker::resume`] changes something.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            BreakerState::Open { until, .. } => Some(until),
            BreakerState::Closed | BreakerState::Probing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A breaker that has just stopped the messages.
    fn held(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 1..REFUSALS {
            assert_eq!(breaker.refused(RefusalClass::Passing, now), None);
        }
        let change = BreakerChange::Held {
            refusals: REFUSALS,
            endings: 0,
        };
        assert_eq!(breaker.refused(RefusalClass::Permanent, now), Some(change));
        breaker
    }

    #[test]
    fn a_few_refusals_stop_nothing() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..1000 {
            for _ in 1..REFUSALS {
                assert_eq!(breaker.refused(RefusalClass::Permanent, now), None);
            }
            assert_eq!(breaker.accepted(now), None);
            assert_eq!(breaker.flow(), Flow::Free);
        }
    }

    #[test]
    fn while_everything_is_refused_one_at_a_time_is_tried_with_growing_pauses() {
        let start = Instant::now();
        let mut breaker = held(start);
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(breaker.flow(), Flow::Held);
            let until = breaker.deadline().expect("a pause has an end");
            pauses.push((until - now).as_secs());
            breaker.resume(until - Duration::from_millis(1));
            assert_eq!(breaker.flow(), Flow::Held);
            now = until;
            breaker.resume(now);
            assert_eq!((breaker.flow(), breaker.deadline()), (Flow::Probe, None));
            assert_eq!(
                breaker.refused(RefusalClass::Permanent, now),
                None,
                "told once"
            );
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn one_that_is_accepted_frees_all_and_is_reported_with_the_counts() {
        let start = Instant::now();
        let mut breaker = held(start);
        breaker.resume(start + seconds(1));
        breaker.refused(RefusalClass::Permanent, start + seconds(1));
        breaker.resume(start + seconds(9));
        let change = BreakerChange::Freed {
            refusals: REFUSALS + 1,
            endings: 0,
            after: seconds(10),
        };
        assert_eq!(breaker.accepted(start + seconds(10)), Some(change));
        assert_eq!(breaker.flow(), Flow::Free);
        assert_eq!(breaker.accepted_so_far(), 1);
    }

    #[test]
    fn an_answer_that_was_on_its_way_frees_all_too() {
        let now = Instant::now();
        let mut breaker = held(now);
        assert_eq!(breaker.refused(RefusalClass::Permanent, now), None);
        assert!(breaker.accepted(now).is_some());
        assert_eq!(breaker.flow(), Flow::Free);
    }

    #[test]
    fn refused_ones_in_front_stop_the_others_less_and_less() {
        let now = Instant::now();
        let mut breaker = held(now);
        let mut refused = Vec::new();
        for _ in 0..8 {
            breaker.accepted(now);
            let mut count = 0;
            while breaker.flow() == Flow::Free {
                breaker.refused(RefusalClass::Permanent, now);
                count += 1;
            }
            refused.push(count);
        }
        assert_eq!(refused, [32, 64, 128, 256, 512, 1024, 1024, 1024]);
        for _ in 0..=CALM {
            breaker.accepted(now);
        }
        for _ in 1..REFUSALS {
            breaker.refused(RefusalClass::Permanent, now);
        }
        assert_eq!(breaker.flow(), Flow::Free);
        breaker.refused(RefusalClass::Permanent, now);
        assert_eq!(breaker.flow(), Flow::Held, "it is an ordinary broker again");
    }

    #[test]
    fn known_bad_messages_that_are_tried_again_stop_no_others_but_are_failed_probes() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(breaker.refused_again(RefusalClass::Permanent, now), None);
        }
        assert_eq!(breaker.flow(), Flow::Free);
        let mut breaker = held(now);
        breaker.resume(now + seconds(1));
        assert_eq!(breaker.flow(), Flow::Probe);
        breaker.refused_again(RefusalClass::Permanent, now + seconds(1));
        assert_eq!(breaker.deadline(), Some(now + seconds(3)));
    }

    #[test]
    fn too_much_pauses_at_once_and_goes_on_without_a_probe_if_others_were_accepted() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let change = BreakerChange::Quota { pause: seconds(1) };
        assert_eq!(breaker.refused(RefusalClass::Quota, now), Some(change));
        assert_eq!(
            breaker.refused(RefusalClass::Quota, now),
            None,
            "the same burst"
        );
        assert_eq!(breaker.accepted(now), None);
        assert_eq!(breaker.flow(), Flow::Held);
        breaker.resume(now + seconds(1));
        assert_eq!(breaker.flow(), Flow::Free);
    }

    #[test]
    fn too_much_again_and_again_makes_longer_pauses() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        breaker.refused(RefusalClass::Quota, now);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            now = breaker.deadline().expect("a pause has an end");
            breaker.resume(now);
            assert_eq!(breaker.flow(), Flow::Probe, "nothing was accepted");
            breaker.refused(RefusalClass::Quota, now);
            pauses.push((breaker.deadline().expect("a pause") - now).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16]);
    }

    #[test]
    fn connections_that_end_over_every_message_stop_them_too() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 1..ENDINGS {
            assert_eq!(breaker.ended(now), None);
        }
        let change = BreakerChange::Held {
            refusals: 0,
            endings: ENDINGS,
        };
        assert_eq!(breaker.ended(now), Some(change));
        breaker.resume(now + seconds(1));
        assert_eq!(breaker.flow(), Flow::Probe);
        assert_eq!(breaker.ended(now + seconds(1)), None);
        assert_eq!(breaker.deadline(), Some(now + seconds(3)));
    }
}
