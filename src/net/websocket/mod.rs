//! From a stream to one through a WebSocket (RFC 6455).

mod end;
mod frames;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::failure::{Class, Ending};
use super::http::{Get, HttpAnswer, get};
use super::stream::Stream;
use frames::WebSocket;

pub(super) use end::WebSocketEnd;

/// Of the body of an answer that is no WebSocket.
const MOST_BODY: usize = 1024;
/// Put behind our key by every server.
const FIXED: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why there is no WebSocket.
pub enum NoWebSocket {
    Ended(Ending),
    /// The server has said something else. The caller knows what it may mean.
    Answered(Box<HttpAnswer>),
}

/// Asks for a WebSocket that carries `protocol`, under the address and with the headers of `request`.
///
/// # Errors
/// Why there is none.
pub async fn websocket(
    stream: Box<dyn Stream>,
    request: &Get<'_>,
    protocol: &str,
) -> Result<Box<dyn Stream>, NoWebSocket> {
    let key = STANDARD.encode(std::array::from_fn::<u8, 16, _>(|_| fastrand::u8(..)));
    let mut headers = vec![
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", &key),
        ("sec-websocket-protocol", protocol),
    ];
    headers.extend_from_slice(request.headers);
    let request = Get {
        headers: &headers,
        ..*request
    };
    let answer = get(stream, &request, MOST_BODY).await;
    let mut answer = answer.map_err(NoWebSocket::Ended)?;
    let Some((stream, read)) = answer.switched.take() else {
        return Err(NoWebSocket::Answered(Box::new(answer)));
    };
    agreed(&answer, &key, protocol).map_err(|why| {
        let why = format!("the answer to the upgrade is none of a WebSocket for MQTT: {why}");
        NoWebSocket::Ended(Ending::new(Class::Http, why))
    })?;
    Ok(Box::new(WebSocket::new(stream, read).await))
}

/// Whether the server has understood us: it must have worked with our key.
fn agreed(answer: &HttpAnswer, key: &str, protocol: &str) -> Result<(), &'static str> {
    let is = |name, word: &str| {
        let header = answer.header(name);
        header.is_some_and(|header| header.eq_ignore_ascii_case(word))
    };
    if !is("upgrade", "websocket") {
        Err("it has no header 'Upgrade: websocket'")
    } else if answer.header("sec-websocket-accept") != Some(accepting(key).as_str()) {
        Err("its Sec-WebSocket-Accept is missing or does not belong to our key")
    } else if !is("sec-websocket-protocol", protocol) {
        Err(
            "its Sec-WebSocket-Protocol is missing or another one, the server may not speak MQTT there",
        )
    } else if answer.header("sec-websocket-extensions").is_some() {
        Err("it has an extension that was not asked for")
    } else {
        Ok(())
    }
}

fn accepting(key: &str) -> String {
    let text = format!("{key}{FIXED}");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
