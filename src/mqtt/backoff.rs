//! Pure: when to connect again, and when to give up. Jitter comes in as an argument.

use std::time::{Duration, Instant};

use crate::net::{Class, Ending};

/// No attempt follows another one faster than this: the cloud refuses more than one CONNECT per
/// second and client id.
const SHORTEST: Duration = Duration::from_millis(1100);
const LONGEST: Duration = Duration::from_secs(128);
/// The exponent of the longest wait, in seconds, after connections that the broker ended over packets of
/// ours: it is the packets that are held back then, by the breaker.
const BLAMED: u32 = 2;
/// A shortage of the machine usually passes soon.
const SHORTAGE: Duration = Duration::from_secs(2);
/// Another device uses our client id: each of our attempts disconnects it, so stay away for long.
const TAKEN_OVER: Duration = Duration::from_secs(60);

/// What follows a connection that failed or was lost.
#[derive(Debug, PartialEq, Eq)]
pub enum NextAttempt {
    RetryAt(Instant),
    /// So many failures in a row without progress. `rotate`: another certificate may help, because
    /// one of them may be about the one in use.
    GiveUp {
        failures: u32,
        rotate: bool,
    },
}

/// Counts failures without progress, and spaces the attempts: exponential with full jitter.
#[derive(Debug)]
pub struct Backoff {
    attempts: u32,
    failures: u32,
    /// Connections that the broker ended over packets of ours, since it last answered.
    blamed: u32,
    /// Attempts that ended because the key in a token cannot be used.
    keyless: u32,
    /// One of them may be about our certificate.
    certificate: bool,
    /// One of them was the proxy's. It may have caused the others too, so they prove nothing.
    proxy: bool,
}

impl Backoff {
    /// Gives up after more than `attempts` failures in a row; 0 never gives up.
    pub fn new(attempts: u32) -> Self {
        Backoff {
            attempts,
            failures: 0,
            blamed: 0,
            keyless: 0,
            certificate: false,
            proxy: false,
        }
    }

    /// The number of the attempt that comes next: 1 after progress, and one more after each failure.
    pub fn attempt(&self) -> u32 {
        self.failures.saturating_add(self.blamed).saturating_add(1)
    }

    /// The broker answered something: the connection is good.
    // A CONNACK is not progress: a policy that forbids our topics accepts the connection and then
    // drops it, for ever.
    pub fn progress(&mut self) {
        self.failures = 0;
        self.blamed = 0;
        self.keyless = 0;
        self.certificate = false;
        self.proxy = false;
    }

