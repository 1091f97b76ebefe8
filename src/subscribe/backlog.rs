//! Pure: messages that wait for their turn, bounded in number and in bytes.

use std::collections::VecDeque;

use crate::mqtt::Message;

/// So many messages wait at most.
pub const MOST: usize = 100;
/// So many bytes of payload and topic wait at most.
pub const MOST_BYTES: usize = 1024 * 1024;

/// What a handler gets of a message. The payload is a copy: a received one may hold much more memory
/// than it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub topic: String,
    pub payload: Vec<u8>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// Messages in the order of their arrival.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Backlog {
    /// Takes in a message. `false`: there is no room, and it is the new one that is lost: what was
    /// asked for first is done first.
    pub fn arrived(&mut self, message: &Message) -> bool {
        let bytes = message.topic.len() + message.payload.len();
        if self.waiting.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            return false;
        }
        self.bytes += bytes;
        self.waiting.push_back(Waiting {
            topic: message.topic.clone(),
            payload: message.payload.to_vec(),
        });
        true
    }

    /// The next one to handle.
    pub fn next(&mut self) -> Option<Waiting> {
        let next = self.waiting.pop_front()?;
        self.bytes -= next.bytes();
        Some(next)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Properties, QoS};

    fn message(topic: &str, size: usize) -> Message {
        Message {
            topic: topic.into(),
            payload: vec![b'x'; size].into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::default(),
        }
    }

    #[test]
    fn messages_leave_in_the_order_of_their_arrival() {
        let mut backlog = Backlog::default();
        for topic in ["a", "b", "c"] {
            assert!(backlog.arrived(&message(topic, 1)));
        }
        let left: Vec<String> = std::iter::from_fn(|| backlog.next())
            .map(|one| one.topic)
            .collect();
        assert_eq!(left, ["a", "b", "c"]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn the_newest_is_refused_when_there_are_too_many() {
        let mut backlog = Backlog::default();
        let taken = (0..MOST + 5).filter(|_| backlog.arrived(&message("t", 0)));
        assert_eq!(taken.count(), MOST);
        backlog.next();
        assert!(backlog.arrived(&message("t", 0)), "there is room again");
    }

    #[test]
    fn bytes_are_bounded_too_and_come_free_again() {
        let mut backlog = Backlog::default();
        let large = message("t", 128 * 1024);
        let fits = MOST_BYTES / (128 * 1024 + 1);
        for _ in 0..3 {
            let taken = (0..20).filter(|_| backlog.arrived(&large));
            assert_eq!(taken.count(), fits);
            assert!(
                backlog.arrived(&message("small", 10)),
                "a small one still fits"
            );
            while backlog.next().is_some() {}
        }
    }
}
