//! Addresses of proxies, good and bad.

use super::*;
use crate::net::proxy::exceptions::Exceptions;

fn url(text: &str) -> ProxyUrl {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[track_caller]
fn refused(text: &str, part: &str) {
    let why = text.parse::<ProxyUrl>().unwrap_err();
    assert!(why.contains(part), "{text}: {why}");
    assert!(
        !why.contains("dev") && !why.contains("s3cr3t"),
        "{text}: {why}"
    );
}

#[test]
fn an_address_is_a_scheme_a_host_and_a_port() {
    for (text, scheme, host, port) in [
        ("http://proxy:3128", ProxyScheme::Http, "proxy", 3128),
        ("proxy:3128", ProxyScheme::Http, "proxy", 3128),
        (" HTTP://10.0.0.1:80/ \n", ProxyScheme::Http, "10.0.0.1", 80),
        ("https://[::1]:8443", ProxyScheme::Https, "::1", 8443),
        (
            "socks5://p.example:1080",
            ProxyScheme::Socks5,
            "p.example",
            1080,
        ),
        ("socks5h://p:1080", ProxyScheme::Socks5, "p", 1080),
    ] {
        let url = url(text);
        assert_eq!(
            (url.scheme, url.host.as_str(), url.port),
            (scheme, host, port)
        );
        assert_eq!(url.login, None);
    }
}

#[test]
fn user_and_password_are_decoded() {
    for (text, user, password) in [
        ("http://dev@p:1", "dev", ""),
        ("http://dev:@p:1", "dev", ""),
        ("http://dev:s3cr3t@p:1", "dev", "s3cr3t"),
        ("http://d%65v:a%3Ab%40c%2f%25+d@p:1", "dev", "a:b@c/%+d"),
        ("http://dev:a@b@p:1", "dev", "a@b"),
        ("http://dev:a:b@p:1", "dev", "a:b"),
        ("dev:gr%C3%BCn@p:1", "dev", "grün"),
    ] {
        let login = url(text).login.unwrap();
        assert_eq!(
            (login.user.as_str(), login.password.as_str()),
            (user, password)
        );
    }
}

#[test]
fn wrong_addresses_are_named_without_what_is_secret_in_them() {
    for (text, part) in [
        ("", "no port, write http://HOST:PORT"),
        ("http://", "no port"),
        ("https://proxy", "no port, write https://HOST:PORT"),
        ("socks5://[::1]", "no port, write socks5://HOST:PORT"),
        ("http://:3128", "no host's name"),
        (
            "http://dev:s3cr3t",
            "the port behind the host is not a number",
        ),
        ("http://p:0", "the port"),
        ("http://p:65536", "the port"),
        ("http://dev:s3cr3t@p:x", "the port"),
        ("http://::1:3128", "in brackets"),
        ("http://[::1:3128", "a [ without its ]"),
        ("http://p%41:1", "the host's name contains '%'"),
        ("http://p:1/path", "something behind the port"),
        ("http://p:1?x", "something behind the port"),
        ("http://dev:s3cr3t/x@p:1", "%2F"),
        ("http://dev:s3cr3t#x@p:1", "%23"),
        ("http://dev:s3cr3t%@p:1", "%25"),
        ("http://dev:s3cr3t%4@p:1", "%25"),
        ("http://dev:s3cr3t%zz@p:1", "%25"),
        ("http://dev:%FF@p:1", "not UTF-8"),
        ("http://dev:%0d%0a@p:1", "control character"),
        ("http://a%3Adev:x@p:1", "a colon"),
        ("http://:s3cr3t@p:1", "no user"),
        ("http://@p:1", "no user"),
        ("http://dev:s3 cr3t@p:1", "white space"),
        (
            "socks4://p:1",
            "unknown scheme, use http://, https:// or socks5://",
        ),
        ("ftp://p:1", "unknown scheme"),
        ("://p:1", "unknown scheme"),
    ] {
        refused(text, part);
    }
    let long = "s3cr3t".repeat(50);
    refused(&format!("socks5://dev:{long}@p:1"), "longer than 255 bytes");
    assert!(format!("http://dev:{long}@p:1").parse::<ProxyUrl>().is_ok());
}

#[test]
fn a_password_from_elsewhere_needs_a_user_and_no_other_password() {
    let with = |text: &str, password| url(text).with_password(password);
    let url = with("http://dev@p:1", "s3cr3t:@/").unwrap();
    assert_eq!(url.login.unwrap().password, "s3cr3t:@/");
    for (text, password, part) in [
        ("http://p:1", "x", "names none"),
        ("http://dev:a@p:1", "x", "and so does the address"),
        ("http://dev@p:1", "", "no password"),
        ("http://dev@p:1", "a\nb", "control character"),
    ] {
        let why = with(text, password).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let url = url("https://dev:s3cr3t@[::1]:3128");
    assert_eq!(url.to_string(), "https://[::1]:3128");
    let shown = format!("{url:?}");
    assert!(
        !shown.contains("dev") && !shown.contains("s3cr3t"),
        "{shown}"
    );
}

#[test]
fn what_another_program_gets_reads_as_the_same() {
    for text in [
        "http://p:1",
        "socks5://dev@p:1",
        "https://dev:a%20%2B%3A%40%2F%25%C3%BC@[::1]:3128",
    ] {
        let one = url(text);
        let revealed = one.revealed();
        assert_eq!(url(&revealed), one, "{revealed}");
        assert!(!revealed.contains('+'), "{revealed}");
    }
}

#[test]
fn random_addresses_never_panic() {
    let mut random = fastrand::Rng::with_seed(1);
    let parts = [
        "http://",
        "socks5://",
        "dev",
        ":",
        "@",
        "%",
        "4",
        "[",
        "]",
        "::1",
        "/",
        "?",
        "ü",
        "3128",
        ",",
    ];
    for _ in 0..20_000 {
        let count = random.usize(..9);
        let text: String = (0..count)
            .map(|_| parts[random.usize(..parts.len())])
            .collect();
        if let Ok(url) = text.parse::<ProxyUrl>() {
            assert_eq!(url.revealed().parse(), Ok(url), "{text}");
        }
        let _ = Exceptions::read(&text);
    }
}
