//! Pure: what the cloud says about a shadow, read from its JSON. Nothing in it is trusted to be there.

use serde_json::{Map, Value};

use super::lenient::members;
use crate::mqtt::request::Rejection;

/// What is read of a message; what else it says is passed over.
const MEMBERS: [&str; 5] = ["state", "version", "clientToken", "code", "message"];

/// Sections of a document, or of a patch to one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    pub desired: Map<String, Value>,
    pub reported: Map<String, Value>,
}

/// The cloud agreed: a document, or the echo of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub token: Option<String>,
    pub version: u64,
    /// In an update's echo `null` members are removals.
    pub state: Sections,
    /// The update removed the whole section.
    pub desired_removed: bool,
    pub reported_removed: bool,
}

/// A refusal, for the log.
pub fn reason(rejected: &Rejection) -> String {
    let status = rejected.status.unwrap_or_default();
    let message = rejected.message.as_deref().unwrap_or("no message");
    format!("{status} {message}")
}

/// All differences between desired and reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    pub version: u64,
    pub desired: Map<String, Value>,
}

/// # Errors
/// Why this is no such message.
pub fn accepted(payload: &[u8]) -> Result<Accepted, String> {
    let message = object(payload)?;
    let state = match message.get("state") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(state)) => state.clone(),
        Some(_) => return Err("its 'state' is not an object".to_owned()),
    };
    let whole = message.get("state").is_some_and(Value::is_null);
    let removed = |name: &str| whole || state.get(name).is_some_and(Value::is_null);
    Ok(Accepted {
        token: token(&message),
        version: version(&message)?,
        desired_removed: removed("desired"),
        reported_removed: removed("reported"),
        state: Sections {
            desired: section(&state, "desired")?,
            reported: section(&state, "reported")?,
        },
    })
}

/// # Errors
/// Why this is no such message.
pub fn rejected(payload: &[u8]) -> Result<Rejection, String> {
    let rejected = Rejection::read(&object(payload)?);
    match rejected.status {
        Some(_) => Ok(rejected),
        None => Err("it has no 'code'".to_owned()),
    }
}

/// # Errors
/// Why this is no such message.
pub fn delta(payload: &[u8]) -> Result<Delta, String> {
    let message = object(payload)?;
    Ok(Delta {
        version: version(&message)?,
        desired: section(&message, "state")?,
    })
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, String> {
    members(payload, &MEMBERS)
}

fn token(message: &Map<String, Value>) -> Option<String> {
    Some(message.get("clientToken")?.as_str()?.to_owned())
}

fn version(message: &Map<String, Value>) -> Result<u64, String> {
    let version = message.get("version").and_then(Value::as_u64);
    version.ok_or_else(|| "it has no 'version'".to_owned())
}

fn section(state: &Map<String, Value>, name: &str) -> Result<Map<String, Value>, String> {
    match state.get(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members.clone()),
        Some(_) => Err(format!("its '{name}' is not an object")),
    }
}
