//! Answers of a web server and what follows them, as plain answers and as WebSockets. ACCEPT stands for the right key.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chariotd::net::{Get, NoWebSocket, get, websocket};
use chariotd_fuzz::is_printable;
use libfuzzer_sys::fuzz_target;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const MOST: usize = 1000;
const REQUEST: Get<'static> = Get {
    host: "x.example",
    target: "/mqtt",
    headers: &[],
};

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        as_plain_answer(data).await;
        as_websocket(data).await;
    });
});

async fn as_plain_answer(data: &[u8]) {
    let (ours, theirs) = duplex(1 << 16);
    let (answer, ()) = tokio::join!(get(Box::new(ours), &REQUEST, MOST), serve(theirs, data));
    match answer {
        Ok(answer) => assert!(answer.body.len() <= MOST),
        Err(ending) => assert!(is_printable(&ending.to_string()), "{ending}"),
    }
}

async fn as_websocket(data: &[u8]) {
    let (ours, theirs) = duplex(1 << 16);
    let talk = async {
        let mut stream = match websocket(Box::new(ours), &REQUEST, "mqtt").await {
            Ok(stream) => stream,
            Err(NoWebSocket::Ended(ending)) => return assert!(is_printable(&ending.to_string())),
            Err(NoWebSocket::Answered(_)) => return,
        };
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        assert!(read.len() <= data.len());
    };
    tokio::join!(talk, serve(theirs, data));
}

/// Reads the request, says all this, and ends.
async fn serve(mut stream: DuplexStream, data: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).expect("a request of text");
    let key = request
        .split("sec-websocket-key: ")
        .nth(1)
        .unwrap_or_default();
    let accept = accepting(key.split("\r\n").next().unwrap_or_default());
    let at = data.windows(6).position(|window| window == b"ACCEPT");
    let said = match at {
        Some(at) => [&data[..at], accept.as_bytes(), &data[at + 6..]].concat(),
        None => data.to_vec(),
    };
    let _ = stream.write_all(&said).await;
}

fn accepting(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}
