//! Pure: what a notification or a command asks for. Nothing gets through that does not look as it
//! must, and no reason ever quotes an access token.

use std::fmt;

use serde_json::{Map, Value};

/// Tokens are a few hundred characters.
const LONGEST_TOKEN: usize = 4096;
const LONGEST_REGION: usize = 32;
const LONGEST_SERVICE: usize = 128;
/// AWS has three at most.
const MOST_SERVICES: usize = 16;
/// Wrong values up to this length are quoted. A token in the wrong place is longer.
const QUOTED: usize = 40;

/// The secret that opens one end of a tunnel, once. Does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// For the environment of the proxy alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

/// A tunnel to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelRequest {
    pub token: Token,
    pub region: String,
    /// As they were asked for; whether they are mapped is not known here.
    pub services: Vec<String>,
}

/// What came with a notification, or in the file of `open-tunnel`.
pub fn read(text: &[u8]) -> Result<TunnelRequest, String> {
    let members = object(text)?;
    match members.get("clientMode") {
        None => {}
        Some(Value::String(mode)) if mode == "destination" => {}
        Some(other) => {
            let other = quoted(other);
            return Err(format!(
                "clientMode is {other}, and this is the \"destination\""
            ));
        }
    }
    Ok(TunnelRequest {
        // The founding version's commands have the shorter name.
        token: token(members.get("clientAccessToken").or(members.get("token")))?,
        region: region(members.get("region"))?,
        services: services(members.get("services"))?,
    })
}

/// The thing that a command names, if it names one. An empty file names none.
pub fn thing(text: &[u8]) -> Result<Option<String>, String> {
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    match object(text)?.remove("thing") {
        None => Ok(None),
        Some(Value::String(thing)) => Ok(Some(thing)),
        Some(other) => Err(format!("thing is {}, not a string", quoted(&other))),
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("is not a JSON object".to_owned()),
        // What the parser says of syntax names a place and no contents.
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

fn token(value: Option<&Value>) -> Result<Token, String> {
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    match value {
        None => Err("clientAccessToken is missing".to_owned()),
        Some(Value::String(text))
            if (1..=LONGEST_TOKEN).contains(&text.len()) && printable(text) =>
        {
            Ok(Token(text.clone()))
        }
        Some(_) => Err(format!(
            "clientAccessToken is not a text of 1 to {LONGEST_TOKEN} printable characters"
        )),
    }
}

fn region(value: Option<&Value>) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match value {
        None => Err("region is missing".to_owned()),
        Some(Value::String(text))
            if (1..=LONGEST_REGION).contains(&text.len()) && text.chars().all(allowed) =>
        {
            Ok(text.clone())
        }
        Some(other) => Err(format!(
            "region is {}, not a name such as \"eu-west-1\"",
            quoted(other)
        )),
    }
}

fn services(value: Option<&Value>) -> Result<Vec<String>, String> {
    let list = match value {
        None => return Err("services is missing".to_owned()),
        Some(Value::Array(list)) if (1..=MOST_SERVICES).contains(&list.len()) => list,
        Some(other) => {
            let other = quoted(other);
            return Err(format!(
                "services is {other}, not a list of 1 to {MOST_SERVICES} names"
            ));
        }
    };
    let names = list.iter().map(|value| match value {
        Value::String(name) => match invalid_service(name) {
            None => Ok(name.clone()),
            Some(why) => Err(format!("services holds {}, which {why}", quoted(value))),
        },
        other => Err(format!("services holds {}, not a string", quoted(other))),
    });
    names.collect()
}

/// Why this is no name of a service, or `None` when it is one.
pub fn invalid_service(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name {
        "" => Some("is empty"),
        _ if name.len() > LONGEST_SERVICE => Some("is longer than 128 characters"),
        _ if !name.chars().all(allowed) => Some("has other characters than A-Z a-z 0-9 - _ ."),
        _ => None,
    }
}

/// A wrong value, where a log line can bear it.
fn quoted(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= QUOTED {
        text
    } else {
        format!("something of {} bytes", text.len())
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
