use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const BOUND: usize = 100;

/// What `said` by a server becomes, and what it was asked.
async fn check(said: &[u8]) -> (Result<HttpAnswer, Ending>, String) {
    let (ours, mut theirs) = duplex(64 * 1024);
    let said = said.to_vec();
    let server = tokio::spawn(async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(theirs.read_u8().await.unwrap());
        }
        theirs.write_all(&said).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let request = Get {
        host: "x.example",
        target: "/a?b=%2F",
        headers: &[("x-amzn-iot-thingname", "pump")],
    };
    let answer = get(Box::new(ours), &request, BOUND).await;
    (answer, server.await.unwrap())
}

async fn answer(said: &[u8]) -> HttpAnswer {
    check(said).await.0.unwrap_or_else(|why| panic!("{why}"))
}

#[tokio::test]
async fn a_request_is_answered() {
    let said =
        b"HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 5\r\n\r\nhello";
    let (answer, asked) = check(said).await;
    let answer = answer.unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_slice()),
        (200, &b"hello"[..])
    );
    assert_eq!(answer.header("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"));
    assert!(!answer.cut);
    assert!(asked.starts_with("GET /a?b=%2F HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("host: x.example\r\n"), "{asked}");
    assert!(asked.contains("x-amzn-iot-thingname: pump\r\n"), "{asked}");
}

#[tokio::test]
async fn bodies_come_in_every_form_and_have_a_bound() {
    let chunked = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let until_closed = b"HTTP/1.0 500 Oh\r\n\r\nabcde";
    for said in [&chunked[..], until_closed] {
        assert_eq!(answer(said).await.body, b"abcde");
    }
    let mut long = b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    long.resize(2000, b'x');
    let answer = answer(&long).await;
    assert!(answer.cut);
    assert_eq!(answer.body.len(), BOUND);
}

#[tokio::test]
async fn what_is_no_answer_has_a_class_and_words() {
    let mut endless = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    endless.resize(LARGEST_HEAD + 1000, b'y');
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "x: y\r\n".repeat(MOST_HEADERS + 1)
    );
    for (said, words) in [
        (&b""[..], "closed before the HTTP answer"),
        (b"HTTP/1.1 200", "closed before the HTTP answer"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
            "closed before the HTTP answer",
        ),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
        (&endless, "not HTTP, or too large"),
        (many.as_bytes(), "not HTTP, or too large"),
    ] {
        let Err(ending) = check(said).await.0 else {
            panic!("{words}")
        };
        assert_eq!(ending.class, Class::Http, "{ending}");
        assert!(ending.reason.contains(words), "{ending}");
        assert!(!ending.certificate);
    }
}

#[tokio::test]
async fn after_a_switch_nothing_of_the_new_protocol_is_lost() {
    let said = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly";
    let (mut stream, early) = answer(said).await.switched.expect("a stream");
    assert_eq!(&early[..], b"early");
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_header_that_would_be_two_is_not_sent() {
    let (ours, _theirs) = duplex(1024);
    let request = Get {
        host: "x.example",
        target: "/",
        headers: &[("token", "hush\r\nx: y")],
    };
    let Err(ending) = get(Box::new(ours), &request, BOUND).await else {
        panic!("it is sent");
    };
    assert!(ending.reason.contains("cannot be made"), "{ending}");
    assert!(!ending.reason.contains("hush"), "{ending}");
}

/// There is no socket here, so that paused time is good for it.
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_not_waited_for_long() {
    let (ours, mut theirs) = duplex(64 * 1024);
    let request = Get {
        host: "x.example",
        target: "/",
        headers: &[],
    };
    let server = tokio::spawn(async move {
        theirs.read_u8().await.unwrap();
        let begun = theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
        begun.await.unwrap();
        theirs
    });
    let Err(ending) = get(Box::new(ours), &request, BOUND).await else {
        panic!("an answer");
    };
    assert_eq!(ending.class, Class::Timeout, "{ending}");
    drop(server);
}
