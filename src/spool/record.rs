//! Pure: what speaks against one request, and whether that is enough to give it up. A refusal counts
//! only if the broker accepted others between it and the one before; a connection that the broker ended
//! counts only if the request was alone on it, and others were accepted since it was first suspected.

use std::time::Duration;

use super::outcome::{Blame, Refusal, RefusalKind};

/// The first pause before a refused request is tried again; each further one is four times longer.
pub const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// So many connections that ended while the request was alone on them prove it bad.
const PROOFS: u32 = 3;

/// What is to become of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// It is tried again after this pause.
    Keep(Duration),
    GiveUp {
        reason: String,
        attempts: u32,
    },
}

/// The record of one request. A new one speaks against nobody.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Refusals of any kind but for too much, and those of them that count.
    refusals: u32,
    proven: u32,
    /// How many others were accepted when it was last refused.
    refused_at: Option<u64>,
    /// It was on a connection that ended, but behind others: brokers answer in order, so once says
    /// nothing yet.
    was_there: bool,
    suspicion: u32,
    /// Connections that ended while it was alone on them.
    alone: u32,
    /// How many others were accepted when it was first suspected.
    suspected_at: Option<u64>,
    /// With how many suspects it may be tried together, itself included.
    company: usize,
}

impl Record {
    /// The broker refused it. `retries`: how often it is tried again.
    pub fn refused(&mut self, refusal: Refusal, retries: u32) -> RetryDecision {
        let Refusal {
            reason,
            kind,
            accepted,
        } = refusal;
        if kind == RefusalKind::Quota {
            // The link is held back, and not for this request's sake.
            return RetryDecision::Keep(Duration::ZERO);
        }
        self.refusals = self.refusals.saturating_add(1);
        let others_pass = self.refused_at.is_some_and(|before| accepted > before);
        self.refused_at = Some(accepted);
        self.proven = self.proven.saturating_add(u32::from(others_pass));
        let enough = match kind {
            RefusalKind::Permanent => 1,
            RefusalKind::Passing | RefusalKind::Quota => retries.max(1),
        };
        if self.proven >= enough {
            return RetryDecision::GiveUp {
                reason,
                attempts: self.refusals,
            };
        }
        RetryDecision::Keep(pause_after(self.refusals))
    }

    /// The broker ended a connection on which it was unanswered, together with others of its
    /// directory: `flown`, itself included.
    pub fn suspected(&mut self, blame: Blame, flown: usize) -> RetryDecision {
        let since = *self.suspected_at.get_or_insert(blame.accepted);
        if !blame.oldest && !self.was_there {
            self.was_there = true;
            return RetryDecision::Keep(Duration::ZERO);
        }
        self.suspicion = self.suspicion.saturating_add(weight(blame));
        // The oldest is tried by itself, the others by halves: most of them are innocent.
        self.company = if blame.oldest { 1 } else { (flown / 2).max(1) };
        if !blame.alone {
            return RetryDecision::Keep(Duration::ZERO);
        }
        self.alone = self.alone.saturating_add(1);
        if self.alone >= PROOFS && blame.accepted > since {
            let times = self.alone;
            return RetryDecision::GiveUp {
                reason: format!(
                    "the broker ended {times} connections over it while nothing else was on its way, and accepted others meanwhile; probably the policy forbids its topic"
                ),
                attempts: 1,
            };
        }
        RetryDecision::Keep(pause_after(self.alone))
    }

    /// Whether it has been refused, so that it may be tried again as soon as others are accepted.
    pub fn was_refused(&self) -> bool {
        self.refusals > 0
    }

    /// The more, the later it goes. 0: above suspicion.
    pub fn suspicion(&self) -> u32 {
        self.suspicion
    }

    /// With how many suspects it may be tried together, itself included.
    pub fn company(&self) -> usize {
        self.company.max(1)
    }
}

