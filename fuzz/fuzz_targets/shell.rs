//! SHELL files: what is rendered is read back the same, and is nothing but plain words.

#![no_main]

use chariotd::format::Format::Shell;
use chariotd::shadow::document::without_nulls;
use chariotd_fuzz::{two, value};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let (contents, known) = two(data);
    // What is written has no nulls.
    let known = without_nulls(value(known).unwrap_or_default());
    if let Ok(read) = Shell.parse(contents, &known) {
        let bytes = rendered(&read).expect("what was read can be written");
        // What was left out does not come back.
        let whole = Shell.render(&read).is_ok_and(|it| it.warnings.is_empty());
        assert!(!whole || Shell.parse(&bytes, &read) == Ok(read));
    }
    if let Some(bytes) = rendered(&known) {
        for other in [&known, &Value::Null] {
            let read = Shell
                .parse(&bytes, other)
                .expect("what was written can be read");
            assert_eq!(rendered(&read).as_ref(), Some(&bytes), "{other}");
        }
        let whole = Shell.render(&known).is_ok_and(|it| it.warnings.is_empty());
        assert!(!whole || Shell.parse(&bytes, &known) == Ok(known));
    }
});

fn rendered(value: &Value) -> Option<Vec<u8>> {
    let bytes = Shell.render(value).ok()?.bytes;
    assert!(is_plain(&bytes), "{}", bytes.escape_ascii());
    Some(bytes)
}

/// Outside of single quotes there are names, and what assigns texts to them.
fn is_plain(bytes: &[u8]) -> bool {
    let mut quoted = false;
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        let good = match byte {
            b'\'' => {
                quoted = !quoted;
                true
            }
            _ if quoted => *byte != 0,
            b'\\' => rest.next() == Some(&b'\''),
            b'_' | b'=' | b'(' | b')' | b' ' | b'\n' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if !good {
            return false;
        }
    }
    !quoted && bytes.last().is_none_or(|last| *last == b'\n')
}
