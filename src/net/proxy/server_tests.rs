//! From options, files and the environment to a proxy.

use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn given(url: &str) -> ProxyOptions {
    ProxyOptions {
        choice: ProxyChoice::Given(url.parse().unwrap()),
        ..ProxyOptions::default()
    }
}

fn nothing(_: &str) -> Option<String> {
    None
}

fn everything(name: &str) -> Option<String> {
    match name {
        "HTTPS_PROXY" => Some("http://dev:s3cr3t@env:3128".into()),
        "NO_PROXY" => Some("inside.example".into()),
        _ => None,
    }
}

fn secret(dir: &tempfile::TempDir, contents: &[u8]) -> PathBuf {
    let path = dir.path().join("password");
    fs::write(&path, contents).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn the_environment_counts_only_where_no_option_does() {
    let at = |text: &str| text.parse::<Endpoint>().unwrap();
    let from_environment = ProxyOptions::default();
    assert!(from_environment.resolve(nothing).unwrap().is_none());
    let chosen = from_environment.resolve(everything).unwrap().unwrap();
    assert_eq!(
        (chosen.proxy.to_string().as_str(), chosen.origin),
        ("http://env:3128", "HTTPS_PROXY")
    );
    assert!(chosen.proxy.is_for(&at("broker")) && !chosen.proxy.is_for(&at("a.inside.example")));
    let chosen = given("http://opt:1").resolve(everything).unwrap().unwrap();
    assert_eq!(
        (chosen.proxy.to_string().as_str(), chosen.origin),
        ("http://opt:1", "--proxy")
    );
    assert!(chosen.proxy.is_for(&at("a.inside.example")));
    let direct = ProxyOptions {
        choice: ProxyChoice::Direct,
        ..ProxyOptions::default()
    };
    assert!(direct.resolve(everything).unwrap().is_none());
}

#[test]
fn a_password_comes_from_a_file_of_one_line() {
    let dir = tempfile::tempdir().unwrap();
    for contents in ["s3cr3t", "s3cr3t\n", "s3cr3t\r\n", "\u{feff}s3cr3t\n"] {
        let options = ProxyOptions {
            password_file: Some(secret(&dir, contents.as_bytes())),
            ..given("http://dev@p:1")
        };
        let chosen = options.resolve(nothing).unwrap().unwrap();
        assert_eq!(chosen.proxy.url.login.clone().unwrap().password, "s3cr3t");
        assert_eq!(chosen.problems, [""; 0]);
        assert_eq!(format!("{:?}", chosen.proxy), "Proxy(http://p:1)");
    }
}

#[test]
fn a_file_without_a_usable_password_is_named_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    for (contents, part) in [
        (&b""[..], "no password"),
        (b"\n", "no password"),
        (b"s3cr3t\n\n", "a control character"),
        (b"s3cr3t\nmore\n", "a control character"),
        (b"s3cr3t\xff", "not UTF-8"),
    ] {
        let file = secret(&dir, contents);
        let options = ProxyOptions {
            password_file: Some(file.clone()),
            ..given("http://dev@p:1")
        };
        let why = format!("{:#}", options.resolve(nothing).err().unwrap());
        assert!(
            why.contains(part) && why.contains(&file.display().to_string()),
            "{why}"
        );
        assert!(!why.contains("s3cr3t"), "{why}");
    }
    let options = ProxyOptions {
        password_file: Some(dir.path().join("none")),
        ..given("http://dev@p:1")
    };
    let why = format!("{:#}", options.resolve(nothing).err().unwrap());
    assert!(
        why.contains("cannot read the proxy's password from"),
        "{why}"
    );
}

#[test]
fn a_password_in_the_option_is_worth_a_warning() {
    let chosen = given("http://dev:s3cr3t@p:1")
        .resolve(nothing)
        .unwrap()
        .unwrap();
    assert_eq!(chosen.problems.len(), 1);
    assert!(chosen.problems[0].contains("--proxy-password-file"));
    assert!(!chosen.problems[0].contains("s3cr3t"));
    let chosen = ProxyOptions::default()
        .resolve(everything)
        .unwrap()
        .unwrap();
    assert_eq!(chosen.problems, [""; 0]);
}

#[test]
fn tls_to_the_proxy_needs_authorities_that_can_be_read() {
    let options = ProxyOptions {
        authorities: Some("/does/not/exist.pem".into()),
        ..given("https://p:1")
    };
    let why = format!("{:#}", options.resolve(nothing).err().unwrap());
    assert!(why.contains("/does/not/exist.pem"), "{why}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    fs::write(&file, "no certificate").unwrap();
    let options = ProxyOptions {
        authorities: Some(file),
        ..given("https://p:1")
    };
    let why = format!("{:#}", options.resolve(nothing).err().unwrap());
    assert!(why.contains("--proxy-cacert needs"), "{why}");
}
