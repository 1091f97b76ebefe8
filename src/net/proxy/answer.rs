//! Pure: what the answer of a proxy to CONNECT means, and what a person can do about it. Whatever it
//! says is quoted with a bound, and without control characters.

use httparse::{EMPTY_HEADER, Error, Response};

use crate::text::printable;

/// How much of an answer is quoted.
const QUOTED: usize = 80;
const MOST_HEADERS: usize = 64;
/// The first byte of an alert: a server that waits for a TLS handshake says nothing else.
const TLS_ALERT: u8 = 0x15;
const SOCKS_5: u8 = 5;
/// How every answer begins.
pub const HTTP_1: &[u8] = b"HTTP/1.";

/// Whether this is the whole head of an answer: what follows is the other end of the tunnel.
pub fn is_whole(head: &[u8]) -> bool {
    head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n")
}

/// Whether this can still become an answer. Asked of something that is none, it waits for the end of a
/// line, so that there is something to quote.
pub fn may_go_on(head: &[u8]) -> bool {
    let same = head.iter().zip(HTTP_1).all(|(one, other)| one == other);
    same || (head.len() < QUOTED && !head.ends_with(b"\n"))
}

/// `Ok`: the tunnel stands. `target` is where it was to lead, `known` whether a user was named.
///
/// # Errors
/// What the proxy does not do and why, to be put behind its name.
pub fn read(head: &[u8], target: &str, known: bool) -> Result<(), String> {
    if !is_whole(head) {
        return Err(no_answer(head));
    }
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = Response::new(&mut headers);
    match response.parse(head) {
        Ok(_) => {}
        // What it says of itself does not matter, as long as the first line is good.
        Err(Error::TooManyHeaders | Error::HeaderName | Error::HeaderValue | Error::NewLine)
            if response.code.is_some() => {}
        Err(_) => return Err(no_answer(head)),
    }
    let code = response.code.ok_or_else(|| no_answer(head))?;
    let reason = response.reason.unwrap_or_default();
    let status = format!("{code} {}", printable(reason, QUOTED));
    let status = status.trim_end();
    let methods = response
        .headers
        .iter()
        .filter(|header| header.name.to_ascii_lowercase().ends_with("-authenticate"));
    let methods: Vec<String> = methods
        .map(|header| String::from_utf8_lossy(header.value).into_owned())
        .collect();
    match code {
        200..=299 => Ok(()),
        401 | 407 => Err(who_we_are(status, &methods, known)),
        403 => Err(format!(
            "does not allow a connection to {target} ({status}): have it allowed there, or try port 443"
        )),
        500 | 502 | 503 | 504 => Err(format!("cannot reach {target} ({status})")),
        _ => Err(format!(
            "answers CONNECT {target} with '{status}': is it a proxy for HTTPS?"
        )),
    }
}

fn who_we_are(status: &str, methods: &[String], known: bool) -> String {
    let name = |method: &String| {
        let name = method.split_whitespace().next().unwrap_or_default();
        printable(name, QUOTED)
    };
    let basic = |method: &String| name(method).eq_ignore_ascii_case("basic");
    if !methods.is_empty() && !methods.iter().any(basic) {
        let names: Vec<String> = methods.iter().map(name).collect();
        let names = printable(&names.join(", "), QUOTED);
        format!(
            "asks for {names} ({status}), and only Basic is possible: put a local proxy such as cntlm or px before it"
        )
    } else if known {
        format!(
            "refuses the user or the password ({status}): correct its address, or --proxy-password-file"
        )
    } else {
        format!(
            "asks for a user and a password ({status}): use http://USER@HOST:PORT as its address, and --proxy-password-file"
        )
    }
}

