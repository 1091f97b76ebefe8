//! Pure: JSON files. Compact, without nulls, one line.

use serde_json::Value;

use super::rendered::Rendered;

pub fn render(value: &Value) -> Result<Rendered, String> {
    let value = match value {
        Value::Null => Value::Object(serde_json::Map::new()),
        value => without_nulls(value)?,
    };
    let mut bytes = serde_json::to_vec(&value).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(Rendered::whole(bytes))
}

/// Nulls are kept: in an update they delete.
pub fn parse(contents: &[u8], known: &Value) -> Result<Value, String> {
    if render(known).is_ok_and(|rendered| rendered.bytes == contents) {
        return Ok(known.clone());
    }
    if contents.iter().all(u8::is_ascii_whitespace) {
        return Err("is empty, not JSON".into());
    }
    serde_json::from_slice(contents).map_err(|error| error.to_string())
}

fn without_nulls(value: &Value) -> Result<Value, String> {
    match value {
        // Leaving it out would move the elements after it.
        Value::Array(items) if items.contains(&Value::Null) => Err("an array holds null".into()),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| Ok((name.clone(), without_nulls(value)?)))
            .collect::<Result<_, _>>()
            .map(Value::Object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value.clone()),
    }
}
