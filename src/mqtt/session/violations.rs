//! Pure: what a broker must never say, and the client takes all the same.

use crate::mqtt::wire::Seen;
use crate::net::{Class, Ending};

/// Why the connection must end over this event. `is_up`: CONNACK has come before.
pub fn violation(seen: &Seen, is_up: bool) -> Option<Ending> {
    let reason = match seen {
        Seen::Connected(_) if is_up => "CONNACK came a second time",
        // Nothing could ever be published, and the client would wait for ever to say even DISCONNECT.
        Seen::Connected(accepted) if accepted.receive_maximum == Some(0) => {
            "CONNACK with a Receive Maximum of 0"
        }
        Seen::Connected(accepted) if accepted.maximum_packet_size == Some(0) => {
            "CONNACK with a Maximum Packet Size of 0"
        }
        // We allow no alias, so there is no way to know what it would be about.
        Seen::Received(message, _) if message.topic.is_empty() => "a message without a topic came",
        Seen::Connected(_)
        | Seen::Sent(_)
        | Seen::Written
        | Seen::Acknowledged(..)
        | Seen::SubscribeSent(_)
        | Seen::Subscribed(..)
        | Seen::Received(..)
        | Seen::AcknowledgementSent
        | Seen::PingSent
        | Seen::PingAnswered
        | Seen::DisconnectSent
        | Seen::Nothing => return None,
    };
    Some(Ending::new(Class::Protocol, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::message::{Message, Properties, QoS};
    use crate::mqtt::wire::Connack;

    #[test]
    fn a_good_connack_is_taken_once() {
        let connack = || Seen::Connected(Connack::default());
        assert_eq!(violation(&connack(), false), None);
        assert!(violation(&connack(), true).is_some());
    }

    #[test]
    fn a_maximum_of_nothing_is_no_maximum() {
        let with = |receive_maximum, maximum_packet_size| {
            let connack = Connack {
                receive_maximum,
                maximum_packet_size,
                ..Connack::default()
            };
            violation(&Seen::Connected(connack), false)
        };
        assert_eq!(with(Some(1), Some(1)), None);
        assert!(with(Some(0), None).is_some());
        assert!(with(None, Some(0)).is_some());
    }

    #[test]
    fn a_message_has_a_topic() {
        let about = |topic: &str| {
            let message = Message {
                topic: topic.to_owned(),
                payload: Vec::new().into(),
                qos: QoS::AtMostOnce,
                retain: false,
                properties: Properties::default(),
            };
            violation(&Seen::Received(message, None), true)
        };
        assert_eq!(about("/"), None);
        assert!(about("").is_some());
    }
}
