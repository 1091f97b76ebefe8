//! CONNECT against proxies that answer in every way.

use super::*;
use tokio::io::duplex;

/// Asks a proxy that answers so, and then closes the connection or keeps it open. Gives back what it
/// was asked, the outcome, and what was left to read.
async fn ask(
    answer: &[u8],
    login: Option<&ProxyLogin>,
    closes: bool,
) -> (String, Result<(), String>, Vec<u8>) {
    let (mut ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(answer).await.unwrap();
    if closes {
        theirs.shutdown().await.unwrap();
    }
    let outcome = connect(&mut ours, "broker:8883", login).await;
    let mut asked = vec![0; 4096];
    let count = theirs.read(&mut asked).await.unwrap();
    asked.truncate(count);
    drop(theirs);
    let mut rest = Vec::new();
    ours.read_to_end(&mut rest).await.unwrap();
    (String::from_utf8(asked).unwrap(), outcome, rest)
}

#[tokio::test]
async fn a_tunnel_is_asked_for_and_what_follows_the_answer_is_left_to_it() {
    let answer = b"HTTP/1.0 200 Connection established\r\nA: b\r\n\r\n\r\nfirst bytes";
    let (asked, outcome, rest) = ask(answer, None, false).await;
    assert_eq!(
        asked,
        "CONNECT broker:8883 HTTP/1.1\r\nHost: broker:8883\r\n\r\n"
    );
    assert_eq!(outcome, Ok(()));
    assert_eq!(rest, b"\r\nfirst bytes");
}

#[tokio::test]
async fn a_user_is_told_with_his_password() {
    let login = ProxyLogin {
        user: "Aladdin".into(),
        password: "open sesame".into(),
    };
    let (asked, outcome, _) = ask(b"HTTP/1.1 407 No\r\n\r\n", Some(&login), false).await;
    // The example of RFC 7617.
    assert!(asked.ends_with("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"));
    assert!(
        outcome
            .unwrap_err()
            .starts_with("refuses the user or the password")
    );
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_read_for_ever() {
    let endless = b"HTTP/1.1 200 OK\r\nX: ".iter().copied();
    let endless: Vec<u8> = endless.chain(std::iter::repeat_n(b'y', 20_000)).collect();
    let (_, outcome, rest) = ask(&endless, None, false).await;
    assert!(outcome.unwrap_err().contains("no end within 8 KiB"));
    assert_eq!(rest.len(), endless.len() - LARGEST);
}

#[tokio::test]
async fn a_proxy_that_closes_is_named() {
    for (answer, words) in [
        ("", "closed the connection without an answer"),
        (
            "HTTP/1.1 200 half",
            "within its answer to CONNECT: 'HTTP/1.1 200 half'",
        ),
        ("HTTP/1.1 200 OK\r\nX: y\r\n", "within its answer"),
    ] {
        let (_, outcome, _) = ask(answer.as_bytes(), None, true).await;
        let why = outcome.unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_silent_is_not_waited_for_for_ever() {
    for (answer, words) in [
        ("", "does not answer CONNECT within 30 s"),
        ("HTTP/1.1 200 OK\r\n", "does not end it within 30 s"),
        ("220 mail", "not HTTP: '220 mail'"),
    ] {
        let (_, outcome, _) = ask(answer.as_bytes(), None, false).await;
        let why = outcome.unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}
