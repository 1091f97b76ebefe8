//! Pure: messages in both directions, as the rest of the program knows them.

use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QoS {
    AtMostOnce,
    AtLeastOnce,
}

/// A message to publish. Its topic, size and properties are within what the broker accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub topic: String,
    pub payload: Bytes,
    pub qos: QoS,
    pub retain: bool,
    pub properties: Properties,
}

impl Publish {
    /// An upper bound of the packet's size in bytes.
    pub fn packet_size(&self) -> usize {
        let properties = &self.properties;
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() + 3);
        let user: usize = properties
            .user
            .iter()
            .map(|(name, value)| name.len() + value.len() + 5)
            .sum();
        16 + self.topic.len()
            + self.payload.len()
            + text(&properties.content_type)
            + text(&properties.response_topic)
            + properties
                .correlation_data
                .as_ref()
                .map_or(0, |data| data.len() + 3)
            + 5
            + user
    }
}

/// The MQTT 5 properties of a message. MQTT 3.1.1 leaves them out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data: Option<Bytes>,
    /// In seconds.
    pub message_expiry: Option<u32>,
    pub user: Vec<(String, String)>,
}

/// A message from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Bytes,
    pub qos: QoS,
    pub retain: bool,
    pub properties: Properties,
}
