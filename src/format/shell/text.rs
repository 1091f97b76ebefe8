//! Pure: what a variable holds, and the JSON value that it is taken for.

use crate::json::Kind;
use serde_json::{Number, Value};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    One(String),
    Many(Vec<String>),
}

impl Text {
    /// What a variable holds for this value.
    ///
    /// # Errors
    /// Why no variable can hold it.
    pub fn of(value: &Value) -> Result<Text, String> {
        match value {
            Value::Array(items) => items
                .iter()
                .map(element)
                .collect::<Result<_, _>>()
                .map(Text::Many),
            value => scalar(value).map(Text::One),
        }
    }

    /// `true`, `false` and what JSON calls a number become that, digit for digit. A number whose
    /// spelling would not survive (`1e3` would become `1e+3`) stays a string.
    pub fn into_value(self) -> Value {
        match self {
            Text::One(text) => typed(text),
            Text::Many(items) => items.into_iter().map(typed).collect(),
        }
    }
}

fn element(item: &Value) -> Result<String, String> {
    match item {
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!(
            "holds {}, and an array of the shell holds only text",
            Kind::of(item)
        )),
        item => scalar(item),
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) if text.contains('\0') => {
            Err("holds a NUL, which no shell variable can".into())
        }
        Value::String(text) => Ok(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("is {}, not text", Kind::of(value)))
        }
    }
}

fn typed(text: String) -> Value {
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // What looks like `1e3` is an identifier as often as a number, and its text must not drift.
        _ => match text.parse::<Number>() {
            Ok(number) if number.to_string() == text => Value::Number(number),
            _ => Value::String(text),
        },
    }
}
