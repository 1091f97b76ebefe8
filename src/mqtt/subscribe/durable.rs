//! Subscriptions whose messages the broker keeps until their reader has dealt with them.

use tokio::sync::{mpsc, watch};

use super::state::SubscriptionState;
use crate::mqtt::message::Message;

/// Messages of QoS 0 that wait for a reader: as many as the broker may send of QoS 1, AWS IoT Core's
/// window. More are missed.
const WINDOW: usize = 100;
/// Messages that wait for a reader in all. A broker that knows no window sends more: those stay with
/// it, unacknowledged, and come again on another connection.
pub const MAILBOX: usize = 2 * WINDOW;
/// Answers of readers on their way to the connection: more than can be held.
pub const ANSWERS: usize = 1 << 16;

/// A message that waits for its acknowledgement. When it is dropped instead, the broker delivers it
/// again on another connection.
#[derive(Debug)]
pub struct Delivery {
    pub message: Message,
    /// QoS 0 has none.
    receipt: Option<Receipt>,
}

/// What is needed to acknowledge one message of one connection.
#[derive(Clone, Debug)]
pub struct Receipt {
    packet_id: u16,
    connection: u64,
    done: mpsc::Sender<u16>,
    /// Deliveries of connections before this one come again.
    again: watch::Receiver<u64>,
}

impl Receipt {
    pub fn new(
        packet_id: u16,
        connection: u64,
        done: mpsc::Sender<u16>,
        again: watch::Receiver<u64>,
    ) -> Self {
        Receipt {
            packet_id,
            connection,
            done,
            again,
        }
    }
}

impl Delivery {
    pub(super) fn new(message: Message, receipt: Option<Receipt>) -> Self {
        Delivery { message, receipt }
    }

    /// The message is safe, so the broker may forget it: it is acknowledged when all readers have
    /// said so. After a lost connection this says nothing to anybody, and the broker may repeat it.
    pub fn done(self) {
        if let Some(receipt) = self.receipt {
            // There is room. An acknowledgement for a connection that is gone reaches nobody, as it
            // should: on another one the packet id means something else.
            let _ = receipt.done.try_send(receipt.packet_id);
        }
    }

    /// Whether the broker delivers it on a newer connection. Then this copy is one too many.
    pub fn comes_again(&self) -> bool {
        let receipt = self.receipt.as_ref();
        receipt.is_some_and(|it| it.connection < *it.again.borrow())
    }

    /// Whether the broker keeps it until [`Delivery::done`]: QoS 1.
    pub fn is_kept(&self) -> bool {
        self.receipt.is_some()
    }
}

/// Whether a mailbox of durable messages has a place for one of QoS 0: a flood of them must not take
/// the places of what the broker keeps.
pub fn takes_unkept(mailbox: &mpsc::Sender<Delivery>) -> bool {
    mailbox.capacity() > MAILBOX - WINDOW
}

/// The reader's end of a durable subscription. While the reader takes nothing, messages wait in the
/// broker, which has a window of them on the way.
#[derive(Debug)]
pub struct Durable {
    pub(super) messages: mpsc::Receiver<Delivery>,
    pub(super) again: watch::Receiver<u64>,
    pub state: watch::Receiver<SubscriptionState>,
    /// How many QoS 0 messages were dropped because the reader did not keep up.
    pub missed: watch::Receiver<u64>,
}

impl Durable {
    /// The next message; `None` when the session has ended. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            let delivery = self.messages.recv().await?;
            if !delivery.comes_again() {
                return Some(delivery);
            }
        }
    }

    /// The next message if there is one.
    pub fn try_next(&mut self) -> Option<Delivery> {
        loop {
            let delivery = self.messages.try_recv().ok()?;
            if !delivery.comes_again() {
                return Some(delivery);
            }
        }
    }

    /// Resolves when deliveries in hand may have become superfluous: see [`Delivery::comes_again`].
    pub async fn repeated(&mut self) {
        if self.again.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::message::{Properties, QoS};

    fn message() -> Message {
        Message {
            topic: "t".into(),
            payload: "x".into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::default(),
        }
    }

    #[test]
    fn only_what_the_broker_repeats_is_superfluous() {
        let (done, _acknowledged) = mpsc::channel(1);
        let (again, _) = watch::channel(0);
        let receipt = Receipt::new(7, 1, done, again.subscribe());
        let kept = Delivery::new(message(), Some(receipt));
        let unkept = Delivery::new(message(), None);
        assert!(!kept.comes_again());
        again.send_replace(2);
        assert!(kept.comes_again());
        assert!(!unkept.comes_again(), "QoS 0 comes once");
    }

    #[test]
    fn an_acknowledgement_for_a_lost_connection_reaches_nobody() {
        let (done, acknowledged) = mpsc::channel(1);
        let (again, _) = watch::channel(0);
        let delivery = Delivery::new(message(), Some(Receipt::new(7, 1, done, again.subscribe())));
        drop(acknowledged);
        delivery.done();
    }

    #[tokio::test]
    async fn a_reader_is_not_given_what_comes_again() {
        let (done, _acknowledged) = mpsc::channel(8);
        let (again, watched) = watch::channel(0);
        let (sender, messages) = mpsc::channel(8);
        let (_, state) = watch::channel(SubscriptionState::Pending);
        let (_, missed) = watch::channel(0);
        let mut reader = Durable {
            messages,
            again: watched,
            state,
            missed,
        };
        for (packet_id, connection) in [(1, 1), (2, 1), (1, 2)] {
            let receipt = Receipt::new(packet_id, connection, done.clone(), again.subscribe());
            let delivery = Delivery::new(message(), Some(receipt));
            sender.try_send(delivery).unwrap();
        }
        assert!(reader.try_next().is_some());
        again.send_replace(2);
        reader.repeated().await;
        let next = reader.next().await.unwrap();
        assert_eq!(next.receipt.as_ref().map(|it| it.connection), Some(2));
        assert!(reader.try_next().is_none());
    }
}
