//! Pure: a message file and its letterhead become a message to publish, or the reason why not.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Map, Value};

use super::properties::properties;
use super::topic;
use crate::mqtt::{Publish, QoS};

/// The largest payload that AWS IoT Core takes.
const LARGEST_PAYLOAD: usize = 128 * 1024;

/// The queue holds it for each waiting message.
const LONGEST_SLOT: usize = 256;

/// Members that order the queue. They are read from the message alone.
const PRIORITY: &str = "priority";
const PRIORITY_SLOT: &str = "priority_slot";

/// A message file, parsed but not yet complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    members: Map<String, Value>,
    pub priority: Option<i64>,
    pub slot: Option<String>,
}

/// A message that can be published, and what is worth a warning.
#[derive(Debug, PartialEq)]
pub struct Composed {
    pub publish: Publish,
    pub warnings: Vec<String>,
}

impl Message {
    /// Reads a message file.
    ///
    /// # Errors
    /// Why it can never be published.
    pub fn parse(contents: &[u8]) -> Result<Message, String> {
        let mut members = object(contents)?;
        let priority = match members.remove(PRIORITY) {
            None => None,
            Some(value) => Some(value.as_i64().ok_or_else(|| {
                format!("member \"priority\" is {}, not an integer", brief(&value))
            })?),
        };
        let slot = match members.remove(PRIORITY_SLOT) {
            None => None,
            Some(Value::String(slot)) if slot.len() > LONGEST_SLOT => {
                return Err(format!(
                    "member \"priority_slot\" has more than {LONGEST_SLOT} bytes"
                ));
            }
            Some(Value::String(slot)) => Some(slot),
            Some(value) => {
                return Err(format!(
                    "member \"priority_slot\" is {}, not a string",
                    kind(&value)
                ));
            }
        };
        Ok(Message {
            members,
            priority,
            slot,
        })
    }

    /// The topic that the message itself names.
    pub fn topic(&self) -> Option<&str> {
        self.members.get("topic")?.as_str()
    }

    /// Merges the message onto its letterhead and checks everything the broker would refuse.
    /// Published is `prefix` + topic + `suffix`.
    ///
    /// # Errors
    /// Why it can never be published.
    pub fn compose(
        self,
        letterhead: Option<Map<String, Value>>,
        prefix: &str,
        suffix: &str,
    ) -> Result<Composed, String> {
        let mut warnings = Vec::new();
        let mut whole = merged(letterhead, self.members);
        let topic = match whole.remove("topic") {
            Some(Value::String(topic)) if !topic.is_empty() => format!("{prefix}{topic}{suffix}"),
            Some(Value::String(_)) => return Err("member \"topic\" is empty".into()),
            Some(other) => {
                return Err(format!(
                    "member \"topic\" is {}, not a string",
                    kind(&other)
                ));
            }
            None => return Err("member \"topic\" is missing".into()),
        };
        if let Some(why) = topic::invalid(&topic) {
            return Err(format!("topic {} {why}", shortened(&format!("{topic:?}"))));
        }
        let payload = payload(&mut whole)?;
        let payload = compressed(payload, whole.get("compress"), &mut warnings)?;
        if payload.len() > LARGEST_PAYLOAD {
            return Err(format!(
                "payload has {} bytes, more than the {LARGEST_PAYLOAD} allowed",
                payload.len()
            ));
        }
        let publish = Publish {
            topic,
            payload: payload.into(),
            qos: qos(whole.get("qos"))?,
            retain: retain(whole.get("retain"))?,
            properties: properties(whole.remove("properties"))?,
        };
        Ok(Composed { publish, warnings })
    }
}

/// Reads a JSON object, of a message or a letterhead.
///
/// # Errors
/// What is wrong with it, with line and column.
pub fn object(contents: &[u8]) -> Result<Map<String, Value>, String> {
    if contents.iter().all(u8::is_ascii_whitespace) {
        return Err("is empty".into());
    }
    match serde_json::from_slice(contents) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(format!("is {}, not a JSON object", kind(&other))),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// The message on its letterhead: objects deeply, in everything else the message wins.
fn merged(
    letterhead: Option<Map<String, Value>>,
    message: Map<String, Value>,
) -> Map<String, Value> {
    let Some(mut base) = letterhead else {
        return message;
    };
    // Of the letterhead's own the message's replaces either form of payload.
    if message.contains_key("payload") {
        base.remove("payload_base64");
    }
    if message.contains_key("payload_base64") {
        base.remove("payload");
    }
    merge(&mut base, message);
    base
}

fn merge(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => drop(base.insert(name, value)),
        }
    }
}

fn payload(whole: &mut Map<String, Value>) -> Result<Vec<u8>, String> {
    match (whole.remove("payload"), whole.remove("payload_base64")) {
        (Some(_), Some(_)) => {
            Err("has both \"payload\" and \"payload_base64\", one of them is wanted".into())
        }
        (None, None) => Err("member \"payload\" is missing".into()),
        (Some(Value::String(text)), None) => Ok(text.into_bytes()),
        (Some(value), None) => Ok(value.to_string().into_bytes()),
        (None, Some(Value::String(text))) => STANDARD
            .decode(text)
            .map_err(|error| format!("member \"payload_base64\" is not base64: {error}")),
        (None, Some(other)) => Err(format!(
            "member \"payload_base64\" is {}, not a string",
            kind(&other)
        )),
    }
}

fn compressed(
    payload: Vec<u8>,
    how: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<Vec<u8>, String> {
    let written = match how {
        None => return Ok(payload),
        Some(Value::String(how)) if how == "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&payload).and_then(|()| encoder.finish())
        }
        Some(Value::String(how)) if how == "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&payload).and_then(|()| encoder.finish())
        }
        Some(other) => {
            warnings.push(format!(
                "sent uncompressed: \"compress\" is {}, not \"gzip\" or \"deflate\"",
                brief(other)
            ));
            return Ok(payload);
        }
    };
    written.map_err(|error| format!("cannot be compressed: {error}"))
}

fn qos(value: Option<&Value>) -> Result<QoS, String> {
    match value.map(|value| (value, value.as_i64())) {
        None | Some((_, Some(1))) => Ok(QoS::AtLeastOnce),
        Some((_, Some(0))) => Ok(QoS::AtMostOnce),
        Some((_, Some(2))) => {
            Err("member \"qos\" is 2, which AWS IoT Core does not know; use 0 or 1".into())
        }
        Some((other, _)) => Err(format!("member \"qos\" is {}, use 0 or 1", brief(other))),
    }
}

fn retain(value: Option<&Value>) -> Result<bool, String> {
    match value {
        None => Ok(false),
        Some(Value::Bool(retain)) => Ok(*retain),
        Some(other) => Err(format!(
            "member \"retain\" is {}, use true or false",
            brief(other)
        )),
    }
}

/// A value for the log: messages may be large, and are not the log's business.
pub fn brief(value: &Value) -> String {
    shortened(&value.to_string())
}

pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
