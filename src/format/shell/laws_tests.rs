//! What holds for every document and every file, tried on many that a seed makes.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::*;

const NAMES: [&str; 24] = [
    "a", "b", "c", "a_b", "b_a", "a_b_c", "a_", "_a", "_", "__", "a__b", "", "A", "a0", "1", "0_a",
    "x-y", "é", "PATH", "BASH_X", "LD", "PRELOAD", "export", "a\nb",
];

const TEXTS: [&str; 26] = [
    "",
    "x",
    "true",
    "false",
    "null",
    "0",
    "-1",
    "007",
    "1.50",
    "1e3",
    "1e+3",
    "1E+3",
    " ",
    "\n",
    "'",
    "''",
    "\\",
    "\\'",
    "\"",
    "$(reboot)",
    "`reboot`",
    "# x",
    "a='b'",
    ";",
    "é\u{1}\r",
    "DELETE",
];

/// Says which seed was at fault.
fn for_many_seeds(seeds: u64, law: fn(&mut Rng)) {
    for seed in 0..seeds {
        let lawful = std::panic::catch_unwind(|| law(&mut Rng::with_seed(seed)));
        assert!(lawful.is_ok(), "with seed {seed}, see above");
    }
}

fn text(rng: &mut Rng) -> String {
    let pieces = rng.usize(0..3).max(1);
    (0..pieces)
        .map(|_| TEXTS[rng.usize(..TEXTS.len())])
        .collect()
}

fn scalar(rng: &mut Rng) -> Value {
    match rng.u8(0..6) {
        0 => json!(rng.bool()),
        1 => json!(rng.i64(-99..99)),
        2 => json!(rng.f64()),
        _ => json!(text(rng)),
    }
}

fn document(rng: &mut Rng, levels: usize) -> Value {
    let mut members = Map::new();
    for _ in 0..rng.usize(0..5) {
        let name = NAMES[rng.usize(..NAMES.len())].to_owned();
        let value = match rng.u8(0..6) {
            0 => (0..rng.usize(0..4)).map(|_| scalar(rng)).collect(),
            1 | 2 if levels > 0 => document(rng, levels - 1),
            _ => scalar(rng),
        };
        members.insert(name, value);
    }
    Value::Object(members)
}

/// One that can be rendered, and what it renders to.
fn renderable(rng: &mut Rng) -> (Value, Vec<u8>) {
    loop {
        let value = document(rng, 4);
        if let Ok(rendered) = render(&value) {
            return (value, rendered.bytes);
        }
    }
}

/// Without the members that are left out, and without objects that then have none.
fn kept(value: &Value, path: &mut Vec<String>) -> Option<Value> {
    let Value::Object(members) = value else {
        return names::unusable(&path.join("_"))
            .is_none()
            .then(|| value.clone());
    };
    let mut rest = Map::new();
    for (name, value) in members {
        path.push(name.clone());
        rest.extend(kept(value, path).map(|value| (name.clone(), value)));
        path.pop();
    }
    let emptied = rest.is_empty() && !members.is_empty() && !path.is_empty();
    (!emptied).then_some(Value::Object(rest))
}

#[test]
fn what_was_written_is_read_back_as_it_was() {
    for_many_seeds(4_000, |rng| {
        let (value, bytes) = renderable(rng);
        let expected = kept(&value, &mut Vec::new());
        assert_eq!(parse(&bytes, &value).ok(), expected, "{value}");
    });
}

#[test]
fn no_text_changes_whatever_was_known_before() {
    for_many_seeds(4_000, |rng| {
        let (_, bytes) = renderable(rng);
        let known = if rng.bool() {
            document(rng, 4)
        } else {
            Value::Null
        };
        let read = parse(&bytes, &known).expect("reads");
        let again = render(&read).expect("renders").bytes;
        assert_eq!(
            again.escape_ascii().to_string(),
            bytes.escape_ascii().to_string(),
            "{known}"
        );
    });
}

#[test]
fn reading_twice_gives_the_same() {
    for_many_seeds(4_000, |rng| {
        let (_, bytes) = renderable(rng);
        let read = parse(&bytes, &document(rng, 4)).expect("reads");
        assert_eq!(parse(&bytes, &read), Ok(read));
    });
}

#[test]
fn any_bytes_are_read_or_refused_and_what_was_read_can_be_written() {
    const BYTES: &[u8] = b"aab_=='''\"\"\\\\$`();#\n\n \t~*{[&|<>+\r\xc3\xa9\xff\x001-";
    for_many_seeds(10_000, |rng| {
        let length = rng.usize(0..60);
        let bytes: Vec<u8> = (0..length)
            .map(|_| BYTES[rng.usize(..BYTES.len())])
            .collect();
        if let Ok(read) = parse(&bytes, &document(rng, 2)) {
            assert!(render(&read).is_ok(), "{}", bytes.escape_ascii());
        }
    });
}

#[test]
fn long_files_are_read_in_a_moment() {
    let many = |piece: &str| piece.repeat(1_000_000 / piece.len());
    for contents in [
        many("'"),
        many("\""),
        many("\\"),
        many("a=b "),
        many("a_"),
        many("("),
        many("x=$ "),
        many("a='\\'' "),
        many("# x\n"),
        format!("a=({})", many("'x' ")),
        format!("a=\"{}", many("\\\n")),
        format!("a='{}", many("\\'")),
        (0..60_000).map(|n| format!("a_{n}_b='{n}'\n")).collect(),
    ] {
        let _ = parse(
            contents.as_bytes(),
            &json!({"a": {"1_b": 1}, "a_a_a_a": {}}),
        );
    }
}
