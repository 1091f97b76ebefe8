//! Sends events to those who watch the connection, and never waits for them.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::event::{ConnectionEvent, Lifecycle};

/// Events that may wait for the receiver. An attempt makes three at most, and takes a second at least.
const MAILBOX: usize = 64;

/// The receiver's end.
#[derive(Debug)]
pub struct EventReceiver {
    /// In the order in which they happened; ends with the session.
    pub events: mpsc::Receiver<ConnectionEvent>,
    /// Whether the connection has ever been ready. Never missed, as an event may be.
    pub ready: watch::Receiver<bool>,
    /// How many events were dropped because the receiver did not keep up.
    pub missed: watch::Receiver<u64>,
}

/// The session's end.
#[derive(Debug, Default)]
pub struct EventSender {
    lifecycle: Lifecycle,
    senders: Option<Senders>,
}

#[derive(Debug)]
struct Senders {
    events: mpsc::Sender<ConnectionEvent>,
    ready: watch::Sender<bool>,
    missed: watch::Sender<u64>,
}

impl EventSender {
    /// From now on there is a receiver. A second one replaces it.
    pub fn receiver(&mut self) -> EventReceiver {
        let (events, received) = mpsc::channel(MAILBOX);
        let (ready, observed) = watch::channel(false);
        let (missed, count) = watch::channel(0);
        self.senders = Some(Senders {
            events,
            ready,
            missed,
        });
        EventReceiver {
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
    pub fn subscribed(&mut self) {
        let event = self.lifecycle.subscribed();
        self.tell(event);
    }

    pub fn ended(&mut self, reason: &str, retry: Option<Duration>) {
        let event = self.lifecycle.ended(reason, retry);
        self.tell(event);
    }

    fn tell(&self, event: Option<ConnectionEvent>) {
        let (Some(receiver), Some(event)) = (&self.senders, event) else {
            return;
        };
        if matches!(event, ConnectionEvent::Ready { .. }) {
            receiver.ready.send_replace(true);
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = receiver.events.try_send(event) {
            receiver.missed.send_modify(|count| *count += 1);
        }
    }
}

/// However a session ends, its last attempt has ended with it.
impl Drop for EventSender {
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
        let mut sender = EventSender::default();
        let mut receiver = sender.receiver();
        for attempt in 1..=50 {
            sender.connecting(attempt);
            sender.connected(false);
            sender.subscribed();
            sender.ended("x", None);
        }
        assert_eq!(*receiver.missed.borrow(), 200 - MAILBOX as u64);
        assert!(*receiver.ready.borrow());
        let told = std::iter::from_fn(|| receiver.events.try_recv().ok()).count();
        assert_eq!(told, MAILBOX);
    }

    #[test]
    fn a_session_that_is_dropped_ends_its_attempt() {
        let mut sender = EventSender::default();
        let mut receiver = sender.receiver();
        sender.connecting(1);
        drop(sender);
        assert!(matches!(
            receiver.events.try_recv(),
            Ok(ConnectionEvent::Connecting { .. })
        ));
        assert!(matches!(
            receiver.events.try_recv(),
            Ok(ConnectionEvent::Failed(_))
        ));
        assert!(receiver.events.try_recv().is_err());
    }

    #[test]
    fn without_a_watcher_nobody_is_reported() {
        let mut sender = EventSender::default();
        sender.connecting(1);
        sender.connected(true);
        sender.ended("x", None);
    }
}
