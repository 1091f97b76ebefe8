//! Who wants which topics: what to subscribe on a connection, what became of it, and the way of
//! each received message to its readers.

use std::sync::Arc;

use log::{info, warn};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::durable::{self, Delivery, Durable, Receipt};
use super::router::{FILTERS_PER_SUBSCRIBE, matches};
use super::state::SubscriptionState;
use crate::log_throttle::worth_a_line;
use crate::mqtt::message::{Message, QoS};

/// The reader's end of a subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Messages in the order of their arrival; ends when the session ends.
    pub messages: mpsc::Receiver<Message>,
    pub state: watch::Receiver<SubscriptionState>,
    /// How many messages were dropped because the reader did not keep up.
    pub missed: watch::Receiver<u64>,
    /// The number of the connection that it is on. Between two of them messages may have been missed.
    pub connection: watch::Receiver<u64>,
}

/// The session's end.
pub(crate) struct Subscriber {
    filters: Vec<Filter>,
    qos: QoS,
    reader: SubscriberChannel,
    state: watch::Sender<SubscriptionState>,
    missed: watch::Sender<u64>,
    connection: watch::Sender<u64>,
    /// Its places on the connection.
    #[expect(dead_code, reason = "held for its drop")]
    room: Option<OwnedSemaphorePermit>,
}

enum SubscriberChannel {
    /// What there is no room for is missed.
    Ordinary(mpsc::Sender<Message>),
    /// What there is no room for waits in the broker.
    Durable(mpsc::Sender<Delivery>),
}

struct Filter {
    text: String,
    state: SubscriptionState,
    /// Part of a SUBSCRIBE packet on this connection, or acknowledged on one whose session lives.
    asked: bool,
}

/// What is to be answered to the broker about a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Routing {
    /// Nobody here wants it.
    Unmatched,
    /// Its readers need no time.
    Taken,
    /// So many readers will say when they are done with it.
    Held(usize),
    /// A reader has no room: it must come again.
    Left,
}

impl Subscriber {
    fn new(
        filters: &[&str],
        qos: QoS,
        reader: SubscriberChannel,
        room: Option<OwnedSemaphorePermit>,
    ) -> Subscriber {
        let filters = filters.iter().map(|filter| Filter {
            text: (*filter).to_owned(),
            state: SubscriptionState::Pending,
            asked: false,
        });
        Subscriber {
            filters: filters.collect(),
            qos,
            reader,
            state: watch::Sender::new(SubscriptionState::Pending),
            missed: watch::Sender::new(0),
            connection: watch::Sender::new(0),
            room,
        }
    }

    fn is_durable(&self) -> bool {
        matches!(self.reader, SubscriberChannel::Durable(_))
    }

    fn is_closed(&self) -> bool {
        match &self.reader {
            SubscriberChannel::Ordinary(messages) => messages.is_closed(),
            SubscriberChannel::Durable(messages) => messages.is_closed(),
        }
    }

    /// Whether it can take one more message that the broker keeps.
    fn has_room(&self) -> bool {
        match &self.reader {
            SubscriberChannel::Ordinary(_) => true,
            // A reader that is gone has not taken anything.
            SubscriberChannel::Durable(messages) => {
                !messages.is_closed() && messages.capacity() > 0
            }
        }
    }

    /// Hands over a message. Whether the reader will acknowledge it.
    fn give(&self, message: &Message, receipt: Option<&Receipt>) -> bool {
        let taken = match &self.reader {
            SubscriberChannel::Ordinary(messages) => messages.try_send(message.clone()).is_ok(),
            SubscriberChannel::Durable(messages) => {
                let delivery = Delivery::new(message.clone(), receipt.cloned());
                (receipt.is_some() || durable::takes_unkept(messages))
                    && messages.try_send(delivery).is_ok()
            }
        };
        if !taken && !self.is_closed() {
            self.miss(&message.topic);
        }
        taken && receipt.is_some() && self.is_durable()
    }

    fn miss(&self, topic: &str) {
        self.missed.send_modify(|count| *count += 1);
        let count = *self.missed.borrow();
        if worth_a_line(u32::try_from(count).unwrap_or(u32::MAX)) {
            warn!("dropped a message on '{topic}': its reader does not keep up ({count} so far)");
        }
    }

    fn matches(&self, topic: &str) -> bool {
        self.filters
            .iter()
            .any(|filter| matches(&filter.text, topic))
    }

    /// Notifies the reader, if anything has changed for it.
    fn tell(&self) {
        let refused = self.filters.iter().map(|filter| &filter.state);
        let whole = refused.fold(SubscriptionState::Active, |whole, state| {
            match (&whole, state) {
                (SubscriptionState::Refused(_), _) | (_, SubscriptionState::Active) => whole,
                (_, state) => state.clone(),
            }
        });
        self.state.send_if_modified(|state| {
            let changed = *state != whole;
            *state = whole;
            changed
        });
    }
}

pub(crate) fn pair(
    filters: &[&str],
    qos: QoS,
    capacity: usize,
    room: OwnedSemaphorePermit,
) -> (Subscriber, Subscription) {
    let (sender, messages) = mpsc::channel(capacity);
    let subscriber = Subscriber::new(
        filters,
        qos,
        SubscriberChannel::Ordinary(sender),
        Some(room),
    );
    let subscription = Subscription {
        messages,
        state: subscriber.state.subscribe(),
        missed: subscriber.missed.subscribe(),
        connection: subscriber.connection.subscribe(),
    };
    (subscriber, subscription)
}

