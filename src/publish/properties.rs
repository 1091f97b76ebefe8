//! Pure: the MQTT 5 properties of a message file.

use super::glimpse::{brief, glimpse};
use super::topic;
use crate::json::{self, Kind, Members, kind};
use crate::mqtt::Properties;
use bytes::Bytes;

/// All texts together.
const LARGEST_PROPERTIES: usize = 8 * 1024;

/// Reads the member `properties`. None of it is left out silently.
///
/// # Errors
/// What is wrong with which property.
pub fn properties(value: Option<&str>) -> Result<Properties, String> {
    let mut properties = Properties::default();
    let Some(value) = value else {
        return Ok(properties);
    };
    let members = json::object(value)
        .ok_or_else(|| format!("member \"properties\" is {}, not an object", kind(value)))?;
    for (name, value) in members.iter() {
        match name {
            "content_type" => properties.content_type = Some(text(name, value)?),
            "response_topic" => properties.response_topic = Some(response_topic(name, value)?),
            "correlation_data" => {
                properties.correlation_data = Some(Bytes::from(text(name, value)?))
            }
            "message_expiry" => properties.message_expiry = Some(expiry(value)?),
            "user" => {
                let pairs = json::object(value).ok_or_else(|| {
                    format!("property \"user\" is {}, not an object", kind(value))
                })?;
                properties.user = user(&pairs)?;
            }
            unknown => {
                return Err(format!(
                    "property \"{}\" is unknown, use content_type, response_topic, correlation_data, message_expiry or user",
                    glimpse(unknown)
                ));
            }
        }
    }
    fits(&properties)?;
    Ok(properties)
}

fn text(name: &str, value: &str) -> Result<String, String> {
    json::string(value).ok_or_else(|| match kind(value) {
        Kind::String => format!("property \"{name}\" holds half a surrogate pair"),
        other => format!("property \"{name}\" is {other}, not a string"),
    })
}

fn response_topic(name: &str, value: &str) -> Result<String, String> {
    let text = text(name, value)?;
    match topic::invalid(&text) {
        Some(why) => Err(format!("property \"{name}\" {} {why}", glimpse(&text))),
        None => Ok(text),
    }
}

fn expiry(value: &str) -> Result<u32, String> {
    json::number(value)
        .filter(|seconds| seconds.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(seconds))
        .map(|seconds| seconds as u32)
        .ok_or_else(|| {
            format!(
                "property \"message_expiry\" is {}, not a number of seconds",
                brief(value)
            )
        })
}

fn user(pairs: &Members) -> Result<Vec<(String, String)>, String> {
    pairs
        .iter()
        .map(|(name, value)| match json::string(value) {
            Some(text) => Ok((name.to_owned(), text)),
            None => Err(format!(
                "user property \"{}\" is {}, not a string",
                glimpse(name),
                kind(value)
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
