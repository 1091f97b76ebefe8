//! Pure: the JSON header that stands beside each message of an inbox.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::mqtt::{Message, Properties, QoS};

/// One line of JSON about a message that was received at this time since 1970.
pub fn header(message: &Message, received: Duration) -> Vec<u8> {
    let mut members = Map::new();
    members.insert("topic".into(), message.topic.as_str().into());
    let qos = match message.qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
    };
    members.insert("qos".into(), qos.into());
    members.insert("retain".into(), message.retain.into());
    members.insert("received".into(), seconds(received));
    let properties = properties(&message.properties);
    if !properties.is_empty() {
        members.insert("properties".into(), properties.into());
    }
    let mut line = Value::Object(members).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Seconds with three digits of fraction.
fn seconds(since: Duration) -> Value {
    let text = format!("{}.{:03}", since.as_secs(), since.subsec_millis());
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

fn properties(properties: &Properties) -> Map<String, Value> {
    let Properties {
        content_type,
        response_topic,
        correlation_data,
        message_expiry,
        user,
    } = properties;
    let correlation = correlation_data.as_ref().map(|data| STANDARD.encode(data));
    let mut members = Map::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.into(), value);
        }
    };
    add("content_type", content_type.clone().map(Value::from));
    add("response_topic", response_topic.clone().map(Value::from));
    add("correlation_data_base64", correlation.map(Value::from));
    add("message_expiry", message_expiry.map(Value::from));
    // A name may come several times: then its last value counts.
    let pairs = user.iter().cloned();
    let user: Map<String, Value> = pairs.map(|(name, value)| (name, value.into())).collect();
    add(
        "user",
        Some(user).filter(|user| !user.is_empty()).map(Value::from),
    );
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &Message, expect: &str) {
        let line = header(message, Duration::from_millis(1_763_712_000_042));
        assert_eq!(String::from_utf8(line).unwrap(), expect);
    }

    #[test]
    fn a_header_says_what_the_payload_does_not() {
        let mut message = Message {
            topic: "plant/\"7\"/\u{e4}".into(),
            payload: "x".into(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::default(),
        };
        check(
            &message,
            "{\"topic\":\"plant/\\\"7\\\"/\u{e4}\",\"qos\":1,\"retain\":true,\"received\":1763712000.042}\n",
        );
        message.qos = QoS::AtMostOnce;
        message.properties = Properties {
            content_type: Some("text/plain".into()),
            response_topic: Some("answers".into()),
            correlation_data: Some(vec![0, 255].into()),
            message_expiry: Some(60),
            user: vec![
                ("a".into(), "1".into()),
                ("b".into(), "2".into()),
                ("a".into(), "3".into()),
            ],
        };
        check(
            &message,
            concat!(
                "{\"topic\":\"plant/\\\"7\\\"/\u{e4}\",\"qos\":0,\"retain\":true,\"received\":1763712000.042,",
                "\"properties\":{\"content_type\":\"text/plain\",\"response_topic\":\"answers\",",
                "\"correlation_data_base64\":\"AP8=\",\"message_expiry\":60,\"user\":{\"a\":\"3\",\"b\":\"2\"}}}\n"
            ),
        );
    }
}
