use super::*;
use crate::net::by_io;
use futures_util::{Sink, Stream as _};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};

/// The library's own server, after the upgrade.
struct Server(WebSocketStream<DuplexStream>);

impl Server {
    async fn send(&mut self, message: Message) {
        let mut socket = Pin::new(&mut self.0);
        poll_fn(|cx| socket.as_mut().poll_ready(cx)).await.unwrap();
        socket.as_mut().start_send(message).unwrap();
        poll_fn(|cx| socket.as_mut().poll_flush(cx)).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        let next = poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)).await;
        next.and_then(Result::ok)
    }
}

/// A client and a server with so many bytes between them.
async fn pair(room: usize) -> (WebSocket, Server) {
    let (ours, theirs) = duplex(room);
    let client = WebSocket::new(Box::new(ours), bytes::Bytes::new()).await;
    let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    (client, Server(server))
}

fn binary(bytes: &[u8]) -> Message {
    Message::binary(bytes)
}

#[tokio::test]
async fn bytes_pass_in_both_directions_whatever_the_messages() {
    let (mut client, mut server) = pair(1 << 20).await;
    client.write_all(b"CONNECT").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.next().await, Some(binary(b"CONNECT")));
    for part in [&b"CON"[..], b"", b"NACK and more"] {
        server.send(binary(part)).await;
    }
    let mut read = [0; 16];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"CONNACK and more");
}

#[tokio::test]
async fn a_slow_server_holds_up_who_writes() {
    let (mut client, mut server) = pair(1000).await;
    let mut taken = 0;
    let full = poll_fn(|cx| {
        while let Poll::Ready(written) = Pin::new(&mut client).poll_write(cx, &[7; 32 * 1024]) {
            taken += written.unwrap();
            assert!(taken < 256 * 1024, "it takes everything");
        }
        Poll::Ready(taken)
    });
    let taken = full.await;
    let writer = tokio::spawn(async move {
        client.flush().await.unwrap();
        client
    });
    let mut got = 0;
    while got < taken {
        got += server.next().await.map_or(0, |message| message.len());
    }
    assert_eq!(got, taken);
    writer.await.unwrap();
}

#[tokio::test]
async fn a_ping_is_answered_while_it_is_read() {
    let (mut client, mut server) = pair(1 << 16).await;
    let reader = tokio::spawn(async move { client.read(&mut [0; 9]).await.unwrap() });
    server
        .send(Message::Ping(b"are you there".to_vec().into()))
        .await;
    let pong = server.next().await;
    assert_eq!(pong, Some(Message::Pong(b"are you there".to_vec().into())));
    server.send(binary(b"x")).await;
    assert_eq!(reader.await.unwrap(), 1);
}

#[tokio::test]
async fn we_take_leave_with_code_1000() {
    let (mut client, mut server) = pair(1 << 16).await;
    client.write_all(b"DISCONNECT").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(server.next().await, Some(binary(b"DISCONNECT")));
    let Some(Message::Close(Some(frame))) = server.next().await else {
        panic!("no close");
    };
    assert_eq!(frame.code, CloseCode::Normal);
}

/// The log's words for how a stream ended after `said`.
async fn ending(said: Message, connected: bool) -> String {
    let (mut client, mut server) = pair(1 << 16).await;
    server.send(said).await;
    let error = client.read(&mut [0; 9]).await.unwrap_err();
    // The next one sees the end.
    assert_eq!(client.read(&mut [0; 9]).await.unwrap(), 0);
    by_io(&error, connected, Class::Protocol).to_string()
}

#[tokio::test]
async fn what_ends_a_websocket_is_named() {
    let close = |code: u16, reason: &'static str| {
        Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        }))
    };
    let table = [
        (Message::Close(None), true, "server: closed by the broker"),
        (
            close(1001, "going\naway"),
            true,
            "server: closed by the broker: WebSocket close 1001 \"going\\naway\"",
        ),
        (close(1008, ""), false, "refused: closed before CONNACK"),
        (
            Message::text("hello"),
            true,
            "protocol: the WebSocket carried text, which MQTT has not",
        ),
    ];
    for (said, connected, words) in table {
        let ending = ending(said, connected).await;
        assert!(ending.starts_with(words), "{ending}");
    }
}

