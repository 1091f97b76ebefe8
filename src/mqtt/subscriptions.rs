//! Who wants which topics: what to subscribe on a connection, what became of it, and the way of
//! each received message to its readers.

use std::sync::Arc;

use log::{info, warn};
use tokio::sync::{mpsc, watch};

use super::router::{FILTERS_PER_SUBSCRIBE, matches};
use super::{Message, QoS};

/// What became of a subscription on the present connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionState {
    /// No connection, or a SUBACK is still to come.
    Pending,
    /// The broker has acknowledged every filter of it.
    Active,
    /// The broker's reason to refuse one. Asked again on the next connection.
    Refused(String),
}

/// The reader's end of a subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Messages in the order of their arrival; ends when the session ends.
    pub messages: mpsc::Receiver<Message>,
    pub state: watch::Receiver<SubscriptionState>,
    /// How many messages were dropped because the reader did not keep up.
    pub missed: watch::Receiver<u64>,
}

/// The session's end.
pub(crate) struct Subscriber {
    filters: Vec<Filter>,
    qos: QoS,
    messages: mpsc::Sender<Message>,
    state: watch::Sender<SubscriptionState>,
    missed: watch::Sender<u64>,
}

struct Filter {
    text: String,
    state: SubscriptionState,
    /// Part of a SUBSCRIBE packet on this connection, or acknowledged on one whose session lives.
    asked: bool,
}

impl Subscriber {
    fn matches(&self, topic: &str) -> bool {
        self.filters
            .iter()
            .any(|filter| matches(&filter.text, topic))
    }

    /// Tells the reader, if anything has changed for it.
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

pub(crate) fn pair(filters: &[&str], qos: QoS, capacity: usize) -> (Subscriber, Subscription) {
    let (messages, received) = mpsc::channel(capacity);
    let (state, observed) = watch::channel(SubscriptionState::Pending);
    let (missed, count) = watch::channel(0);
    let filters = filters.iter().map(|filter| Filter {
        text: (*filter).to_owned(),
        state: SubscriptionState::Pending,
        asked: false,
    });
    let subscriber = Subscriber {
        filters: filters.collect(),
        qos,
        messages,
        state,
        missed,
    };
    (
        subscriber,
        Subscription {
            messages: received,
            state: observed,
            missed: count,
        },
    )
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

    /// A new connection. When the broker kept our session, what it has acknowledged to this process
    /// stays as it is; all else must be asked for again.
    pub fn connected(&mut self, session_present: bool) {
        self.subscribers
            .retain(|subscriber| !subscriber.messages.is_closed());
        for subscriber in &mut self.subscribers {
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
    pub fn settled(&self) -> bool {
        let readers = self.subscribers.iter();
        readers
            .filter(|one| !one.messages.is_closed())
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
                    self.settle(filter, &SubscriptionState::Active);
                }
                Err(reason) => {
                    warn!("subscription to '{filter}' failed: {reason}");
                    self.settle(filter, &SubscriptionState::Refused(reason.clone()));
                }
            }
        }
    }

    fn settle(&mut self, text: &str, state: &SubscriptionState) {
        for subscriber in &mut self.subscribers {
            for filter in subscriber.filters.iter_mut().filter(|it| it.text == text) {
                filter.state = state.clone();
            }
            subscriber.tell();
        }
    }

