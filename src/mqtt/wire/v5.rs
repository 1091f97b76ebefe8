//! MQTT 5: our types to and from the client's.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS as WireQoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, Filter, LastWill, Packet, PubAckReason, Publish as Publish5,
    PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Transport};

use super::packets::{
    Ack, Acknowledging, CONNECTION_TIMEOUT_S, Connack, LARGEST_PACKET, PACKET_IDS, RECEIVE_MAXIMUM,
    REQUESTS, Seen,
};
use super::v4;
use crate::mqtt::access::Login;
use crate::mqtt::message::{Message, Properties, Publish, QoS};
use crate::mqtt::options::ConnectionOptions;
use crate::mqtt::publish_error::RefusalClass;

/// No broker makes us send PINGREQ more often.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

pub fn open(
    options: &ConnectionOptions,
    login: Option<Login>,
    acknowledging: Acknowledging,
    socket: &str,
) -> (AsyncClient, EventLoop) {
    // A socket of this machine has no port.
    let mut mqtt = MqttOptions::new(&options.client_id, socket, 1);
    let mut properties = ConnectProperties::new();
    properties.max_packet_size = Some(LARGEST_PACKET);
    properties.session_expiry_interval = u32::try_from(options.session_expiry.as_secs())
        .ok()
        .filter(|seconds| *seconds > 0);
    if acknowledging == Acknowledging::ByHand {
        properties.receive_maximum = Some(RECEIVE_MAXIMUM);
    }
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(CONNECTION_TIMEOUT_S);
    mqtt.set_clean_start(options.session_expiry == Duration::ZERO)
        .set_keep_alive(options.keep_alive)
        .set_manual_acks(acknowledging == Acknowledging::ByHand)
        .set_outgoing_inflight_upper_limit(PACKET_IDS)
        .set_connect_properties(properties)
        .set_connection_timeout(CONNECTION_TIMEOUT_S)
        .set_network_options(network)
        .set_transport(Transport::Unix);
    if let Some(Login { username, password }) = login {
        mqtt.set_credentials(username, password.unwrap_or_default());
    }
    if let Some(will) = &options.last_will {
        let payload = will.payload.clone().into_bytes();
        mqtt.set_last_will(LastWill::new(
            &will.topic,
            payload,
            WireQoS::AtLeastOnce,
            will.retain,
            None,
        ));
    }
    let (client, events) = AsyncClient::new(mqtt, REQUESTS);
    (client, events)
}

/// How often PINGREQ is sent is the broker's to say, and zero means never. The client would take zero
/// for one after the other; one it sends all the same.
pub fn heed_keep_alive(event: &Event, options: &mut MqttOptions) {
    let Event::Incoming(Packet::ConnAck(connack)) = event else {
        return;
    };
    let properties = connack.properties.as_ref();
    if let Some(seconds) = properties.and_then(|all| all.server_keep_alive) {
        options.set_keep_alive(keep_alive(seconds));
    }
}

fn keep_alive(server: u16) -> Duration {
    match server {
        0 => NEVER,
        seconds => Duration::from_secs(seconds.into()).max(SHORTEST_KEEP_ALIVE),
    }
}

pub fn publish(client: &AsyncClient, publish: Publish) -> bool {
    let Publish {
        topic,
        payload,
        qos: wanted,
        retain,
        properties,
    } = publish;
    let handed = match wire_properties(properties) {
        Some(properties) => {
            client.try_publish_with_properties(topic, qos(wanted), retain, payload, properties)
        }
        None => client.try_publish(topic, qos(wanted), retain, payload),
    };
    handed.is_ok()
}

pub fn subscribe(client: &AsyncClient, filters: &[(String, QoS)]) -> bool {
    let filters = filters
        .iter()
        .map(|(filter, wanted)| Filter::new(filter.clone(), qos(*wanted)));
    client.try_subscribe_many(filters).is_ok()
}

pub fn acknowledge(client: &AsyncClient, packet_id: u16) -> bool {
    // The client reads QoS and packet id of it, nothing else.
    let mut received = Publish5::new("", WireQoS::AtLeastOnce, Vec::new(), None);
    received.pkid = packet_id;
    client.try_ack(&received).is_ok()
}

