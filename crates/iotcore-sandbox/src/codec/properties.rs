//! Encodes and decodes the properties of MQTT 5.

use bytes::Bytes;
use mqtt_protocol_core::mqtt::packet::{self as wire, Property};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use crate::packet::{ConnackProperties, Properties};

pub(super) fn connack_properties(from: &ConnackProperties) -> Result<wire::Properties, MqttError> {
    let mut properties = vec![
        Property::SessionExpiryInterval(wire::SessionExpiryInterval::new(from.session_expiry)?),
        Property::ReceiveMaximum(wire::ReceiveMaximum::new(from.receive_maximum)?),
        Property::MaximumQos(wire::MaximumQos::new(1)?),
        Property::RetainAvailable(wire::RetainAvailable::new(1)?),
        Property::MaximumPacketSize(wire::MaximumPacketSize::new(from.maximum_packet)?),
        Property::TopicAliasMaximum(wire::TopicAliasMaximum::new(from.topic_aliases)?),
        Property::WildcardSubscriptionAvailable(wire::WildcardSubscriptionAvailable::new(1)?),
        Property::SubscriptionIdentifierAvailable(wire::SubscriptionIdentifierAvailable::new(0)?),
        Property::SharedSubscriptionAvailable(wire::SharedSubscriptionAvailable::new(1)?),
        Property::ServerKeepAlive(wire::ServerKeepAlive::new(from.keep_alive)?),
    ];
    if let Some(id) = &from.assigned_client_id {
        properties.push(Property::AssignedClientIdentifier(
            wire::AssignedClientIdentifier::new(id)?,
        ));
    }
    Ok(properties)
}

pub(super) fn publish_properties(from: &Properties) -> Result<wire::Properties, MqttError> {
    let mut properties = wire::Properties::new();
    if let Some(format) = from.payload_format {
        let format = if format == 1 {
            wire::PayloadFormat::String
        } else {
            wire::PayloadFormat::Binary
        };
        properties.push(Property::PayloadFormatIndicator(
            wire::PayloadFormatIndicator::new(format)?,
        ));
    }
    if let Some(seconds) = from.message_expiry {
        properties.push(Property::MessageExpiryInterval(
            wire::MessageExpiryInterval::new(seconds)?,
        ));
    }
    if let Some(content) = &from.content_type {
        properties.push(Property::ContentType(wire::ContentType::new(content)?));
    }
    if let Some(topic) = &from.response_topic {
        properties.push(Property::ResponseTopic(wire::ResponseTopic::new(topic)?));
    }
    if let Some(data) = &from.correlation_data {
        properties.push(Property::CorrelationData(wire::CorrelationData::new(
            data.to_vec(),
        )?));
    }
    for (key, value) in &from.user {
        properties.push(Property::UserProperty(wire::UserProperty::new(key, value)?));
    }
    Ok(properties)
}

pub(super) fn properties(from: &wire::Properties) -> Properties {
    let mut properties = Properties::default();
    for property in from {
        match property {
            Property::PayloadFormatIndicator(p) => properties.payload_format = Some(p.val()),
            Property::MessageExpiryInterval(p) => properties.message_expiry = Some(p.val()),
            Property::ContentType(p) => properties.content_type = Some(p.val().to_owned()),
            Property::ResponseTopic(p) => properties.response_topic = Some(p.val().to_owned()),
            Property::CorrelationData(p) => {
                properties.correlation_data = Some(Bytes::copy_from_slice(p.val()))
            }
            Property::UserProperty(p) => properties
                .user
                .push((p.key().to_owned(), p.val().to_owned())),
            _ => {}
        }
    }
    properties
}

pub(super) fn session_expiry(from: &wire::Properties) -> Option<u32> {
    from.iter().find_map(|property| match property {
        Property::SessionExpiryInterval(p) => Some(p.val()),
        _ => None,
    })
}

pub(super) fn receive_maximum(from: &wire::Properties) -> Option<u16> {
    from.iter().find_map(|property| match property {
        Property::ReceiveMaximum(p) => Some(p.val()),
        _ => None,
    })
}

pub(super) fn topic_alias(from: &wire::Properties) -> Option<u16> {
    from.iter().find_map(|property| match property {
        Property::TopicAlias(p) => Some(p.val()),
        _ => None,
    })
}

pub(super) fn has_subscription_identifier(from: &wire::Properties) -> bool {
    from.iter()
        .any(|property| matches!(property, Property::SubscriptionIdentifier(_)))
}