/// `again`: deliveries of connections before that one come again.
pub(crate) fn durable_pair(filters: &[&str], again: watch::Receiver<u64>) -> (Subscriber, Durable) {
    let (sender, messages) = mpsc::channel(durable::MAILBOX);
    let subscriber = Subscriber::new(
        filters,
        QoS::AtLeastOnce,
        SubscriberChannel::Durable(sender),
        None,
    );
    let durable = Durable {
        messages,
        again,
        state: subscriber.state.subscribe(),
        missed: subscriber.missed.subscribe(),
    };
    (subscriber, durable)
}

/// Filters of one SUBSCRIBE packet.
pub type Batch = Vec<Arc<str>>;

/// All subscribers of one session.
#[derive(Default)]
pub struct Subscriptions {
    subscribers: Vec<Subscriber>,
}

impl Subscriptions {
    pub(crate) fn add(&mut self, subscriber: Subscriber) {
        self.subscribers.push(subscriber);
    }

    /// Whether nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Whether some reader takes its time to acknowledge.
    pub fn are_durable(&self) -> bool {
        self.subscribers.iter().any(Subscriber::is_durable)
    }

    pub fn filters(&self) -> impl Iterator<Item = &str> {
        let all = self.subscribers.iter().flat_map(|one| &one.filters);
        all.map(|filter| filter.text.as_str())
    }

    /// A new connection. When the broker kept our session, what it has acknowledged to this process
    /// stays as it is; all else must be asked for again.
    pub fn connected(&mut self, number: u64, session_present: bool) {
        self.subscribers
            .retain(|subscriber| subscriber.is_durable() || !subscriber.is_closed());
        for subscriber in &mut self.subscribers {
            subscriber.connection.send_replace(number);
            for filter in &mut subscriber.filters {
                filter.asked = session_present && filter.state == SubscriptionState::Active;
                if !filter.asked {
                    filter.state = SubscriptionState::Pending;
                }
            }
            subscriber.tell();
        }
    }

    /// The filters still to be subscribed on this connection, in packets of at most eight. They
    /// count as asked for from now on.
    pub fn unasked(&mut self) -> Vec<Vec<(String, QoS)>> {
        let mut filters: Vec<(String, QoS)> = Vec::new();
        for subscriber in &mut self.subscribers {
            for filter in subscriber.filters.iter_mut().filter(|one| !one.asked) {
                filter.asked = true;
                if !filters.iter().any(|(text, _)| *text == filter.text) {
                    filters.push((filter.text.clone(), subscriber.qos));
                }
            }
        }
        filters
            .chunks(FILTERS_PER_SUBSCRIBE)
            .map(<[_]>::to_vec)
            .collect()
    }

    /// Whether no reader's filter waits for its answer.
    pub fn all_answered(&self) -> bool {
        let readers = self.subscribers.iter();
        readers
            .filter(|one| !one.is_closed())
            .flat_map(|one| &one.filters)
            .all(|filter| filter.state != SubscriptionState::Pending)
    }

    /// The broker answered for these filters, in their order. A filter without an answer counts as
    /// refused.
    pub fn acknowledged(&mut self, batch: &Batch, codes: &[Result<(), String>]) {
        for (index, filter) in batch.iter().enumerate() {
            let missing = Err("the broker's SUBACK does not mention it".to_owned());
            match codes.get(index).unwrap_or(&missing) {
                Ok(()) => {
                    info!("subscribed to '{filter}'");
                    self.answered(filter, &SubscriptionState::Active);
                }
                Err(reason) => {
                    warn!("subscription to '{filter}' failed: {reason}");
                    self.answered(filter, &SubscriptionState::Refused(reason.clone()));
                }
            }
        }
    }

    fn answered(&mut self, text: &str, state: &SubscriptionState) {
        for subscriber in &mut self.subscribers {
            for filter in subscriber.filters.iter_mut().filter(|it| it.text == text) {
                filter.state = state.clone();
            }
            subscriber.tell();
        }
    }

    /// Hands a received message to every reader whose filter it fits. A reader never holds up the
    /// others: one that does not keep up misses it, or leaves it to the broker if it is durable and
    /// there is a `receipt`, so that all get it again.
    pub fn received(&self, message: &Message, receipt: Option<&Receipt>) -> Routing {
        let fitting = || {
            let all = self.subscribers.iter();
            all.filter(|one| one.matches(&message.topic))
        };
        if receipt.is_some() && !fitting().all(Subscriber::has_room) {
            return Routing::Left;
        }
        if fitting().next().is_none() {
            return Routing::Unmatched;
        }
        match fitting().filter(|one| one.give(message, receipt)).count() {
            0 => Routing::Taken,
            readers => Routing::Held(readers),
        }
    }

    /// Hands a message of a connection that has ended to the readers who will not get it again.
    pub fn received_late(&self, message: &Message) {
        for subscriber in &self.subscribers {
            if !subscriber.is_durable() && subscriber.matches(&message.topic) {
                subscriber.give(message, None);
            }
        }
    }
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