/// Something else came, or nothing.
fn no_answer(head: &[u8]) -> String {
    match head.first() {
        None => "closed the connection without an answer to CONNECT".into(),
        Some(&TLS_ALERT) => "does not speak HTTP: if it speaks TLS, use https://".into(),
        Some(&SOCKS_5) => "does not speak HTTP: if it is a SOCKS5 proxy, use socks5://".into(),
        Some(_) => {
            let text = String::from_utf8_lossy(head);
            let first = text.lines().next().unwrap_or_default();
            let first = printable(first, QUOTED);
            if head.starts_with(HTTP_1) && !is_whole(head) {
                return format!("closed the connection within its answer to CONNECT: '{first}'");
            }
            format!("answers CONNECT with something that is not HTTP: '{first}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, known: bool, expected: Result<(), &str>) {
        let got = read(head.as_bytes(), "broker:8883", known);
        match (&got, expected) {
            (Ok(()), Ok(())) => {}
            (Err(why), Err(part)) => {
                assert!(why.contains(part), "{head:?}: {why}");
                assert!(!why.chars().any(char::is_control), "{why:?}");
                assert!(why.len() < 300, "{why}");
            }
            _ => panic!("{head:?}: {got:?}"),
        }
    }

    #[test]
    fn every_2xx_is_a_tunnel() {
        for head in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 \n\n",
            "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        ] {
            check(head, false, Ok(()));
        }
        let many = "X: y\r\n".repeat(100);
        check(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), false, Ok(()));
    }

    #[test]
    fn what_a_person_can_do_is_named() {
        let status = |line: &str, more: &str| format!("HTTP/1.1 {line}\r\n{more}\r\n");
        let basic = "Proxy-Authenticate: basic realm=\"x\"\r\n";
        for line in ["407 Proxy Authentication Required", "401 Unauthorized"] {
            let asks = format!("asks for a user and a password ({line})");
            check(&status(line, basic), false, Err(&asks));
            check(&status(line, ""), false, Err(&asks));
            let refuses = format!("refuses the user or the password ({line})");
            check(&status(line, basic), true, Err(&refuses));
        }
        let others = "Proxy-Authenticate: Negotiate\r\nPROXY-AUTHENTICATE: NTLM abc\r\n";
        let ntlm = "asks for Negotiate, NTLM (407 x), and only Basic is possible";
        check(&status("407 x", others), true, Err(ntlm));
        let both = format!("{others}{basic}");
        check(&status("407 x", &both), true, Err("refuses"));
        let forbidden = "does not allow a connection to broker:8883 (403 Filtered)";
        check(&status("403 Filtered", ""), true, Err(forbidden));
        for code in [500, 502, 503, 504] {
            let text = format!("cannot reach broker:8883 ({code} x)");
            check(&status(&format!("{code} x"), ""), true, Err(&text));
        }
        let other = "answers CONNECT broker:8883 with '405 Method Not Allowed'";
        check(&status("405 Method Not Allowed", ""), true, Err(other));
        check(&status("302", "Location: /portal\r\n"), true, Err("'302'"));
        check(&status("199 x", ""), true, Err("'199 x'"));
    }

    #[test]
    fn what_is_no_answer_is_quoted_with_a_bound() {
        check("", false, Err("closed the connection without an answer"));
        check("\x15\x03\x01", false, Err("use https://"));
        check("\x05\x01", false, Err("use socks5://"));
        let ssh = "not HTTP: 'SSH-2.0-OpenSSH_9.2'";
        check("SSH-2.0-OpenSSH_9.2\r\n", false, Err(ssh));
        check("HTTP/2 200\r\n\r\n", false, Err("not HTTP: 'HTTP/2 200'"));
        check("HTTP/1.1 2x0 OK\r\n\r\n", false, Err("not HTTP"));
        check(
            "HTTP/1.1 200 half",
            false,
            Err("within its answer to CONNECT: 'HTTP/1.1 200 half'"),
        );
        check(
            "\x1b[31m\x07 bell\r\n",
            false,
            Err("not HTTP: '\\u{1b}[31m\\u{7} bell'"),
        );
        check(&"a".repeat(8192), false, Err("aaa…'"));
        check(
            &format!("HTTP/1.1 500 {}\r\n\r\n", "b".repeat(5000)),
            false,
            Err("bbb…)"),
        );
        let names = format!(
            "HTTP/1.1 407 x\r\nProxy-Authenticate: {}\r\n\r\n",
            "N".repeat(500)
        );
        check(&names, false, Err("NNN…"));
    }

    #[test]
    fn garbage_is_read_to_the_end_of_its_line_and_no_further() {
        for head in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HT",
            "SSH-2",
            &"HTTP/1.1 ".repeat(500),
        ] {
            assert!(may_go_on(head.as_bytes()), "{head:?}");
        }
        for head in ["SSH-2.0\r\n", "\n", &"x".repeat(QUOTED), "HTTP/2 200\n"] {
            assert!(!may_go_on(head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut head = b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n".to_vec();
            for _ in 0..random.usize(..8) {
                let at = random.usize(..head.len());
                head[at] = random.u8(..);
            }
            head.truncate(random.usize(..=head.len()));
            let _ = read(&head, "x:1", random.bool());
        }
    }
}
