//! Pure: which messages of one connection are still to be acknowledged to the broker. A message is
//! held until the last of its readers is done with it.

use std::collections::{HashMap, VecDeque};

/// Acknowledgements in the client's queue at the same time, so that others find room there.
const UNDER_WAY: usize = 32;

/// The received QoS 1 messages of one connection.
#[derive(Debug, Default)]
pub struct Receipts {
    /// Packet id and how many readers are not done with it.
    held: HashMap<u16, usize>,
    due: VecDeque<u16>,
    under_way: usize,
    left: bool,
}

impl Receipts {
    /// Whether this packet is with its readers already: the broker repeats itself.
    pub fn holds(&self, packet_id: u16) -> bool {
        self.held.contains_key(&packet_id)
    }

    /// So many readers have got it, at least one.
    pub fn held(&mut self, packet_id: u16, readers: usize) {
        self.held.insert(packet_id, readers);
    }

    /// One of its readers is done with it. A packet that is not held is ignored.
    pub fn done(&mut self, packet_id: u16) {
        let Some(readers) = self.held.get_mut(&packet_id) else {
            return;
        };
        *readers -= 1;
        if *readers == 0 {
            self.held.remove(&packet_id);
            self.due.push_back(packet_id);
        }
    }

    /// Nobody needs time for it.
    pub fn at_once(&mut self, packet_id: u16) {
        self.due.push_back(packet_id);
    }

    /// There was no room for a message: it stays with the broker, unacknowledged.
    pub fn left(&mut self) {
        self.left = true;
    }

    /// The next acknowledgement for the client, which [`Receipts::handed`] confirms.
    pub fn next(&self) -> Option<u16> {
        let next = self.due.front().copied();
        next.filter(|_| self.under_way < UNDER_WAY)
    }

    /// The client has taken the next acknowledgement.
    pub fn handed(&mut self) {
        self.due.pop_front();
        self.under_way += 1;
    }

    /// The client has sent one.
    pub fn sent(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Everything is acknowledged but what was left: a new connection brings it again.
    pub fn wants_redelivery(&self) -> bool {
        self.left && self.held.is_empty() && self.due.is_empty() && self.under_way == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(receipts: &mut Receipts) -> Vec<u16> {
        std::iter::from_fn(|| {
            let next = receipts.next()?;
            receipts.handed();
            Some(next)
        })
        .collect()
    }

    #[test]
    fn a_message_is_acknowledged_when_the_last_reader_is_done() {
        let mut receipts = Receipts::default();
        receipts.held(7, 2);
        receipts.done(7);
        assert_eq!(receipts.next(), None);
        receipts.done(7);
        assert_eq!(acknowledged(&mut receipts), [7]);
        receipts.done(7);
        assert_eq!(receipts.next(), None, "once");
    }

    #[test]
    fn a_reader_that_is_slow_holds_up_no_other_message() {
        let mut receipts = Receipts::default();
        receipts.held(1, 1);
        receipts.at_once(2);
        receipts.held(3, 1);
        receipts.done(3);
        assert_eq!(acknowledged(&mut receipts), [2, 3]);
        assert!(receipts.holds(1) && !receipts.holds(3));
    }

    #[test]
    fn the_client_s_queue_keeps_room_for_others() {
        let mut receipts = Receipts::default();
        (1..=50).for_each(|id| receipts.at_once(id));
        assert_eq!(acknowledged(&mut receipts).len(), UNDER_WAY);
        receipts.sent();
        assert_eq!(acknowledged(&mut receipts), [33]);
    }

    #[test]
    fn what_was_left_is_asked_for_when_all_else_is_acknowledged() {
        let mut receipts = Receipts::default();
        receipts.held(1, 1);
        receipts.left();
        assert!(!receipts.wants_redelivery(), "one is still held");
        receipts.done(1);
        assert!(!receipts.wants_redelivery(), "not handed over");
        acknowledged(&mut receipts);
        assert!(!receipts.wants_redelivery(), "not sent");
        receipts.sent();
        assert!(receipts.wants_redelivery());
    }
}
