//! Pure: JSON of which one value that cannot be read costs that value alone.

use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Nothing that a device can use is nested deeper.
const DEEPEST: u32 = 100;
/// What a broken character becomes.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// The members of an object, unread.
type UnreadMembers<'a> = IndexMap<String, &'a RawValue>;

/// The members of an object that have one of these names. Halves of characters become U+FFFD, and
/// members that are nested too deeply are left out.
///
/// # Errors
/// It is not JSON, or not an object.
pub fn members(json: &[u8], wanted: &[&str]) -> Result<Map<String, Value>, String> {
    let text = mended(json);
    let whole: &RawValue =
        serde_json::from_str(&text).map_err(|error| format!("it is not JSON: {error}"))?;
    let members: UnreadMembers =
        serde_json::from_str(whole.get()).map_err(|_| "it is not a JSON object".to_owned())?;
    let wanted = members
        .into_iter()
        .filter(|(name, _)| wanted.contains(&name.as_str()));
    Ok(read(wanted, 0))
}

fn read<'a>(
    members: impl Iterator<Item = (String, &'a RawValue)>,
    depth: u32,
) -> Map<String, Value> {
    members
        .filter_map(|(name, raw)| Some((name, value(raw, depth)?)))
        .collect()
}

/// The value, each part of it by itself: the parser gives up on a whole document otherwise, and takes
/// objects with certain members for numbers.
fn value(raw: &RawValue, depth: u32) -> Option<Value> {
    let text = raw.get();
    if depth > DEEPEST {
        return None;
    }
    Some(match text.as_bytes().first()? {
        b'{' => {
            let members: UnreadMembers = serde_json::from_str(text).ok()?;
            Value::Object(read(members.into_iter(), depth + 1))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let items: Option<Vec<Value>> =
                items.into_iter().map(|it| value(it, depth + 1)).collect();
            Value::Array(items?)
        }
        _ => serde_json::from_str(text).ok()?,
    })
}

/// The same text without escapes of half a character (a surrogate without its other half) and
/// without bytes that are no UTF-8.
fn mended(json: &[u8]) -> String {
    let mut text = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((&first, after)) = rest.split_first() {
        let length = match (first, unit(rest)) {
            (b'\\', Some(0xD800..=0xDBFF)) => match rest.get(6..).and_then(unit) {
                Some(0xDC00..=0xDFFF) => 12,
                _ => 0,
            },
            (b'\\', Some(0xDC00..=0xDFFF)) => 0,
            (b'\\', Some(_)) => 6,
            (b'\\', None) => 1 + after.len().min(1),
            _ => 1,
        };
        let taken = if length == 0 { 6 } else { length };
        let (head, tail) = rest.split_at(taken);
        text.extend_from_slice(if length == 0 { REPLACEMENT } else { head });
        rest = tail;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The code of `\uXXXX` at the beginning.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits = str::from_utf8(digits).ok()?;
    let plain = digits.bytes().all(|it| it.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn x(json: &str) -> Option<Value> {
        members(json.as_bytes(), &["x"]).unwrap().remove("x")
    }

    #[test]
    fn half_a_character_becomes_a_replacement_and_the_rest_stays() {
        for (json, expect) in [
            (r#"{"x": "a\ud83d"}"#, "a\u{fffd}"),
            (r#"{"x": "\uDE00b"}"#, "\u{fffd}b"),
            (r#"{"x": "\ud83d\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (r#"{"x": "\ud83d\u0041"}"#, "\u{fffd}A"),
            (r#"{"x": "\\ud83d\n\u00e9"}"#, "\\ud83d\n\u{e9}"),
        ] {
            assert_eq!(x(json), Some(json!(expect)), "{json}");
        }
        let bytes = members(b"{\"x\": \"a\xff\"}", &["x"]).unwrap();
        assert_eq!(bytes["x"], json!("a\u{fffd}"));
        let key = members(br#"{"x": {"\ud83d": 1, "b": 2}}"#, &["x"]).unwrap();
        assert_eq!(key["x"], json!({"\u{fffd}": 1, "b": 2}));
    }

    #[test]
    fn a_value_that_is_nested_too_deeply_costs_itself_alone() {
        let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
        let text = format!(r#"{{"x": {{"deep": {deep}, "good": 1}}}}"#);
        assert_eq!(x(&text), Some(json!({"good": 1})));
    }

    #[test]
    fn numbers_keep_their_digits_and_objects_are_no_numbers() {
        let text = r#"{"x": [1.10, 18446744073709551616, -0]}"#;
        let items = x(text).unwrap();
        assert_eq!(items.to_string(), "[1.10,18446744073709551616,-0]");
        for name in ["Number", "RawValue"] {
            let name = format!("$serde_json::private::{name}");
            let value = x(&json!({"x": {&name: "12"}}).to_string()).unwrap();
            assert_eq!(value.as_object().unwrap()[&name], json!("12"));
        }
    }

    #[test]
    fn what_is_no_object_is_reported() {
        for (json, why) in [
            ("", "it is not JSON"),
            ("{\"x\":", "it is not JSON"),
            ("{} {}", "it is not JSON"),
            ("\\", "it is not JSON"),
            ("{\"x\": \"\\", "it is not JSON"),
            ("[1]", "it is not a JSON object"),
            ("\"x\"", "it is not a JSON object"),
        ] {
            let told = members(json.as_bytes(), &["x"]).unwrap_err();
            assert!(told.starts_with(why), "{json}: {told}");
        }
    }
}
