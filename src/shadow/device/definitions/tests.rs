use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use super::*;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

fn definition(key: &str) -> String {
    format!(r#"{{"key": "{key}", "ephemeraldata": true, "notifycmd": "true"}}"#)
}

fn keys(loaded: &Loaded) -> Vec<&str> {
    let keys = loaded.services.iter().map(|service| service.key.as_str());
    keys.collect()
}

/// The problems, without the directory in front.
fn problems(loaded: &Loaded, dir: &TempDir) -> Vec<String> {
    let dir = format!("{}/", dir.path().display());
    let problems = loaded.problems.iter();
    problems.map(|problem| problem.replace(&dir, "")).collect()
}

#[test]
fn definitions_come_in_the_order_of_their_names() {
    let dir = directory(&[
        ("b.json", &definition("second")),
        ("a.json", &definition("third")),
        ("B.json", &definition("first")),
        ("ä.json", &definition("last")),
    ]);
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["first", "third", "second", "last"]);
    assert_eq!(loaded.problems, [] as [&str; 0]);
    assert_eq!(loaded.services[0].file, "B.json");
}

#[test]
fn other_files_and_libraries_are_no_definitions() {
    let dir = directory(&[
        ("a.json", &definition("a")),
        (".hidden.json", "{"),
        ("_library.json", "[1, 2]"),
        ("_library.js", "not a definition"),
        ("README", "{"),
        ("a.json.bak", "{"),
        ("a.js~", "{"),
    ]);
    fs::create_dir(dir.path().join("sub.json")).expect("a directory");
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["a"]);
    assert_eq!(loaded.problems, [] as [&str; 0]);
}

#[test]
fn a_directory_that_cannot_be_read_is_named_with_the_remedy() {
    let loaded = load(Path::new("/nonexistent/services")).unwrap();
    assert_eq!(keys(&loaded), [] as [&str; 0]);
    let expected = "cannot read service definitions from /nonexistent/services: \
        No such file or directory (os error 2); make the directory, or correct --services";
    assert_eq!(loaded.problems, [expected]);
    let dir = directory(&[("file", "")]);
    let [problem] = &load(&dir.path().join("file")).unwrap().problems[..] else {
        panic!("one problem");
    };
    assert!(problem.contains("Not a directory"), "{problem}");
}

#[test]
fn one_bad_definition_never_stops_the_others() {
    let large = " ".repeat(256 * 1024 + 1);
    let dir = directory(&[
        ("a.json", "{\"key\": \"a\",\n  \"timeout\": }"),
        ("b.json", "[]"),
        ("c.json", ""),
        ("d.json", &large),
        ("e.json", "{\n\n\0}"),
        ("g.json", &definition("good")),
        ("h.json", r#"{"key": "h", "ephemeraldata": true}"#),
    ]);
    fs::write(dir.path().join("f.json"), b"{\n \"key\": \"\xff\" }").expect("a file");
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["good"]);
    let mut problems = problems(&loaded, &dir);
    problems.sort();
    let expected = [
        "a.json is skipped: not JSON: expected value at line 2 column 14",
        "b.json is skipped: is an array, not an object",
        "c.json is skipped: is empty",
        "d.json is skipped: larger than 256 KiB",
        "e.json is skipped: line 3 contains a NUL",
        "f.json is skipped: line 2 is not UTF-8",
        "h.json is skipped: key 'notifycmd' is missing, write a shell command, for example 'sv restart foo'",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn links_are_followed_and_nothing_hangs() {
    let elsewhere = directory(&[("target", &definition("linked"))]);
    let dir = directory(&[]);
    let at = |name: &str| dir.path().join(name);
    symlink(elsewhere.path().join("target"), at("a.json")).expect("a link");
    symlink("/nonexistent", at("b.json")).expect("a link");
    mkfifo(&at("c.json"), Mode::from_bits_truncate(0o600)).expect("a FIFO");
    symlink("/dev/zero", at("d.js")).expect("a link");
    let started = Instant::now();
    let loaded = load(dir.path()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(keys(&loaded), ["linked"]);
    let expected = [
        "b.json is skipped: cannot be read: No such file or directory (os error 2)",
        "c.json is skipped: not a regular file",
        "d.js is skipped: not a regular file",
    ];
    assert_eq!(problems(&loaded, &dir), expected);
}

#[test]
fn an_unreadable_file_is_a_problem_of_its_own() {
    if nix::unistd::geteuid().is_root() {
        println!("root reads everything");
        return;
    }
    let dir = directory(&[("a.json", "{}"), ("b.json", &definition("b"))]);
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(dir.path().join("a.json"), closed).expect("permissions");
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["b"]);
    let expected = "a.json is skipped: cannot be read: Permission denied (os error 13)";
    assert_eq!(problems(&loaded, &dir), [expected]);
}

#[test]
fn of_two_definitions_with_one_key_the_first_is_used() {
    let dir = directory(&[
        (
            "a.json",
            r#"{"key": "same", "notifycmd": "a good one without outfile"}"#,
        ),
        ("b.json", &definition("same")),
        ("c.json", &definition("same")),
    ]);
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["same"]);
    assert_eq!(loaded.services[0].file, "b.json");
    let problems = problems(&loaded, &dir);
    let expected = "c.json is skipped: key 'same' belongs to b.json already, use another one or remove one of them";
    assert_eq!(problems[1], expected);
}

#[test]
fn an_ignored_key_is_reported_and_the_definition_used() {
    let text = r#"{"key": "a", "ephemeraldata": true, "notifycmd": "true", "timeot": 3}"#;
    let dir = directory(&[("a.json", &format!("\u{feff}{text}"))]);
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["a"]);
    let expected = "a.json: unknown key 'timeot' is ignored, did you mean 'timeout'?";
    assert_eq!(problems(&loaded, &dir), [expected]);
}

