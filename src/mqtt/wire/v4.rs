//! MQTT 3.1.1: our types to and from the client's.

use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet,
    SubscribeFilter, SubscribeReasonCode, Transport,
};

use super::packets::{
    Ack, Acknowledging, CONNECTION_TIMEOUT_S, Connack, LARGEST_PACKET, PACKET_IDS, REQUESTS, Seen,
};
use crate::mqtt::access::Login;
use crate::mqtt::message::{Message, Properties, Publish, QoS};
use crate::mqtt::options::ConnectionOptions;

pub fn open(
    options: &ConnectionOptions,
    login: Option<Login>,
    acknowledging: Acknowledging,
    socket: &str,
) -> (AsyncClient, EventLoop) {
    // A socket of this machine has no port.
    let mut mqtt = MqttOptions::new(&options.client_id, socket, 1);
    mqtt.set_clean_session(options.session_expiry == Duration::ZERO)
        .set_keep_alive(options.keep_alive)
        .set_manual_acks(acknowledging == Acknowledging::ByHand)
        .set_inflight(PACKET_IDS)
        .set_max_packet_size(LARGEST_PACKET as usize, LARGEST_PACKET as usize)
        .set_transport(Transport::Unix);
    if let Some(Login { username, password }) = login {
        mqtt.set_credentials(username, password.unwrap_or_default());
    }
    if let Some(will) = &options.last_will {
        let payload = will.payload.clone().into_bytes();
        mqtt.set_last_will(LastWill::new(
            &will.topic,
            payload,
            rumqttc::QoS::AtLeastOnce,
            will.retain,
        ));
    }
    let (client, mut events) = AsyncClient::new(mqtt, REQUESTS);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(CONNECTION_TIMEOUT_S);
    events.set_network_options(network);
    (client, events)
}

pub fn publish(client: &AsyncClient, publish: Publish) -> bool {
    client
        .try_publish(
            publish.topic,
            qos(publish.qos),
            publish.retain,
            publish.payload,
        )
        .is_ok()
}

pub fn subscribe(client: &AsyncClient, filters: &[(String, QoS)]) -> bool {
    let filters = filters
        .iter()
        .map(|(filter, wanted)| SubscribeFilter::new(filter.clone(), qos(*wanted)));
    client.try_subscribe_many(filters).is_ok()
}

pub fn acknowledge(client: &AsyncClient, packet_id: u16) -> bool {
    // The client reads QoS and packet id of it, nothing else.
    let mut received = rumqttc::Publish::new("", rumqttc::QoS::AtLeastOnce, Vec::new());
    received.pkid = packet_id;
    client.try_ack(&received).is_ok()
}

pub fn seen(event: Event) -> Seen {
    match event {
        Event::Outgoing(outgoing) => outgoing_seen(&outgoing),
        Event::Incoming(packet) => match packet {
            Packet::ConnAck(connack) => Seen::Connected(Connack {
                session_present: connack.session_present,
                ..Connack::default()
            }),
            Packet::PubAck(puback) => Seen::Acknowledged(puback.pkid, Ack::Accepted),
            Packet::SubAck(suback) => Seen::Subscribed(
                suback.pkid,
                suback.return_codes.into_iter().map(granted).collect(),
            ),
            Packet::Publish(publish) => {
                let packet_id = Some(publish.pkid).filter(|id| *id != 0);
                Seen::Received(message(publish), packet_id)
            }
            Packet::PingResp => Seen::PingAnswered,
            _ => Seen::Nothing,
        },
    }
}

fn message(publish: rumqttc::Publish) -> Message {
    Message {
        topic: publish.topic,
        payload: publish.payload,
        qos: if publish.qos == rumqttc::QoS::AtMostOnce {
            QoS::AtMostOnce
        } else {
            QoS::AtLeastOnce
        },
        retain: publish.retain,
        properties: Properties::default(),
    }
}

pub fn outgoing_seen(outgoing: &Outgoing) -> Seen {
    match outgoing {
        Outgoing::Publish(0) => Seen::Written,
        Outgoing::Publish(packet_id) => Seen::Sent(*packet_id),
        Outgoing::Subscribe(packet_id) => Seen::SubscribeSent(*packet_id),
        Outgoing::PubAck(_) => Seen::AcknowledgementSent,
        Outgoing::PingReq => Seen::PingSent,
        Outgoing::Disconnect => Seen::DisconnectSent,
        _ => Seen::Nothing,
    }
}

fn granted(code: SubscribeReasonCode) -> Result<(), String> {
    match code {
        SubscribeReasonCode::Success(_) => Ok(()),
        SubscribeReasonCode::Failure => {
            Err("refused by the broker, check the policy of the certificate".into())
        }
    }
}

fn qos(qos: QoS) -> rumqttc::QoS {
    match qos {
        QoS::AtMostOnce => rumqttc::QoS::AtMostOnce,
        QoS::AtLeastOnce => rumqttc::QoS::AtLeastOnce,
    }
}
