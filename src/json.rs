//! Pure: JSON that is passed on as it was written, digit for digit. Values stay text; only the
//! members of objects are distinguished.

use std::fmt;

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

/// The deepest nesting that is read: whoever follows it calls itself once for each level.
const DEEPEST: usize = 127;

/// The members of an object, in their order, each value as its text. Of a name that comes twice the
/// last value counts.
#[derive(Clone, Debug, Default)]
pub struct Members(IndexMap<String, Box<RawValue>>);

impl Members {
    /// Reads the text of a JSON object.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(contents: &[u8]) -> Result<Members, String> {
        if contents.iter().all(u8::is_ascii_whitespace) {
            return Err("is empty".into());
        }
        let text =
            std::str::from_utf8(contents).map_err(|error| format!("is not JSON: {error}"))?;
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        if nesting(raw.get()) > DEEPEST {
            return Err(format!(
                "is nested more than {DEEPEST} levels deep, the recursion limit"
            ));
        }
        match kind(raw.get()) {
            Kind::Object => serde_json::from_str(raw.get())
                .map(Members)
                .map_err(|error| format!("is not JSON: {error}")),
            other => Err(format!("is {other}, not a JSON object")),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn remove(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.0.shift_remove(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Puts the members of `over` on top: objects are merged deeply, everything else replaces.
    pub fn merge(&mut self, over: Members) {
        for (name, above) in over.0 {
            let value = match self.0.get(&name) {
                Some(below) => merged(below, above),
                None => above,
            };
            self.0.insert(name, value);
        }
    }
}

fn merged(below: &RawValue, above: Box<RawValue>) -> Box<RawValue> {
    match (object(below.get()), object(above.get())) {
        (Some(mut below), Some(over)) => {
            below.merge(over);
            serde_json::value::to_raw_value(&below.0).unwrap_or(above)
        }
        _ => above,
    }
}

/// The members of a value that is an object.
pub fn object(text: &str) -> Option<Members> {
    (kind(text) == Kind::Object)
        .then(|| serde_json::from_str(text).ok().map(Members))
        .flatten()
}

/// The contents of a value that is a string. `None` if it is none, or holds half a surrogate pair.
pub fn string(text: &str) -> Option<String> {
    (kind(text) == Kind::String)
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// The value of one that is a number, as near as a float comes to it.
pub fn number(text: &str) -> Option<f64> {
    (kind(text) == Kind::Number)
        .then(|| text.parse().ok())
        .flatten()
}

/// The value without the white space between its parts; nothing else of it changes.
pub fn compact(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    text.chars()
        .filter(|c| {
            let keep = inside || !matches!(c, ' ' | '\t' | '\n' | '\r');
            match c {
                '"' if !escaped => inside = !inside,
                _ => {}
            }
            escaped = inside && *c == '\\' && !escaped;
            keep
        })
        .collect()
}

/// How deep the arrays and objects of a value are nested.
fn nesting(text: &str) -> usize {
    let (mut inside, mut escaped, mut depth, mut deepest) = (false, false, 0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'"' if !escaped => inside = !inside,
            b'[' | b'{' if !inside => depth += 1,
            b']' | b'}' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = inside && byte == b'\\' && !escaped;
        deepest = deepest.max(depth);
    }
    deepest
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// That of a parsed value.
    pub fn of(value: &Value) -> Kind {
        match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }
}

/// Recognises it by the first character of a valid value.
pub fn kind(text: &str) -> Kind {
    match text.trim_start().bytes().next() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

/// For a message: "is KIND, not a string".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_outside_of_strings_goes() {
        let written = " { \"a b\" : [ 1E5 , -0.0, 1.50,\t\"x \\\" y\\\\\" ] ,\r\n\"\\ud800\":18446744073709551617 } ";
        assert_eq!(
            compact(written),
            r#"{"a b":[1E5,-0.0,1.50,"x \" y\\"],"\ud800":18446744073709551617}"#
        );
    }

    #[test]
    fn what_looks_like_a_number_inside_is_none() {
        let text = br#"{"p":{"$serde_json::private::Number":"12"},"q":{"$serde_json::private::RawValue":"1"}}"#;
        let members = Members::parse(text).unwrap();
        assert_eq!(
            members.get("p"),
            Some(r#"{"$serde_json::private::Number":"12"}"#)
        );
        assert_eq!(
            members.get("q"),
            Some(r#"{"$serde_json::private::RawValue":"1"}"#)
        );
    }

    #[test]
    fn objects_are_merged_deeply_and_keep_their_digits_and_order() {
        let mut base =
            Members::parse(br#"{"z":1.0,"deep":{"b":1E2,"c":{"x":1}},"list":[1]}"#).unwrap();
        base.merge(
            Members::parse(br#"{"deep":{"c":{"y":2.50},"b":null},"list":[ 2 ],"n":7}"#).unwrap(),
        );
        let all: Vec<_> = base
            .iter()
            .map(|(name, value)| (name, compact(value)))
            .collect();
        assert_eq!(
            all,
            [
                ("z", "1.0".to_owned()),
                ("deep", r#"{"b":null,"c":{"x":1,"y":2.50}}"#.to_owned()),
                ("list", "[2]".to_owned()),
                ("n", "7".to_owned()),
            ]
        );
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_value_counts() {
        let members = Members::parse(br#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(members.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_and_brackets_in_strings_do_not_count() {
        let deep =
            |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(Members::parse(deep(DEEPEST - 1).as_bytes()).is_ok());
        let why = Members::parse(deep(DEEPEST).as_bytes()).unwrap_err();
        assert!(why.contains("127 levels"), "{why}");
        assert!(Members::parse(deep(400_000).as_bytes()).is_err());
        let text = format!("{{\"a\":\"{}\"}}", "[\\\"".repeat(1000));
        assert!(Members::parse(text.as_bytes()).is_ok());
    }
}
