//! Keeps the records in order, and wakes the threads that wait for one.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::record::{Event, Received, Record};

/// All records of one sandbox. Writers never wait for readers: a reader works on a copy.
pub(crate) struct Journal {
    state: Mutex<JournalState>,
    grown: Condvar,
    /// At least this many records are kept, and at most about twice as many.
    keep: usize,
}

#[derive(Default)]
struct JournalState {
    records: Vec<Record>,
    written: u64,
    publishes: usize,
    clients: HashMap<u64, Arc<str>>,
}

impl Journal {
    pub(crate) fn new(keep: usize) -> Journal {
        Journal {
            state: Mutex::default(),
            grown: Condvar::new(),
            keep,
        }
    }

    /// From now on the records of this connection carry this client id.
    pub(crate) fn name(&self, connection: u64, client_id: &str) {
        self.state().clients.insert(connection, client_id.into());
    }

    pub(crate) fn write(&self, connection: u64, event: Event) {
        let state = &mut *self.state();
        state.publishes += usize::from(matches!(event, Event::Publish(_)));
        let client_id = match event {
            Event::Closed { .. } => state.clients.remove(&connection),
            _ => state.clients.get(&connection).cloned(),
        };
        self.add(state, Some(connection), client_id, event);
    }

    /// Records an event that belongs to no connection.
    pub(crate) fn note(&self, event: Event) {
        let client_id = match &event {
            Event::Shadow(event) => event.client_id.as_deref().map(Arc::from),
            Event::Provisioning(event) => Some(event.client_id.as_str().into()),
            _ => None,
        };
        self.add(&mut self.state(), None, client_id, event);
    }

    fn add(
        &self,
        state: &mut JournalState,
        connection: Option<u64>,
        client_id: Option<Arc<str>>,
        event: Event,
    ) {
        state.written += 1;
        state.records.push(Record {
            sequence: state.written,
            at: Instant::now(),
            connection,
            client_id,
            event,
        });
        if state.records.len() / 2 > self.keep {
            state.records.drain(..self.keep);
        }
        self.grown.notify_all();
    }

    /// The sequence number of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.state().written
    }

    /// Everything after the record with this sequence number.
    pub(crate) fn since(&self, sequence: u64) -> Vec<Record> {
        self.state().since(sequence).to_vec()
    }

    /// Calls `look` after every new record until it finds something.
    pub(crate) fn wait_for<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&[Record]) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            seen.extend(self.since(last(&seen)));
            let found = look(&seen);
            if found.is_some() || !self.wait_beyond(last(&seen), until) {
                return found;
            }
        }
    }

    /// Whether there is a record after `sequence` before the time is up.
    pub(crate) fn wait_beyond(&self, sequence: u64, until: Instant) -> bool {
        self.wait_while(until, |state| state.written <= sequence)
    }

    /// Whether this many publishes were accepted before the time is up.
    pub(crate) fn wait_for_publishes(&self, count: usize, limit: Duration) -> bool {
        self.wait_while(Instant::now() + limit, |state| state.publishes < count)
    }

    pub(crate) fn published(&self) -> Vec<Received> {
        let publish = |record: &Record| match &record.event {
            Event::Publish(received) => Some(received.clone()),
            _ => None,
        };
        self.state().records.iter().filter_map(publish).collect()
    }

    fn wait_while(&self, until: Instant, missing: impl Fn(&JournalState) -> bool) -> bool {
        let limit = until.saturating_duration_since(Instant::now());
        let waited = self
            .grown
            .wait_timeout_while(self.state(), limit, |state| missing(state));
        !waited
            .expect("no thread panics while it holds this lock")
            .1
            .timed_out()
    }

    fn state(&self) -> MutexGuard<'_, JournalState> {
        self.state
            .lock()
            .expect("no thread panics while it holds this lock")
    }
}

impl JournalState {
    fn since(&self, sequence: u64) -> &[Record] {
        &self.records[self
            .records
            .partition_point(|record| record.sequence <= sequence)..]
    }
}

fn last(records: &[Record]) -> u64 {
    records.last().map_or(0, |record| record.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_sees_what_comes_later() {
        let journal = Journal::new(usize::MAX);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                journal.wait_for(Duration::from_secs(10), |records| {
                    (records.len() == 2).then(|| records[1].sequence)
                })
            });
            journal.write(1, Event::ConnectionOpened);
            journal.write(1, Event::PingRequest);
            assert_eq!(waiter.join().unwrap(), Some(2));
        });
    }

    #[test]
    fn a_waiter_gives_up() {
        assert_eq!(
            Journal::new(usize::MAX).wait_for(Duration::ZERO, |_| None::<()>),
            None
        );
    }

    #[test]
    fn old_records_are_forgotten_beyond_the_limit() {
        let journal = Journal::new(2);
        (0..6).for_each(|_| journal.write(1, Event::PingRequest));
        let kept: Vec<u64> = journal
            .since(0)
            .iter()
            .map(|record| record.sequence)
            .collect();
        assert_eq!(kept, [3, 4, 5, 6]);
    }

    #[test]
    fn the_end_of_a_connection_still_carries_its_client() {
        let journal = Journal::new(usize::MAX);
        journal.name(1, "pump");
        journal.write(
            1,
            Event::Closed {
                why: "over".to_owned(),
            },
        );
        assert_eq!(journal.since(0)[0].client_id.as_deref(), Some("pump"));
    }
}
