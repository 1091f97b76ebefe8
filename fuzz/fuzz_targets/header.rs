//! The header of a received message is one line of JSON that says what was received.

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use chariotd::inbox::header::header;
use chariotd::mqtt::{Message, Properties, QoS};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[derive(Arbitrary, Debug)]
struct Received {
    topic: String,
    at_least_once: bool,
    retain: bool,
    at: Duration,
    content_type: Option<String>,
    response_topic: Option<String>,
    correlation_data: Option<Vec<u8>>,
    message_expiry: Option<u32>,
    user: Vec<(String, String)>,
}

fuzz_target!(|received: Received| {
    let topic = received.topic.clone();
    let user = received.user.last().cloned();
    let at = received.at;
    let line = header(&message(received), at);
    let (last, before) = line.split_last().expect("a line");
    assert!(*last == b'\n' && !before.contains(&b'\n'));
    let read: Value = serde_json::from_slice(&line).expect("JSON");
    assert_eq!(read["topic"], topic.as_str());
    if let Some((name, value)) = user
        && !name.starts_with("$serde_json")
    {
        assert_eq!(read["properties"]["user"][&name], value.as_str());
    }
});

fn message(received: Received) -> Message {
    Message {
        topic: received.topic,
        payload: "x".into(),
        qos: match received.at_least_once {
            true => QoS::AtLeastOnce,
            false => QoS::AtMostOnce,
        },
        retain: received.retain,
        properties: Properties {
            content_type: received.content_type,
            response_topic: received.response_topic,
            correlation_data: received.correlation_data.map(Into::into),
            message_expiry: received.message_expiry,
            user: received.user,
        },
    }
}
