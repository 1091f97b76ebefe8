//! Pure: PLAINTEXT files. One string, byte for byte.

use serde_json::Value;

use super::rendered::Rendered;
use crate::json::Kind;

pub fn render(value: &Value) -> Result<Rendered, String> {
    match value {
        Value::Null => Ok(Rendered::whole(Vec::new())),
        Value::String(text) => Ok(Rendered::whole(text.clone().into_bytes())),
        other => Err(format!(
            "is {}, and PLAINTEXT holds one string",
            Kind::of(other)
        )),
    }
}

pub fn parse(contents: &[u8], known: &Value) -> Result<Value, String> {
    if render(known).is_ok_and(|rendered| rendered.bytes == contents) {
        return Ok(known.clone());
    }
    match str::from_utf8(contents) {
        Ok(text) => Ok(text.into()),
        Err(error) => {
            let good = &contents[..error.valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(format!("line {line}: is not UTF-8"))
        }
    }
}