    /// Hands a received message to every reader whose filter it fits. A reader that does not keep
    /// up misses it: it must never hold up the keep-alive.
    pub fn received(&self, message: &Message) {
        for subscriber in self
            .subscribers
            .iter()
            .filter(|one| one.matches(&message.topic))
        {
            if let Err(mpsc::error::TrySendError::Full(_)) =
                subscriber.messages.try_send(message.clone())
            {
                subscriber.missed.send_modify(|count| *count += 1);
                warn!(
                    "dropped a message on '{}': its reader does not keep up",
                    message.topic
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str) -> Message {
        Message {
            topic: topic.into(),
            payload: "x".into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: super::super::Properties::default(),
        }
    }

    fn with(filters: &[&str]) -> (Subscriptions, Vec<Subscription>) {
        let mut all = Subscriptions::default();
        let readers = filters
            .iter()
            .map(|filter| {
                let (subscriber, reader) = pair(&[filter], QoS::AtLeastOnce, 1);
                all.add(subscriber);
                reader
            })
            .collect();
        (all, readers)
    }

    fn acknowledge(all: &mut Subscriptions, packets: &[Vec<(String, QoS)>]) {
        for packet in packets {
            let batch: Batch = packet
                .iter()
                .map(|(filter, _)| filter.as_str().into())
                .collect();
            all.acknowledged(&batch, &vec![Ok(()); batch.len()]);
        }
    }

    #[test]
    fn no_packet_holds_more_than_eight_filters_and_none_is_asked_twice() {
        let names: Vec<String> = (0..17).map(|n| format!("t/{n}")).collect();
        let mut filters: Vec<&str> = names.iter().map(String::as_str).collect();
        filters.push("t/0");
        let (mut all, _readers) = with(&filters);
        all.connected(false);
        let sizes: Vec<usize> = all.unasked().iter().map(Vec::len).collect();
        assert_eq!(sizes, [8, 8, 1]);
        assert!(all.unasked().is_empty(), "asked already");
    }

    #[test]
    fn a_kept_session_needs_no_second_subscription() {
        let (mut all, _readers) = with(&["a", "b"]);
        all.connected(true);
        let packets = all.unasked();
        assert_eq!(
            packets.len(),
            1,
            "this process does not know what an older one subscribed"
        );
        acknowledge(&mut all, &packets);
        all.connected(true);
        assert!(all.unasked().is_empty());
        all.connected(false);
        assert_eq!(all.unasked().len(), 1, "a lost session is subscribed again");
    }

    #[test]
    fn a_refused_filter_disables_only_its_own_readers() {
        let (mut all, readers) = with(&["a", "b", "c"]);
        all.connected(false);
        let batch = vec!["a".into(), "b".into(), "c".into()];
        assert!(!all.settled());
        all.acknowledged(&batch, &[Ok(()), Err("no".into())]);
        assert!(all.settled(), "refused ones are answered too");
        let states: Vec<_> = readers
            .iter()
            .map(|reader| reader.state.borrow().clone())
            .collect();
        assert_eq!(states[0], SubscriptionState::Active);
        assert_eq!(states[1], SubscriptionState::Refused("no".into()));
        assert!(
            matches!(&states[2], SubscriptionState::Refused(why) if why.contains("does not mention"))
        );
    }

    #[test]
    fn a_subscription_to_several_filters_is_active_when_all_are() {
        let mut all = Subscriptions::default();
        let (subscriber, mut reader) = pair(&["a", "b"], QoS::AtLeastOnce, 4);
        all.add(subscriber);
        all.connected(false);
        assert_eq!(all.unasked().len(), 1, "in one packet");
        all.acknowledged(&vec!["a".into()], &[Ok(())]);
        assert_eq!(*reader.state.borrow(), SubscriptionState::Pending);
        all.acknowledged(&vec!["b".into()], &[Ok(())]);
        assert_eq!(*reader.state.borrow(), SubscriptionState::Active);
        for topic in ["a", "b", "c"] {
            all.received(&message(topic));
        }
        let heard: Vec<String> = std::iter::from_fn(|| reader.messages.try_recv().ok())
            .map(|message| message.topic)
            .collect();
        assert_eq!(heard, ["a", "b"]);
        all.connected(false);
        all.acknowledged(&vec!["a".into(), "b".into()], &[Ok(()), Err("no".into())]);
        assert_eq!(
            *reader.state.borrow(),
            SubscriptionState::Refused("no".into())
        );
    }

    #[test]
    fn a_message_reaches_every_fitting_reader_and_a_slow_one_only_misses_its_own() {
        let (all, mut readers) = with(&["a/#", "a/+", "b"]);
        all.received(&message("a/1"));
        assert!(readers[0].messages.try_recv().is_ok());
        all.received(&message("a/2"));
        assert!(readers[0].messages.try_recv().is_ok());
        assert_eq!(*readers[1].missed.borrow(), 1);
        assert!(readers[2].messages.try_recv().is_err());
    }
}