    /// A connection failed or was lost at `now`. `jitter` is evenly spread over 0 to 1.
    pub fn ended(&mut self, ending: &Ending, jitter: f64, now: Instant) -> NextAttempt {
        if ending.class == Class::TlsClock {
            // Neither another certificate nor a new process can set the clock: it is waited for.
            return NextAttempt::RetryAt(now + LONGEST);
        }
        if ending.class == Class::Key {
            // Only the token's return, or a person, helps; a new process would show it the same PIN again.
            self.keyless = self.keyless.saturating_add(1);
            let ceiling = Duration::from_secs(1 << self.keyless.min(7)).min(LONGEST);
            return NextAttempt::RetryAt(now + ceiling.mul_f64(jitter).max(SHORTEST));
        }
        if ending.class == Class::Shortage {
            return NextAttempt::RetryAt(now + SHORTAGE);
        }
        if ending.over_messages {
            // The search for the message to blame goes on with the next connection, and neither a new
            // process nor another certificate would find it sooner.
            self.blamed = self.blamed.saturating_add(1);
        } else {
            self.failures = self.failures.saturating_add(1);
            self.proxy |= ending.class == Class::Proxy;
            self.certificate |= ending.certificate && !ending.blames_us;
        }
        if self.attempts > 0 && self.failures > self.attempts {
            return NextAttempt::GiveUp {
                failures: self.failures,
                rotate: self.certificate && !self.proxy,
            };
        }
        let exponent = self.failures.min(7).max(self.blamed.min(BLAMED));
        let ceiling = Duration::from_secs(1 << exponent).min(LONGEST);
        let wait = if ending.class == Class::TakenOver {
            TAKEN_OVER + ceiling.mul_f64(jitter)
        } else {
            ceiling.mul_f64(jitter).max(SHORTEST)
        };
        NextAttempt::RetryAt(now + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(backoff: &mut Backoff, class: Class, jitter: f64) -> NextAttempt {
        backoff.ended(&Ending::new(class, "x"), jitter, Instant::now())
    }

    fn wait(next: NextAttempt, now: Instant) -> Duration {
        match next {
            NextAttempt::RetryAt(at) => at - now,
            NextAttempt::GiveUp { .. } => panic!("gave up"),
        }
    }

    #[test]
    fn waits_grow_to_two_minutes_and_never_fall_below_a_second() {
        let mut backoff = Backoff::new(0);
        let now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(wait(backoff.ended(&Ending::new(Class::Tcp, "x"), 1.0, now), now).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 128, 128]);
        assert_eq!(
            wait(backoff.ended(&Ending::new(Class::Tcp, "x"), 0.0, now), now),
            SHORTEST
        );
    }

    #[test]
    fn gives_up_after_more_than_the_allowed_failures() {
        let mut backoff = Backoff::new(2);
        for _ in 0..2 {
            assert!(matches!(
                ended(&mut backoff, Class::Tcp, 0.5),
                NextAttempt::RetryAt(_)
            ));
        }
        assert_eq!(
            ended(&mut backoff, Class::Tcp, 0.5),
            NextAttempt::GiveUp {
                failures: 3,
                rotate: false
            }
        );
    }

    #[test]
    fn progress_starts_the_count_afresh() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            assert!(matches!(
                ended(&mut backoff, Class::Server, 0.5),
                NextAttempt::RetryAt(_)
            ));
            backoff.progress();
        }
    }

    #[test]
    fn zero_attempts_never_gives_up() {
        let mut backoff = Backoff::new(0);
        for _ in 0..1000 {
            assert!(matches!(
                ended(&mut backoff, Class::Dns, 0.5),
                NextAttempt::RetryAt(_)
            ));
        }
    }

    #[test]
    fn a_clock_that_is_not_set_is_waited_for_and_never_counts() {
        let mut backoff = Backoff::new(1);
        let now = Instant::now();
        for _ in 0..100 {
            let next = backoff.ended(&Ending::new(Class::TlsClock, "x"), 0.5, now);
            assert_eq!(next, NextAttempt::RetryAt(now + LONGEST));
        }
        assert!(matches!(
            ended(&mut backoff, Class::Tcp, 0.5),
            NextAttempt::RetryAt(_)
        ));
    }

    #[test]
    fn a_shortage_of_the_machine_is_waited_for_and_never_counts() {
        let mut backoff = Backoff::new(1);
        let now = Instant::now();
        for _ in 0..100 {
            let next = backoff.ended(&Ending::new(Class::Shortage, "x"), 0.5, now);
            assert_eq!(next, NextAttempt::RetryAt(now + SHORTAGE));
        }
        assert_eq!(backoff.attempt(), 1);
    }

    #[test]
    fn a_token_is_waited_for_ever_longer_and_never_counts() {
        let mut backoff = Backoff::new(1);
        let now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(wait(backoff.ended(&Ending::new(Class::Key, "x"), 1.0, now), now).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 128, 128]);
        assert_eq!(backoff.attempt(), 1);
        backoff.progress();
        let next = backoff.ended(&Ending::new(Class::Key, "x"), 0.0, now);
        assert_eq!(wait(next, now), SHORTEST);
    }

    #[test]
    fn only_what_a_certificate_can_cause_is_a_reason_to_rotate() {
        for (class, expected) in [
            (Class::Dns, false),
            (Class::Tcp, false),
            (Class::Proxy, false),
            (Class::TlsCa, false),
            (Class::TlsCert, true),
            (Class::Tls, false),
            (Class::Refused, true),
            (Class::Timeout, false),
            (Class::TakenOver, false),
            (Class::KeepAlive, false),
            (Class::Server, true),
            (Class::Network, false),
            (Class::Protocol, false),
        ] {
            let mut backoff = Backoff::new(1);
            ended(&mut backoff, class, 0.5);
            let NextAttempt::GiveUp { rotate, .. } = ended(&mut backoff, class, 0.5) else {
                panic!("{class:?} goes on");
            };
            assert_eq!(rotate, expected, "{class:?}");
        }
    }

    #[test]
    fn one_failure_of_the_certificate_among_others_is_a_reason_to_rotate() {
        let mut backoff = Backoff::new(2);
        ended(&mut backoff, Class::TlsCert, 0.5);
        ended(&mut backoff, Class::Tcp, 0.5);
        let next = ended(&mut backoff, Class::Dns, 0.5);
        assert!(matches!(next, NextAttempt::GiveUp { rotate: true, .. }));
    }

    #[test]
    fn one_failure_of_the_proxy_among_others_proves_nothing_against_the_certificate() {
        for classes in [
            [Class::Server, Class::Proxy, Class::Proxy],
            [Class::Refused, Class::Proxy, Class::Refused],
            [Class::Proxy, Class::TlsCert, Class::TlsCert],
        ] {
            let mut backoff = Backoff::new(2);
            let [_, _, next] = classes.map(|class| ended(&mut backoff, class, 0.5));
            assert!(
                matches!(next, NextAttempt::GiveUp { rotate: false, .. }),
                "{classes:?}"
            );
        }
        let mut backoff = Backoff::new(1);
        ended(&mut backoff, Class::Proxy, 0.5);
        backoff.progress();
        ended(&mut backoff, Class::TlsCert, 0.5);
        let next = ended(&mut backoff, Class::TlsCert, 0.5);
        assert!(matches!(next, NextAttempt::GiveUp { rotate: true, .. }));
    }

    #[test]
    fn connections_ended_over_other_packets_of_ours_count_but_are_no_reason_to_rotate() {
        let mut backoff = Backoff::new(1);
        let blamed = Ending::new(Class::Server, "x").blaming_us();
        backoff.ended(&blamed, 0.5, Instant::now());
        let next = backoff.ended(&blamed, 0.5, Instant::now());
        let given_up = NextAttempt::GiveUp {
            failures: 2,
            rotate: false,
        };
        assert_eq!(next, given_up);
    }

    #[test]
    fn connections_ended_over_messages_are_no_reason_to_give_up() {
        let mut backoff = Backoff::new(1);
        let now = Instant::now();
        let blamed = Ending {
            over_messages: true,
            ..Ending::new(Class::Server, "x").blaming_us()
        };
        let waits: Vec<_> = (0..9)
            .map(|_| wait(backoff.ended(&blamed, 1.0, now), now).as_secs())
            .collect();
        assert_eq!(waits, [2, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(backoff.attempt(), 10);
        ended(&mut backoff, Class::Tcp, 0.5);
        assert!(matches!(
            ended(&mut backoff, Class::Tcp, 0.5),
            NextAttempt::GiveUp { failures: 2, .. }
        ));
    }

    #[test]
    fn a_second_client_with_our_id_makes_us_stay_away_for_long() {
        let mut backoff = Backoff::new(0);
        let now = Instant::now();
        let next = backoff.ended(&Ending::new(Class::TakenOver, "x"), 0.0, now);
        assert!(wait(next, now) >= Duration::from_secs(60));
    }
}