#[cfg(not(feature = "javascript"))]
#[test]
fn without_javascript_its_definitions_are_named() {
    let dir = directory(&[
        ("a.js", "module.exports = {}"),
        ("b.json", &definition("b")),
    ]);
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["b"]);
    let expected =
        "a.js is skipped: this program was built without JavaScript, write the definition as .json";
    assert_eq!(problems(&loaded, &dir), [expected]);
}

#[cfg(feature = "javascript")]
#[test]
fn definitions_in_javascript_stand_beside_those_in_json() {
    let dir = directory(&[
        (
            "a.js",
            "const { range } = require('./_range');
             module.exports = {
               key: 'a', ephemeraldata: true, notifycmd: 'true',
               validate: (configuration) => range(configuration),
             };",
        ),
        (
            "_range.js",
            "exports.range = (configuration) => configuration;",
        ),
        ("b.json", &definition("b")),
        ("c.js", "module.exports = {\n  key: 'c'\n  timeout: 3,\n};"),
        ("d.js", "for (;;) throw new Error('never')"),
        (
            "e.js",
            "module.exports = { key: 'a', ephemeraldata: true, notifycmd: 'true' };",
        ),
    ]);
    let loaded = load(dir.path()).unwrap();
    assert_eq!(keys(&loaded), ["a", "b"]);
    let crate::shadow::device::service::Validation::Script(script) = &loaded.services[0].validation
    else {
        panic!("a script");
    };
    assert_eq!(script.file, "a.js");
    let expected = [
        "c.js is skipped: c.js:3:3: SyntaxError: Unexpected identifier 'timeout'",
        "d.js is skipped: d.js:1:20: never",
        "e.js is skipped: key 'a' belongs to a.js already, use another one or remove one of them",
    ];
    assert_eq!(problems(&loaded, &dir), expected);
}

#[test]
fn a_definition_that_is_skipped_may_be_that_of_its_key_or_of_any() {
    let dir = directory(&[
        ("a.json", &definition("a")),
        ("known.json", r#"{"key": "known", "outfile": 7}"#),
        ("twice.json", &definition("a")),
        ("_library.json", "{"),
    ]);
    let loaded = load(dir.path()).unwrap();
    let may = |loaded: &Loaded, key: &str| loaded.unusable.iter().any(|it| it.may_define(key));
    assert!(may(&loaded, "known") && !may(&loaded, "other"));
    fs::write(dir.path().join("broken.js"), "oops oops").expect("a file");
    let loaded = load(dir.path()).unwrap();
    assert!(may(&loaded, "known") && may(&loaded, "other"));
}
