//! Pure: the MQTT 5 properties of a message file.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::message::{brief, kind, shortened};
use super::topic;
use crate::mqtt::Properties;

/// All texts together.
const LARGEST_PROPERTIES: usize = 8 * 1024;

/// Reads the member `properties`. None of it is left out silently.
///
/// # Errors
/// What is wrong with which property.
pub fn properties(value: Option<Value>) -> Result<Properties, String> {
    let mut properties = Properties::default();
    let members = match value {
        None => return Ok(properties),
        Some(Value::Object(members)) => members,
        Some(other) => {
            return Err(format!(
                "member \"properties\" is {}, not an object",
                kind(&other)
            ));
        }
    };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("content_type", Value::String(text)) => properties.content_type = Some(text),
            ("response_topic", Value::String(text)) => {
                if let Some(why) = topic::invalid(&text) {
                    return Err(format!(
                        "property \"response_topic\" {} {why}",
                        shortened(&text)
                    ));
                }
                properties.response_topic = Some(text);
            }
            ("correlation_data", Value::String(text)) => {
                properties.correlation_data = Some(Bytes::from(text))
            }
            ("message_expiry", value) => properties.message_expiry = Some(expiry(&value)?),
            ("user", Value::Object(pairs)) => properties.user = user(pairs)?,
            ("content_type" | "correlation_data" | "response_topic", other) => {
                return Err(format!(
                    "property \"{name}\" is {}, not a string",
                    kind(&other)
                ));
            }
            ("user", other) => {
                return Err(format!(
                    "property \"user\" is {}, not an object",
                    kind(&other)
                ));
            }
            (unknown, _) => {
                return Err(format!(
                    "property \"{}\" is unknown, use content_type, response_topic, correlation_data, message_expiry or user",
                    shortened(unknown)
                ));
            }
        }
    }
    fits(&properties)?;
    Ok(properties)
}

fn expiry(value: &Value) -> Result<u32, String> {
    value
        .as_u64()
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| {
            format!(
                "property \"message_expiry\" is {}, not a number of seconds",
                brief(value)
            )
        })
}

fn user(pairs: Map<String, Value>) -> Result<Vec<(String, String)>, String> {
    pairs
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            other => Err(format!(
                "user property \"{}\" is {}, not a string",
                shortened(&name),
                kind(&other)
            )),
        })
        .collect()
}

fn fits(properties: &Properties) -> Result<(), String> {
    let texts = [&properties.content_type, &properties.response_topic]
        .into_iter()
        .flatten()
        .map(String::len);
    let pairs = properties
        .user
        .iter()
        .map(|(name, value)| name.len() + value.len());
    let data = properties.correlation_data.iter().map(Bytes::len);
    let all: usize = texts.chain(pairs).chain(data).sum();
    if all > LARGEST_PROPERTIES {
        return Err(format!(
            "properties have {all} bytes, more than the {LARGEST_PROPERTIES} allowed"
        ));
    }
    let nul = properties
        .user
        .iter()
        .any(|(name, value)| name.contains('\0') || value.contains('\0'))
        || properties
            .content_type
            .as_ref()
            .is_some_and(|text| text.contains('\0'));
    if nul {
        Err("a property contains a NUL character".into())
    } else {
        Ok(())
    }
}
