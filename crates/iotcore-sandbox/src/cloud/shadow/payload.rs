//! Pure: reads the payload of a request strictly. Unknown members at the top level are ignored, as AWS does.

use serde_json::{Map, Value};

use super::limits::ShadowLimits;
use super::rejection::ShadowRejection;

/// Longest client token in bytes.
const TOKEN: usize = 64;

/// A well-formed update. Whether it can be applied to the shadow is decided by the store.
#[derive(Debug)]
pub(super) struct Update {
    pub desired: Change,
    pub reported: Change,
    /// The version that the shadow must have.
    pub version: Option<u64>,
}

/// The change to `desired` or `reported`.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    Untouched,
    Cleared,
    Merged(Map<String, Value>),
}

/// The JSON of a request; an empty payload is an empty object.
pub(super) fn parse(payload: &[u8]) -> Result<Value, ShadowRejection> {
    let text = std::str::from_utf8(payload).map_err(|_| ShadowRejection::of_code(415))?;
    if text.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(Value::Object(members)),
        Ok(_) | Err(_) => Err(ShadowRejection::of_code(400)),
    }
}

/// The client token, if there is a valid one.
pub(super) fn token(request: &Value) -> Option<String> {
    let token = request.get("clientToken")?.as_str()?;
    (token.len() <= TOKEN).then(|| token.to_owned())
}

/// Rejects an invalid client token.
pub(super) fn check_token(request: &Value) -> Result<(), ShadowRejection> {
    if request.get("clientToken").is_some() && token(request).is_none() {
        return Err(ShadowRejection::bad_request("Invalid clientToken"));
    }
    Ok(())
}

/// Reads an update.
pub(super) fn update(request: &Value, limits: &ShadowLimits) -> Result<Update, ShadowRejection> {
    let bad = |why: &str| Err(ShadowRejection::bad_request(why));
    check_token(request)?;
    let version = match request.get("version").map(Value::as_u64) {
        Some(None) => return bad("Invalid version"),
        Some(version) => version,
        None => None,
    };
    let (desired, reported) = match request.get("state") {
        None => return bad("Missing required node: state"),
        Some(Value::Null) => (Change::Cleared, Change::Cleared),
        Some(Value::Object(state)) => sections(state)?,
        Some(_) => return bad("State node must be an object"),
    };
    check_sections([&desired, &reported], limits)?;
    Ok(Update {
        desired,
        reported,
        version,
    })
}

fn sections(state: &Map<String, Value>) -> Result<(Change, Change), ShadowRejection> {
    let unknown = |key: &&String| !matches!(key.as_str(), "desired" | "reported");
    if let Some(key) = state.keys().find(unknown) {
        let why = format!("State contains an invalid node: '{key}'");
        return Err(ShadowRejection::bad_request(why));
    }
    let section = |key: &str, title: &str| match state.get(key) {
        None => Ok(Change::Untouched),
        Some(Value::Null) => Ok(Change::Cleared),
        Some(Value::Object(members)) => Ok(Change::Merged(members.clone())),
        Some(_) => {
            let why = format!("{title} node must be an object");
            Err(ShadowRejection::bad_request(why))
        }
    };
    Ok((
        section("desired", "Desired")?,
        section("reported", "Reported")?,
    ))
}

fn check_sections(sections: [&Change; 2], limits: &ShadowLimits) -> Result<(), ShadowRejection> {
    let mut bytes = 0;
    for section in sections {
        let Change::Merged(members) = section else {
            continue;
        };
        if 1 + deepest(members.values()) > limits.depth {
            let why = "JSON contains too many levels of nesting; maximum is";
            return Err(ShadowRejection::bad_request(format!(
                "{why} {}",
                limits.depth
            )));
        }
        if members.values().any(null_in_array) {
            return Err(ShadowRejection::bad_request(
                "State contains an invalid node",
            ));
        }
        bytes += size(members);
    }
    if bytes > limits.document {
        return Err(ShadowRejection::of_code(413));
    }
    Ok(())
}

/// Bytes as compact JSON.
pub(super) fn size(members: &Map<String, Value>) -> usize {
    serde_json::to_vec(members).map_or(usize::MAX, |json| json.len())
}

fn deepest<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    values.map(levels).max().unwrap_or(0)
}

fn levels(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + deepest(members.values()),
        Value::Array(elements) => 1 + deepest(elements.iter()),
        _ => 0,
    }
}

fn null_in_array(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(null_in_array),
        Value::Array(elements) => elements.iter().any(has_null),
        _ => false,
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().any(has_null),
        Value::Array(elements) => elements.iter().any(has_null),
        _ => false,
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