pub fn seen(event: Event) -> Seen {
    match event {
        Event::Outgoing(outgoing) => v4::outgoing_seen(&outgoing),
        Event::Incoming(packet) => match packet {
            Packet::ConnAck(connack) => Seen::Connected(accepted(&connack)),
            Packet::PubAck(puback) => Seen::Acknowledged(puback.pkid, ack(puback.reason)),
            Packet::SubAck(suback) => Seen::Subscribed(
                suback.pkid,
                suback.return_codes.into_iter().map(granted).collect(),
            ),
            Packet::Publish(publish) => {
                let packet_id = Some(publish.pkid).filter(|id| *id != 0);
                Seen::Received(message(publish), packet_id)
            }
            Packet::PingResp(_) => Seen::PingAnswered,
            _ => Seen::Nothing,
        },
    }
}

fn message(publish: Publish5) -> Message {
    let properties = publish
        .properties
        .map_or_else(Properties::default, |wire| Properties {
            content_type: wire.content_type,
            response_topic: wire.response_topic,
            correlation_data: wire.correlation_data,
            message_expiry: wire.message_expiry_interval,
            user: wire.user_properties,
        });
    Message {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        qos: if publish.qos == WireQoS::AtMostOnce {
            QoS::AtMostOnce
        } else {
            QoS::AtLeastOnce
        },
        retain: publish.retain,
        properties,
    }
}

fn accepted(connack: &ConnAck) -> Connack {
    let properties = connack.properties.as_ref();
    Connack {
        session_present: connack.session_present,
        receive_maximum: properties.and_then(|all| all.receive_max),
        session_expiry: properties.and_then(|all| all.session_expiry_interval),
        maximum_packet_size: properties.and_then(|all| all.max_packet_size),
    }
}

fn ack(reason: PubAckReason) -> Ack {
    use RefusalClass::{Passing, Permanent, Quota};
    let (reason, refusal) = match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return Ack::Accepted,
        PubAckReason::NotAuthorized => (
            "not authorised, the policy of the certificate forbids this topic",
            Permanent,
        ),
        PubAckReason::TopicNameInvalid => ("topic name invalid", Permanent),
        PubAckReason::PayloadFormatInvalid => ("payload format invalid", Permanent),
        PubAckReason::QuotaExceeded => ("quota exceeded", Quota),
        PubAckReason::PacketIdentifierInUse => ("packet identifier in use", Passing),
        PubAckReason::UnspecifiedError => ("unspecified error", Passing),
        PubAckReason::ImplementationSpecificError => ("implementation specific error", Passing),
    };
    Ack::Refused {
        reason: reason.to_owned(),
        refusal,
    }
}

fn granted(code: SubscribeReasonCode) -> Result<(), String> {
    match code {
        SubscribeReasonCode::Success(_) => Ok(()),
        SubscribeReasonCode::NotAuthorized => {
            Err("not authorised, the policy of the certificate forbids this filter".into())
        }
        refusal => Err(format!("refused by the broker: {refusal:?}")),
    }
}

fn wire_properties(properties: Properties) -> Option<PublishProperties> {
    if properties == Properties::default() {
        return None;
    }
    Some(PublishProperties {
        message_expiry_interval: properties.message_expiry,
        response_topic: properties.response_topic,
        correlation_data: properties.correlation_data,
        user_properties: properties.user,
        content_type: properties.content_type,
        ..PublishProperties::default()
    })
}

fn qos(qos: QoS) -> WireQoS {
    match qos {
        QoS::AtMostOnce => WireQoS::AtMostOnce,
        QoS::AtLeastOnce => WireQoS::AtLeastOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_alive_of_the_broker_is_never_below_five_seconds_and_zero_turns_it_off() {
        assert_eq!(keep_alive(0), NEVER);
        assert_eq!(keep_alive(1), Duration::from_secs(5));
        assert_eq!(keep_alive(5), Duration::from_secs(5));
        assert_eq!(keep_alive(u16::MAX), Duration::from_secs(65_535));
    }
}
