//! Pure: what happens to the connection, as those who watch it learn of it. Every attempt ends in
//! exactly one `Connected` or `Failed`, and every `Connected` in exactly one `Lost`, unless the
//! program ends first: whatever the session says and in whatever order, nothing else comes out.

use std::time::Duration;

/// One thing that happened. The attempt's number is the same from `Connecting` to the end of the
/// connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    Connecting {
        attempt: u32,
    },
    /// The broker has accepted the connection. `session_present`: and has kept our session.
    Connected {
        attempt: u32,
        session_present: bool,
    },
    /// Every subscription has been answered, once for each connection. The refused ones count: they
    /// disable their own feature only.
    Ready {
        attempt: u32,
        session_present: bool,
    },
    Failed(ConnectionEnd),
    Lost(ConnectionEnd),
}

/// How an attempt or a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionEnd {
    pub attempt: u32,
    pub reason: String,
    /// The wait before the next attempt. `None`: there is none.
    pub retry: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Connecting,
    Connected,
    Ready,
    /// The program ends: there is nothing more to report.
    Over,
}

/// Turns what the session learns into events.
#[derive(Debug, Default)]
pub struct Lifecycle {
    phase: Phase,
    attempt: u32,
    session_present: bool,
}

impl Lifecycle {
    /// The n-th attempt in a row begins.
    pub fn connecting(&mut self, attempt: u32) -> Option<ConnectionEvent> {
        if self.phase != Phase::Idle {
            return None;
        }
        (self.phase, self.attempt) = (Phase::Connecting, attempt);
        Some(ConnectionEvent::Connecting { attempt })
    }

    /// CONNACK accepts it.
    pub fn connected(&mut self, session_present: bool) -> Option<ConnectionEvent> {
        if self.phase != Phase::Connecting {
            return None;
        }
        self.phase = Phase::Connected;
        self.session_present = session_present;
        let attempt = self.attempt;
        Some(ConnectionEvent::Connected {
            attempt,
            session_present,
        })
    }

    /// No subscription waits for its answer. To be said as often as one likes.
    pub fn subscribed(&mut self) -> Option<ConnectionEvent> {
        if self.phase != Phase::Connected {
            return None;
        }
        self.phase = Phase::Ready;
        let (attempt, session_present) = (self.attempt, self.session_present);
        Some(ConnectionEvent::Ready {
            attempt,
            session_present,
        })
    }

    /// The attempt has failed, or the connection is lost.
    pub fn ended(&mut self, reason: &str, retry: Option<Duration>) -> Option<ConnectionEvent> {
        let ended = ConnectionEnd {
            attempt: self.attempt,
            reason: reason.to_owned(),
            retry,
        };
        let (phase, event) = match self.phase {
            Phase::Idle => (Phase::Idle, None),
            Phase::Connecting => (Phase::Idle, Some(ConnectionEvent::Failed(ended))),
            Phase::Connected | Phase::Ready => (Phase::Idle, Some(ConnectionEvent::Lost(ended))),
            Phase::Over => (Phase::Over, None),
        };
        self.phase = phase;
        event
    }

    /// The program ends, and nothing is reported afterwards. A connection ends with it, and an
    /// attempt has failed.
    pub fn stopped(&mut self) -> Option<ConnectionEvent> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Connecting => Some(ConnectionEvent::Failed(ConnectionEnd {
                attempt: self.attempt,
                reason: "stopped".to_owned(),
                retry: None,
            })),
            Phase::Idle | Phase::Connected | Phase::Ready | Phase::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(attempt: u32) -> ConnectionEnd {
        ConnectionEnd {
            attempt,
            reason: "tcp: x".to_owned(),
            retry: None,
        }
    }

    #[test]
    fn a_connection_is_reported_from_its_first_attempt_to_its_loss() {
        let mut life = Lifecycle::default();
        assert_eq!(
            life.connecting(1),
            Some(ConnectionEvent::Connecting { attempt: 1 })
        );
        assert_eq!(
            life.ended("tcp: x", None),
            Some(ConnectionEvent::Failed(ended(1)))
        );
        life.connecting(2);
        let (attempt, session_present) = (2, true);
        let connected = ConnectionEvent::Connected {
            attempt,
            session_present,
        };
        assert_eq!(life.connected(true), Some(connected));
        let ready = ConnectionEvent::Ready {
            attempt,
            session_present,
        };
        assert_eq!(life.subscribed(), Some(ready));
        assert_eq!(life.subscribed(), None, "once for each connection");
        assert_eq!(
            life.ended("tcp: x", None),
            Some(ConnectionEvent::Lost(ended(2)))
        );
        assert_eq!(life.ended("tcp: x", None), None);
    }

    #[test]
    fn an_attempt_that_is_stopped_has_failed_and_a_connection_has_not() {
        let mut life = Lifecycle::default();
        life.connecting(1);
        assert!(matches!(life.stopped(), Some(ConnectionEvent::Failed(_))));
        assert_eq!(life.stopped(), None);
        life.connecting(1);
        life.connected(false);
        assert_eq!(life.stopped(), None);
        assert_eq!(life.connecting(2), None, "nothing comes afterwards");
    }

    /// The law, read off the events alone.
    fn holds(events: &[ConnectionEvent]) -> bool {
        let (mut trying, mut up, mut ready) = (false, false, false);
        events.iter().all(|event| {
            let before = (trying, up, ready);
            (trying, up, ready) = match event {
                ConnectionEvent::Connecting { .. } => (true, false, false),
                ConnectionEvent::Connected { .. } => (false, true, false),
                ConnectionEvent::Ready { .. } => (false, true, true),
                ConnectionEvent::Failed(_) | ConnectionEvent::Lost(_) => (false, false, false),
            };
            match event {
                ConnectionEvent::Connecting { .. } => before == (false, false, false),
                ConnectionEvent::Connected { .. } | ConnectionEvent::Failed(_) => {
                    before == (true, false, false)
                }
                ConnectionEvent::Ready { .. } => before == (false, true, false),
                ConnectionEvent::Lost(_) => before.1,
            }
        })
    }

    #[test]
    fn the_law_holds_whatever_the_session_says() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let mut life = Lifecycle::default();
            let events: Vec<ConnectionEvent> = (0..random.usize(0..40))
                .filter_map(|_| match random.u8(0..5) {
                    0 => life.connecting(1),
                    1 => life.connected(random.bool()),
                    2 => life.subscribed(),
                    3 => life.ended("x", None),
                    _ => life.stopped(),
                })
                .collect();
            assert!(holds(&events), "{events:?}");
        }
    }
}
