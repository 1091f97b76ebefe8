//! Tells those who watch the connection, and never waits for them.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::lifecycle::{Event, Lifecycle};

/// Events that may wait for the watcher. An attempt makes three at most, and takes a second at least.
const MAILBOX: usize = 64;

/// The watcher's end.
#[derive(Debug)]
pub struct Watcher {
    /// In the order in which they happened; ends with the session.
    pub events: mpsc::Receiver<Event>,
    /// Whether the connection has ever been ready. Never missed, as an event may be.
    pub ready: watch::Receiver<bool>,
    /// How many events were dropped because the watcher did not keep up.
    pub missed: watch::Receiver<u64>,
}

/// The session's end.
#[derive(Debug, Default)]
pub(super) struct Herald {
    lifecycle: Lifecycle,
    watcher: Option<Senders>,
}

#[derive(Debug)]
struct Senders {
    events: mpsc::Sender<Event>,
    ready: watch::Sender<bool>,
    missed: watch::Sender<u64>,
}

impl Herald {
    /// From now on there is a watcher. A second one replaces it.
    pub fn watcher(&mut self) -> Watcher {
        let (events, received) = mpsc::channel(MAILBOX);
        let (ready, observed) = watch::channel(false);
        let (missed, count) = watch::channel(0);
        self.watcher = Some(Senders {
            events,
            ready,
            missed,
        });
        Watcher {
            events: received,
            ready: observed,
            missed: count,
        }
    }

    pub fn connecting(&mut self, attempt: u32) {
        let event = self.lifecycle.connecting(attempt);
        self.tell(event);
    }

    pub fn connected(&mut self, session_present: bool) {
        let event = self.lifecycle.connected(session_present);
        self.tell(event);
    }

    /// No subscription waits for its answer.
    pub fn settled(&mut self) {
        let event = self.lifecycle.settled();
        self.tell(event);
    }

    pub fn ended(&mut self, reason: &str, retry: Option<Duration>) {
        let event = self.lifecycle.ended(reason, retry);
        self.tell(event);
    }

    fn tell(&self, event: Option<Event>) {
        let (Some(watcher), Some(event)) = (&self.watcher, event) else {
            return;
        };
        if matches!(event, Event::Ready { .. }) {
            watcher.ready.send_replace(true);
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = watcher.events.try_send(event) {
            watcher.missed.send_modify(|count| *count += 1);
        }
    }
}

/// However a session ends, its last attempt has ended with it.
impl Drop for Herald {
    fn drop(&mut self) {
        let event = self.lifecycle.stopped();
        self.tell(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_that_sleeps_holds_nothing_up_and_learns_what_it_missed() {
        let mut herald = Herald::default();
        let mut watcher = herald.watcher();
        for attempt in 1..=50 {
            herald.connecting(attempt);
            herald.connected(false);
            herald.settled();
            herald.ended("x", None);
        }
        assert_eq!(*watcher.missed.borrow(), 200 - MAILBOX as u64);
        assert!(*watcher.ready.borrow());
        let told = std::iter::from_fn(|| watcher.events.try_recv().ok()).count();
        assert_eq!(told, MAILBOX);
    }

    #[test]
    fn a_session_that_is_dropped_ends_its_attempt() {
        let mut herald = Herald::default();
        let mut watcher = herald.watcher();
        herald.connecting(1);
        drop(herald);
        assert!(matches!(
            watcher.events.try_recv(),
            Ok(Event::Connecting { .. })
        ));
        assert!(matches!(watcher.events.try_recv(), Ok(Event::Failed(_))));
        assert!(watcher.events.try_recv().is_err());
    }

    #[test]
    fn without_a_watcher_nobody_is_told() {
        let mut herald = Herald::default();
        herald.connecting(1);
        herald.connected(true);
        herald.ended("x", None);
    }
}
