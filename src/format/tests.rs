use serde_json::{Value, json};

use super::*;

fn rendered(format: Format, value: &Value) -> String {
    let rendered = format.render(value).expect("renders");
    String::from_utf8(rendered.bytes).expect("UTF-8")
}

#[test]
fn json_is_one_compact_line_without_nulls() {
    let value = json!({"b": 1, "a": {"x": null, "y": [{"z": null}, "é\n"]}, "c": null});
    let expected = "{\"b\":1,\"a\":{\"y\":[{},\"é\\n\"]}}\n";
    assert_eq!(rendered(Format::Json, &value), expected);
    assert_eq!(rendered(Format::Json, &Value::Null), "{}\n");
    assert_eq!(rendered(Format::Json, &json!("x")), "\"x\"\n");
}

#[test]
fn null_in_an_array_is_refused_in_json_since_leaving_it_out_moves_the_others() {
    let refused = Format::Json.render(&json!({"a": [1, null]}));
    assert_eq!(refused, Err("an array holds null".into()));
}

#[test]
fn numbers_keep_their_digits() {
    for number in [
        "1.50",
        "-0",
        "1e+3",
        "2e-07",
        "123456789012345678901234567890",
    ] {
        let text = format!("{{\"a\":{number}}}\n");
        let value = Format::Json
            .parse(text.as_bytes(), &Value::Null)
            .expect(number);
        assert_eq!(rendered(Format::Json, &value), text);
        let line = format!("a='{number}'\n");
        assert_eq!(rendered(Format::Shell, &value), line);
        let value = Format::Shell
            .parse(line.as_bytes(), &Value::Null)
            .expect(number);
        assert!(value["a"].is_number(), "{number}");
        assert_eq!(rendered(Format::Json, &value), text);
    }
}

#[test]
fn a_json_update_keeps_its_nulls_and_the_last_of_two_members() {
    let read = Format::Json.parse(br#" {"a": null, "b": 1, "b": [2]} "#, &Value::Null);
    assert_eq!(read, Ok(json!({"a": null, "b": [2]})));
}

#[test]
fn json_that_says_what_is_known_is_what_is_known() {
    let read = |known: Value| Format::Json.parse(b"{}\n", &known);
    assert_eq!(read(Value::Null), Ok(Value::Null));
    assert_eq!(read(json!({})), Ok(json!({})));
    assert_eq!(read(json!({"a": 1})), Ok(json!({})));
}

#[test]
fn broken_json_is_an_error_that_says_where() {
    let error = |contents: &[u8]| Format::Json.parse(contents, &Value::Null).unwrap_err();
    assert_eq!(error(b" \n"), "is empty, not JSON");
    assert!(error(b"{\n\"a\": }").contains("line 2"));
    assert!(error(&[b'['].repeat(1_000_000)).contains("recursion limit"));
    assert!(error(b"{\"a\": \"\xff\"}").contains("line 1"));
}

#[test]
fn plaintext_is_one_string_byte_for_byte() {
    for text in ["", "x", "no newline is added", "\r\n\0é'", "null"] {
        assert_eq!(rendered(Format::Plaintext, &json!(text)), text);
        let read = Format::Plaintext.parse(text.as_bytes(), &json!("other"));
        assert_eq!(read, Ok(json!(text)));
    }
    assert_eq!(rendered(Format::Plaintext, &Value::Null), "");
}

#[test]
fn plaintext_refuses_what_is_no_string() {
    let refused = |value| Format::Plaintext.render(&value).unwrap_err();
    assert_eq!(
        refused(json!({})),
        "is an object, and PLAINTEXT holds one string"
    );
    assert_eq!(
        refused(json!(1)),
        "is a number, and PLAINTEXT holds one string"
    );
    let read = Format::Plaintext.parse(b"a\nb\xff", &Value::Null);
    assert_eq!(read, Err("line 2: is not UTF-8".into()));
}

#[test]
fn an_empty_file_stays_no_configuration_and_an_empty_one_what_it_was() {
    for format in [Format::Plaintext, Format::Shell] {
        assert_eq!(format.parse(b"", &Value::Null), Ok(Value::Null));
    }
    assert_eq!(Format::Plaintext.parse(b"", &json!("")), Ok(json!("")));
    assert_eq!(Format::Plaintext.parse(b"", &json!("x")), Ok(json!("")));
    assert_eq!(Format::Shell.parse(b"", &json!({})), Ok(json!({})));
    assert_eq!(Format::Shell.parse(b"", &json!({"a": 1})), Ok(json!({})));
}

#[test]
fn too_deep_a_value_is_an_error_in_every_format_and_no_overflow() {
    let mut deep = json!("x");
    for _ in 0..1000 {
        deep = json!({ "a": deep });
    }
    for format in [Format::Json, Format::Plaintext, Format::Shell] {
        let refused = format.render(&deep);
        assert_eq!(refused, Err("nested more than 100 levels deep".into()));
    }
    assert_eq!(Format::Shell.parse(b"a=1", &deep), Ok(json!({"a": 1})));
}

#[test]
fn a_byte_order_mark_is_skipped_unless_the_value_begins_with_it() {
    for (format, text, expect) in [
        (Format::Json, "\u{feff}{\"a\":1}", json!({"a": 1})),
        (Format::Shell, "\u{feff}a='x'\n", json!({"a": "x"})),
        (Format::Plaintext, "\u{feff}text", json!("text")),
    ] {
        assert_eq!(format.parse(text.as_bytes(), &Value::Null), Ok(expect));
    }
    let known = json!("\u{feff}text");
    let parsed = Format::Plaintext.parse("\u{feff}text".as_bytes(), &known);
    assert_eq!(parsed, Ok(known));
}
