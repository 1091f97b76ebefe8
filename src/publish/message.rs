//! Pure: a message file and its letterhead become a message to publish, or the reason why not.

use std::io::Write;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::value::RawValue;

use super::glimpse::{brief, glimpse};
use super::properties::properties;
use super::topic;
use crate::json::{self, Kind, Members, compact, kind};
use crate::mqtt::{Publish, QoS};
use crate::spool::order::Priority;

/// The largest payload that AWS IoT Core takes.
pub const LARGEST_PAYLOAD: usize = 128 * 1024;

/// The queue holds it for each waiting message.
const LONGEST_SLOT: usize = 256;

/// Members that order the queue. They are read from the message alone.
const PRIORITY: &str = "priority";
const PRIORITY_SLOT: &str = "priority_slot";

/// Padding is left out by some programs, and the last bits are of no interest.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A message file, parsed but not yet complete.
#[derive(Clone, Debug)]
pub struct MessageFile {
    members: Members,
    pub priority: Option<Priority>,
    /// The priority as it is written.
    pub priority_text: Option<String>,
    pub slot: Option<String>,
    topic: Option<String>,
}

/// A message that can be published, and what is worth a warning.
#[derive(Debug, PartialEq)]
pub struct Composed {
    pub publish: Publish,
    pub warnings: Vec<String>,
}

impl MessageFile {
    /// Reads a message file; a byte order mark before it has been skipped.
    ///
    /// # Errors
    /// Why it can never be published.
    pub fn parse(contents: &[u8]) -> Result<MessageFile, String> {
        let mut members = Members::parse(contents)?;
        let (priority, priority_text) = match members.remove(PRIORITY) {
            None => (None, None),
            Some(value) => {
                let text = value.get();
                let number = json::number(text).ok_or_else(|| {
                    format!("member \"priority\" is {}, not a number", brief(text))
                })?;
                (Some(Priority::new(number)), Some(text.to_owned()))
            }
        };
        let slot = members
            .remove(PRIORITY_SLOT)
            .map(|value| slot(&value))
            .transpose()?;
        let topic = match members.get("topic") {
            Some(value) if kind(value) == Kind::String => Some(text("topic", value)?),
            _ => None,
        };
        Ok(MessageFile {
            members,
            priority,
            priority_text,
            slot,
            topic,
        })
    }

    /// The topic that the message itself names.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// Merges the message onto its letterhead and checks everything the broker would refuse.
    /// Published is `prefix` + topic + `suffix`.
    ///
    /// # Errors
    /// Why it can never be published.
    pub fn compose(
        self,
        letterhead: Option<Members>,
        prefix: &str,
        suffix: &str,
    ) -> Result<Composed, String> {
        let mut warnings = Vec::new();
        let mut whole = merged(letterhead, self.members);
        let topic = match whole.get("topic").map(|value| (kind(value), value)) {
            Some((Kind::String, value)) => match text("topic", value)?.as_str() {
                "" => return Err("member \"topic\" is empty".into()),
                topic => format!("{prefix}{topic}{suffix}"),
            },
            Some((other, _)) => return Err(format!("member \"topic\" is {other}, not a string")),
            None => return Err("member \"topic\" is missing".into()),
        };
        if let Some(why) = topic::invalid(&topic) {
            return Err(format!("topic {} {why}", glimpse(&format!("{topic:?}"))));
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
            properties: properties(whole.get("properties"))?,
        };
        Ok(Composed { publish, warnings })
    }
}

/// A slot is a name, or a number that is taken as it is written.
fn slot(value: &RawValue) -> Result<String, String> {
    let slot = match kind(value.get()) {
        Kind::String => text(PRIORITY_SLOT, value.get())?,
        Kind::Number => value.get().to_owned(),
        other => {
            return Err(format!(
                "member \"{PRIORITY_SLOT}\" is {other}, not a string or a number"
            ));
        }
    };
    if slot.len() > LONGEST_SLOT {
        return Err(format!(
            "member \"{PRIORITY_SLOT}\" has more than {LONGEST_SLOT} bytes"
        ));
    }
    Ok(slot)
}

/// The text of a member that is a string.
fn text(name: &str, value: &str) -> Result<String, String> {
    json::string(value).ok_or_else(|| {
        format!("is not JSON: member \"{name}\" holds half a surrogate pair, which is no character")
    })
}

/// The message on its letterhead: objects deeply, in everything else the message wins.
fn merged(letterhead: Option<Members>, message: Members) -> Members {
    let Some(mut base) = letterhead else {
        return message;
    };
    // Of the letterhead's own the message's replaces either form of payload.
    if message.contains("payload") {
        base.remove("payload_base64");
    }
    if message.contains("payload_base64") {
        base.remove("payload");
    }
    base.merge(message);
    base
}

fn payload(whole: &mut Members) -> Result<Vec<u8>, String> {
    match (whole.remove("payload"), whole.remove("payload_base64")) {
        (Some(_), Some(_)) => {
            Err("has both \"payload\" and \"payload_base64\", one of them is wanted".into())
        }
        (None, None) => Err("member \"payload\" is missing".into()),
        (Some(value), None) if kind(value.get()) == Kind::String => {
            text("payload", value.get()).map(String::into_bytes)
        }
        (Some(value), None) => Ok(compact(value.get()).into_bytes()),
        (None, Some(value)) if kind(value.get()) == Kind::String => {
            let mut text = text("payload_base64", value.get())?;
            text.retain(|c| !c.is_ascii_whitespace());
            BASE64
                .decode(text)
                .map_err(|error| format!("member \"payload_base64\" is not base64: {error}"))
        }
        (None, Some(other)) => Err(format!(
            "member \"payload_base64\" is {}, not a string",
            kind(other.get())
        )),
    }
}

fn compressed(
    payload: Vec<u8>,
    how: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Vec<u8>, String> {
    let written = match how {
        None => return Ok(payload),
        Some(how) if json::string(how).as_deref() == Some("gzip") => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&payload).and_then(|()| encoder.finish())
        }
        Some(how) if json::string(how).as_deref() == Some("deflate") => {
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

fn qos(value: Option<&str>) -> Result<QoS, String> {
    let Some(value) = value else {
        return Ok(QoS::AtLeastOnce);
    };
    // Some languages write all numbers with a fraction, and some programs all values as strings.
    let number = json::number(value).or_else(|| json::string(value)?.trim().parse().ok());
    match number {
        Some(0.0) => Ok(QoS::AtMostOnce),
        Some(1.0) => Ok(QoS::AtLeastOnce),
        Some(2.0) => {
            Err("member \"qos\" is 2, which AWS IoT Core does not know; use 0 or 1".into())
        }
        _ => Err(format!("member \"qos\" is {}, use 0 or 1", brief(value))),
    }
}

fn retain(value: Option<&str>) -> Result<bool, String> {
    match value.map(|value| (value, json::number(value))) {
        None | Some(("false", _) | (_, Some(0.0))) => Ok(false),
        Some(("true", _) | (_, Some(1.0))) => Ok(true),
        Some((other, _)) => Err(format!(
            "member \"retain\" is {}, use true or false",
            brief(other)
        )),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
