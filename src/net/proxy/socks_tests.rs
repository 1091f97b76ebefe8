//! SOCKS5 against proxies that answer in every way.

use super::*;
use tokio::io::duplex;

fn login() -> ProxyLogin {
    ProxyLogin {
        user: "dev".into(),
        password: "s3cr3t".into(),
    }
}

/// What the proxy has received, the outcome, and what is left of what it said.
async fn ask(
    said: &[u8],
    endpoint: &str,
    login: Option<&ProxyLogin>,
    closes: bool,
) -> (Vec<u8>, Result<(), String>, Vec<u8>) {
    let (mut ours, mut theirs) = duplex(4096);
    theirs.write_all(said).await.unwrap();
    if closes {
        theirs.shutdown().await.unwrap();
    }
    let outcome = connect(&mut ours, &endpoint.parse().unwrap(), login).await;
    let mut asked = vec![0; 4096];
    let count = theirs.read(&mut asked).await.unwrap();
    asked.truncate(count);
    drop(theirs);
    let mut rest = Vec::new();
    ours.read_to_end(&mut rest).await.unwrap();
    (asked, outcome, rest)
}

#[tokio::test]
async fn a_tunnel_is_asked_for_by_name_and_what_follows_the_answer_is_left_to_it() {
    let said = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x22\xb3first";
    let (asked, outcome, rest) = ask(said, "broker:8883", None, false).await;
    assert_eq!(asked, b"\x05\x01\x00\x05\x01\x00\x03\x06broker\x22\xb3");
    assert_eq!((outcome, rest.as_slice()), (Ok(()), &b"first"[..]));
    // The proxy's own address may be of every kind.
    for said in [
        &b"\x05\x00\x05\x00\x00\x03\x02ab\x22\xb3first"[..],
        b"\x05\x00\x05\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x22\xb3first",
    ] {
        let (_, outcome, rest) = ask(said, "broker", None, false).await;
        assert_eq!((outcome, rest.as_slice()), (Ok(()), &b"first"[..]));
    }
}

#[tokio::test]
async fn addresses_are_asked_for_as_addresses() {
    let said = b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let (asked, ..) = ask(said, "192.0.2.1:443", None, false).await;
    assert_eq!(asked[3..], *b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb");
    let (asked, ..) = ask(said, "[::1]:443", None, false).await;
    assert_eq!(asked[3..7], *b"\x05\x01\x00\x04");
    assert_eq!(asked.len(), 3 + 4 + 16 + 2);
}

#[tokio::test]
async fn a_user_is_told_with_his_password_only_when_asked() {
    let said = b"\x05\x02\x01\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let (asked, outcome, _) = ask(said, "b:1", Some(&login()), false).await;
    assert!(asked.starts_with(b"\x05\x02\x00\x02\x01\x03dev\x06s3cr3t\x05\x01"));
    assert_eq!(outcome, Ok(()));
    let said = b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let (asked, outcome, _) = ask(said, "b:1", Some(&login()), false).await;
    assert!(asked.starts_with(b"\x05\x02\x00\x02\x05\x01"));
    assert_eq!(outcome, Ok(()));
}

#[tokio::test]
async fn refusals_are_named() {
    let none = None;
    let dev = login();
    let dev = Some(&dev);
    for (said, login, words) in [
        (
            &b"\x05\xff"[..],
            none,
            "asks for a user and a password: use socks5://USER",
        ),
        (b"\x05\x02", none, "asks for a user and a password"),
        (
            b"\x05\xff",
            dev,
            "takes neither a user with a password nor none",
        ),
        (
            b"\x05\x01",
            dev,
            "asks for the method 1, which was not offered",
        ),
        (b"\x05\x02\x01\x02", dev, "refuses the user or the password"),
        (
            b"\x05\x00\x05\x01\x00\x01",
            none,
            "cannot reach b port 1: general failure",
        ),
        (
            b"\x05\x00\x05\x02\x00\x01",
            none,
            "does not allow a connection to b port 1",
        ),
        (
            b"\x05\x00\x05\x03\x00\x01",
            none,
            "network unreachable (reply 3)",
        ),
        (
            b"\x05\x00\x05\x04\x00\x01",
            none,
            "host unreachable (reply 4)",
        ),
        (
            b"\x05\x00\x05\x05\x00\x01",
            none,
            "connection refused (reply 5)",
        ),
        (
            b"\x05\x00\x05\x06\x00\x01",
            none,
            "no answer in time (reply 6)",
        ),
        (b"\x05\x00\x05\x07\x00\x01", none, "the command (reply 7)"),
        (
            b"\x05\x00\x05\x08\x00\x01",
            none,
            "kind of address (reply 8)",
        ),
        (b"\x05\x00\x05\x63\x00\x01", none, "(reply 99)"),
        (b"\x05\x00\x05\x00\x00\x09", none, "the unknown kind 9"),
        (b"\x04\x5b", none, "the first byte of its answer is 4"),
        (b"HTTP/1.0 400 x", none, "if it speaks HTTP, use http://"),
        (b"\x05\x00HTTP", none, "if it speaks HTTP"),
        (b"", none, "closes the connection instead"),
        (b"\x05\x00\x05\x00", none, "closes the connection instead"),
        (
            b"\x05\x00\x05\x00\x00\x03\xff",
            none,
            "closes the connection instead",
        ),
    ] {
        let (_, outcome, _) = ask(said, "b:1", login, true).await;
        let why = outcome.unwrap_err();
        assert!(why.contains(words), "{said:?}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_silent_is_not_waited_for_for_ever() {
    for said in [&b""[..], b"\x05\x00", b"\x05\x00\x05\x00\x00\x01\x00"] {
        let (_, outcome, _) = ask(said, "b:1", None, false).await;
        assert_eq!(
            outcome.unwrap_err(),
            "does not answer as a SOCKS5 proxy within 30 s"
        );
    }
}
