//! JSON and PLAINTEXT files: what is rendered is read back the same.

#![no_main]

use chariotd::format::Format::{self, Json, Plaintext};
use chariotd::shadow::document::without_nulls;
use chariotd_fuzz::{two, value};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (contents, known) = two(data);
    let known = value(known).unwrap_or_default();
    for format in [Json, Plaintext] {
        let _ = format.parse(contents, &known);
        comes_back(format, &known);
    }
    if let Ok(text) = std::str::from_utf8(contents) {
        comes_back(Plaintext, &text.into());
    }
});

fn comes_back(format: Format, value: &Value) {
    let Ok(rendered) = format.render(value) else {
        return;
    };
    assert_eq!(format.parse(&rendered.bytes, value).as_ref(), Ok(value));
    let read = format
        .parse(&rendered.bytes, &Value::Null)
        .expect("it is read");
    // An empty one says as much as none.
    if format == Json && !value.is_null() && rendered.bytes != b"{}\n" {
        assert_eq!(read, without_nulls(value.clone()));
        assert_eq!(
            rendered.bytes.iter().filter(|byte| **byte == b'\n').count(),
            1
        );
    }
}