#[tokio::test]
async fn a_stream_that_just_ends_was_closed_by_the_broker() {
    for (connected, words) in [
        (true, "server: closed by the broker"),
        (false, "refused: closed before CONNACK"),
    ] {
        let (mut client, server) = pair(1 << 16).await;
        drop(server);
        let error = client.read(&mut [0; 9]).await.unwrap_err();
        let ending = by_io(&error, connected, Class::Protocol).to_string();
        assert!(ending.starts_with(words), "{ending}");
    }
}

#[tokio::test]
async fn what_is_against_the_protocol_is_named() {
    for (frame, words) in [
        (&[0x82, 0x81, 0, 0, 0, 0, 7][..], "masked"),
        (&[0xc2, 1, 7], "Reserved bits"),
        (&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0], "too"),
    ] {
        let (ours, mut theirs) = duplex(1 << 16);
        let mut client = WebSocket::new(Box::new(ours), bytes::Bytes::new()).await;
        theirs.write_all(frame).await.unwrap();
        let error = client.read(&mut [0; 9]).await.unwrap_err();
        let ending = by_io(&error, true, Class::Protocol);
        assert_eq!(ending.class, Class::Protocol, "{ending}");
        assert!(ending.reason.contains(words), "{ending}");
    }
}

#[tokio::test]
async fn what_came_with_the_answer_is_read_first() {
    let (ours, _theirs) = duplex(1 << 16);
    let early = bytes::Bytes::from_static(&[0x82, 2, b'h', b'i']);
    let mut client = WebSocket::new(Box::new(ours), early).await;
    let mut read = [0; 2];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hi");
}

/// The vector of RFC 6455.
#[test]
fn the_key_is_answered_as_the_rfc_says() {
    assert_eq!(
        accepting("dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}

/// What becomes of an upgrade that is answered with these lines; ACCEPT stands for the right key.
async fn upgrade(lines: &[&str]) -> Result<(), String> {
    let (ours, mut theirs) = duplex(1 << 16);
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let server = tokio::spawn(async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(theirs.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let key = request.split("sec-websocket-key: ").nth(1).unwrap();
        let key = accepting(key.split("\r\n").next().unwrap());
        let answer = lines.join("\r\n").replace("ACCEPT", &key) + "\r\n\r\n";
        theirs.write_all(answer.as_bytes()).await.unwrap();
        request
    });
    let request = Get {
        host: "x.example",
        target: "/mqtt",
        headers: &[("tok", "abc")],
    };
    let outcome = websocket(Box::new(ours), &request, "mqtt").await;
    let asked = server.await.unwrap();
    assert!(
        asked.contains("sec-websocket-protocol: mqtt\r\n"),
        "{asked}"
    );
    assert!(asked.contains("tok: abc\r\n"), "{asked}");
    match outcome {
        Ok(_) => Ok(()),
        Err(NoWebSocket::Ended(ending)) => Err(ending.to_string()),
        Err(NoWebSocket::Answered(answer)) => Err(format!("status {}", answer.status.as_u16())),
    }
}

#[tokio::test]
async fn an_upgrade_is_agreed_on_or_refused() {
    let first = "HTTP/1.1 101 Switching Protocols";
    let (connection, upgraded) = ("Connection: Upgrade", "Upgrade: WebSocket");
    let accept = "Sec-WebSocket-Accept: ACCEPT";
    let protocol = "Sec-WebSocket-Protocol: mqtt";
    let good = upgrade(&[first, connection, upgraded, accept, protocol]).await;
    assert_eq!(good, Ok(()));
    for (lines, words) in [
        (
            &[first, connection, upgraded, accept][..],
            "Protocol is missing",
        ),
        (
            &[first, connection, upgraded, protocol],
            "Accept is missing",
        ),
        (&[first, connection, accept, protocol], "Upgrade: websocket"),
        (
            &[
                first,
                connection,
                upgraded,
                protocol,
                "Sec-WebSocket-Accept: x",
            ],
            "does not belong to our key",
        ),
        (
            &[
                first,
                connection,
                upgraded,
                accept,
                "Sec-WebSocket-Protocol: chat",
            ],
            "another one",
        ),
        (
            &[
                first,
                connection,
                upgraded,
                accept,
                protocol,
                "Sec-WebSocket-Extensions: x",
            ],
            "extension",
        ),
        (
            &["HTTP/1.1 403 Forbidden", "Content-Length: 0"],
            "status 403",
        ),
        (&["HTTP/1.1 200 OK", "Content-Length: 0"], "status 200"),
    ] {
        let why = upgrade(lines).await.unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}
