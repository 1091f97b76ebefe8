//! What this program reads is what the shells would have read.

use chariotd::format::Format;
use fastrand::Rng;
use serde_json::Value;

use super::shells::{Shell, strings};
use super::{SEED, text};

/// How many generated files every shell reads.
const FILES: usize = 1000;

#[test]
fn what_is_read_is_what_a_shell_reads() {
    let rng = &mut Rng::with_seed(SEED);
    let files: Vec<String> = (0..FILES).map(|_| random_file(rng)).collect();
    let names: Vec<String> = (0..FILES).map(|n| format!("f{n}")).collect();
    let contents = names.iter().zip(&files);
    let contents: Vec<(&str, &[u8])> = contents
        .map(|(name, file)| (name.as_str(), file.as_bytes()))
        .collect();
    for shell in Shell::all() {
        let show = shell.show("a") + &shell.show("b");
        let every = format!(
            "for n in {}; do (set -e; unset a b; . ./$n; ",
            names.join(" ")
        );
        let script = format!("exec 2> /dev/null\n{every}printf '%s\\000' \"$n\"; {show}); done\n:");
        let mut shown = strings(&shell.run(&contents, &script)).into_iter();
        let mut compared = 0;
        while let Some(name) = shown.next() {
            let file = &files[name[1..].parse::<usize>().expect("its number")];
            let sourced = [variable(&mut shown), variable(&mut shown)];
            if let Some(read) = read(file) {
                compared += 1;
                assert_eq!(read, sourced, "{:?} {file:?}", shell.command);
            }
        }
        assert!(compared > FILES / 10, "{compared}");
    }
}

/// Assignments, comments and random text of few letters.
fn random_file(rng: &mut Rng) -> String {
    const PIECES: [&str; 25] = [
        "a=",
        "b=",
        "\na=",
        "\nb=",
        " b=",
        ";b=",
        "'",
        "'",
        "'",
        "\"",
        "\"",
        "\\",
        "\\\n",
        " ",
        "w",
        "1",
        "#",
        "$",
        "~",
        "\t",
        "export b=",
        "\r",
        "(",
        ")",
        ")",
    ];
    let first = if rng.u8(0..4) == 0 { "a=(" } else { "a=" };
    let pieces = rng.usize(1..12);
    let rest = (0..pieces).map(|_| PIECES[rng.usize(..PIECES.len())]);
    [first].into_iter().chain(rest).collect()
}

/// What a variable holds in a shell; nothing if it is not set, or an empty array.
fn variable(shown: &mut impl Iterator<Item = String>) -> Vec<String> {
    let number = shown.next().and_then(|number| number.parse().ok());
    shown.take(number.expect("how many there are")).collect()
}

/// The same as this program reads it for `a` and `b`, or `None` where it refuses or may have fallen
/// back to the quotes of the original.
fn read(file: &str) -> Option<[Vec<String>; 2]> {
    if file.contains("\\'") && file.contains('$') {
        return None;
    }
    let read = Format::Shell.parse(file.as_bytes(), &Value::Null).ok()?;
    let texts = |name| match read.get(name) {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(other) => vec![text(other)],
    };
    Some([texts("a"), texts("b")])
}
