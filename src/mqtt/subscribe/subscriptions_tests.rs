use std::sync::Arc;

use tokio::sync::Semaphore;

use super::*;

fn pair(filters: &[&str], capacity: usize) -> (Subscriber, Subscription) {
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    super::pair(filters, QoS::AtLeastOnce, capacity, room)
}

fn message(topic: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: "x".into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: crate::mqtt::Properties::default(),
    }
}

fn with(filters: &[&str]) -> (Subscriptions, Vec<Subscription>) {
    let mut all = Subscriptions::default();
    let readers = filters
        .iter()
        .map(|filter| {
            let (subscriber, reader) = pair(&[filter], 1);
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
    all.connected(1, false);
    let sizes: Vec<usize> = all.unasked().iter().map(Vec::len).collect();
    assert_eq!(sizes, [8, 8, 1]);
    assert!(all.unasked().is_empty(), "asked already");
}

#[test]
fn a_kept_session_needs_no_second_subscription() {
    let (mut all, _readers) = with(&["a", "b"]);
    all.connected(1, true);
    let packets = all.unasked();
    assert_eq!(
        packets.len(),
        1,
        "this process does not know what an older one subscribed"
    );
    acknowledge(&mut all, &packets);
    all.connected(1, true);
    assert!(all.unasked().is_empty());
    all.connected(1, false);
    assert_eq!(all.unasked().len(), 1, "a lost session is subscribed again");
}

#[test]
fn a_refused_filter_disables_only_its_own_readers() {
    let (mut all, readers) = with(&["a", "b", "c"]);
    all.connected(1, false);
    let batch = vec!["a".into(), "b".into(), "c".into()];
    assert!(!all.all_answered());
    all.acknowledged(&batch, &[Ok(()), Err("no".into())]);
    assert!(all.all_answered(), "refused ones are answered too");
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
    let (subscriber, mut reader) = pair(&["a", "b"], 4);
    all.add(subscriber);
    all.connected(1, false);
    assert_eq!(all.unasked().len(), 1, "in one packet");
    all.acknowledged(&vec!["a".into()], &[Ok(())]);
    assert_eq!(*reader.state.borrow(), SubscriptionState::Pending);
    all.acknowledged(&vec!["b".into()], &[Ok(())]);
    assert_eq!(*reader.state.borrow(), SubscriptionState::Active);
    for topic in ["a", "b", "c"] {
        all.received(&message(topic), None);
    }
    let heard: Vec<String> = std::iter::from_fn(|| reader.messages.try_recv().ok())
        .map(|message| message.topic)
        .collect();
    assert_eq!(heard, ["a", "b"]);
    all.connected(1, false);
    all.acknowledged(&vec!["a".into(), "b".into()], &[Ok(()), Err("no".into())]);
    assert_eq!(
        *reader.state.borrow(),
        SubscriptionState::Refused("no".into())
    );
}

#[test]
fn a_message_reaches_every_fitting_reader_and_a_slow_one_only_misses_its_own() {
    let (all, mut readers) = with(&["a/#", "a/+", "b"]);
    all.received(&message("a/1"), None);
    assert!(readers[0].messages.try_recv().is_ok());
    all.received(&message("a/2"), None);
    assert!(readers[0].messages.try_recv().is_ok());
    assert_eq!(*readers[1].missed.borrow(), 1);
    assert!(readers[2].messages.try_recv().is_err());
}

fn receipt(packet_id: u16) -> Receipt {
    let (done, _) = tokio::sync::mpsc::channel(1);
    Receipt::new(packet_id, 1, done, watch::Sender::new(0).subscribe())
}

fn durable(all: &mut Subscriptions, filter: &str) -> Durable {
    let (subscriber, reader) = durable_pair(&[filter], watch::Sender::new(0).subscribe());
    all.add(subscriber);
    reader
}

#[test]
fn only_durable_readers_hold_back_an_acknowledgement() {
    let (mut all, _ordinary) = with(&["a/#"]);
    let mut first = durable(&mut all, "a/b");
    let mut second = durable(&mut all, "a/+");
    for (topic, verdict) in [
        ("a/b", Routing::Held(2)),
        ("a/c", Routing::Held(1)),
        ("a/b/c", Routing::Taken),
        ("b", Routing::Unmatched),
    ] {
        assert_eq!(
            all.received(&message(topic), Some(&receipt(1))),
            verdict,
            "{topic}"
        );
    }
    assert!(first.try_next().is_some() && first.try_next().is_none());
    assert!(second.try_next().is_some() && second.try_next().is_some());
}

#[test]
fn what_a_durable_reader_has_no_room_for_reaches_nobody() {
    let (mut all, mut ordinary) = with(&["a"]);
    let mut durable = durable(&mut all, "a");
    for n in 0..durable::MAILBOX {
        assert_eq!(
            all.received(&message("a"), Some(&receipt(1))),
            Routing::Held(1),
            "{n}"
        );
        let _ = ordinary[0].messages.try_recv();
    }
    assert_eq!(
        all.received(&message("a"), Some(&receipt(2))),
        Routing::Left
    );
    assert!(
        ordinary[0].messages.try_recv().is_err(),
        "it gets it with the next copy"
    );
    durable.try_next();
    assert_eq!(
        all.received(&message("a"), Some(&receipt(2))),
        Routing::Held(1)
    );
}

#[test]
fn a_durable_reader_that_is_gone_takes_nothing() {
    let mut all = Subscriptions::default();
    drop(durable(&mut all, "a"));
    all.connected(2, true);
    assert_eq!(
        all.received(&message("a"), Some(&receipt(1))),
        Routing::Left
    );
}

#[test]
fn a_flood_of_qos_0_takes_no_places_of_what_the_broker_keeps() {
    let mut all = Subscriptions::default();
    let reader = durable(&mut all, "a");
    for _ in 0..300 {
        all.received(&message("a"), None);
    }
    assert_eq!(*reader.missed.borrow(), 200);
    assert_eq!(
        all.received(&message("a"), Some(&receipt(1))),
        Routing::Held(1)
    );
}

#[test]
fn the_last_messages_of_a_connection_reach_those_who_will_not_get_them_again() {
    let (mut all, mut ordinary) = with(&["a"]);
    let mut durable = durable(&mut all, "a");
    all.received_late(&message("a"));
    assert!(ordinary[0].messages.try_recv().is_ok());
    assert!(durable.try_next().is_none());
}

#[test]
fn a_reader_can_distinguish_one_connection_from_the_next() {
    let (mut all, readers) = with(&["a"]);
    all.connected(3, false);
    assert_eq!(*readers[0].connection.borrow(), 3);
}