/// Those that have ended a connection alone go last, so that the innocent get through before.
fn weight(blame: Blame) -> u32 {
    match blame {
        Blame { alone: true, .. } => 4,
        Blame { oldest: true, .. } => 2,
        _ => 1,
    }
}

fn pause_after(refusals: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(4u32.saturating_pow(refusals.saturating_sub(1)))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use RefusalKind::{Passing, Permanent, Quota};

    fn refusal(kind: RefusalKind, accepted: u64) -> Refusal {
        Refusal {
            reason: "no".into(),
            kind,
            accepted,
        }
    }

    fn alone(accepted: u64) -> Blame {
        Blame {
            alone: true,
            oldest: true,
            accepted,
        }
    }

    /// The attempts after which it is given up, if it is, with these refusals.
    fn given_up(refusals: &[(RefusalKind, u64)], retries: u32) -> Option<u32> {
        let mut record = Record::default();
        refusals.iter().find_map(|(kind, accepted)| {
            match record.refused(refusal(*kind, *accepted), retries) {
                RetryDecision::GiveUp { attempts, .. } => Some(attempts),
                RetryDecision::Keep(_) => None,
            }
        })
    }

    #[test]
    fn only_what_is_refused_while_others_are_accepted_is_given_up() {
        assert_eq!(given_up(&[(Permanent, 5); 100], 0), None);
        assert_eq!(given_up(&[(Passing, 5); 100], 0), None);
        assert_eq!(given_up(&[(Permanent, 5), (Permanent, 6)], 9), Some(2));
        assert_eq!(given_up(&[(Passing, 5), (Passing, 6)], 0), Some(2));
        assert_eq!(
            given_up(&[(Passing, 5), (Passing, 6), (Passing, 7)], 2),
            Some(3)
        );
        assert_eq!(
            given_up(&[(Passing, 5), (Passing, 6), (Passing, 6)], 2),
            None
        );
    }

    #[test]
    fn too_much_never_costs_an_attempt() {
        let refusals: Vec<_> = (0..100).map(|n| (Quota, n)).collect();
        assert_eq!(given_up(&refusals, 0), None);
        let mut record = Record::default();
        let verdict = record.refused(refusal(Quota, 1), 0);
        assert_eq!(verdict, RetryDecision::Keep(Duration::ZERO));
        assert!(!record.was_refused());
    }

    #[test]
    fn pauses_grow_to_five_minutes() {
        let mut record = Record::default();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            if let RetryDecision::Keep(pause) = record.refused(refusal(Passing, 0), 2) {
                pauses.push(pause.as_secs());
            }
        }
        assert_eq!(pauses, [2, 8, 32, 128, 300, 300]);
    }

    #[test]
    fn one_that_ends_connections_alone_is_given_up_only_if_others_are_accepted() {
        let mut record = Record::default();
        for _ in 0..100 {
            assert!(matches!(
                record.suspected(alone(7), 1),
                RetryDecision::Keep(pause) if pause >= FIRST_PAUSE
            ));
        }
        assert!(matches!(
            record.suspected(alone(8), 1),
            RetryDecision::GiveUp { attempts: 1, .. }
        ));
    }

    #[test]
    fn in_company_nothing_is_proven_and_the_company_is_halved() {
        let mut record = Record::default();
        let together = Blame {
            alone: false,
            oldest: false,
            accepted: 0,
        };
        let mut flown = 90;
        let mut companies = Vec::new();
        for accepted in 0..9 {
            let blame = Blame {
                accepted,
                ..together
            };
            assert_eq!(
                record.suspected(blame, flown),
                RetryDecision::Keep(Duration::ZERO)
            );
            companies.push(record.company());
            if record.suspicion() > 0 {
                flown = record.company();
            }
        }
        assert_eq!(
            companies,
            [1, 45, 22, 11, 5, 2, 1, 1, 1],
            "once says nothing"
        );
        record.suspected(
            Blame {
                oldest: true,
                ..together
            },
            90,
        );
        assert_eq!(record.company(), 1, "the oldest is tried by itself");
    }
}
