//! HTTP over TLS: reads requests, writes answers, and upgrades to WebSocket.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use ring::digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::Hub;
use super::carrier::WebSocket;
use crate::access::{Accepted, AuthorizerCall, Channel, Refusal, Standing, consider, query};
use crate::faults::{Stage, What};
use crate::http::{Request, Response};
use crate::record::Event;

/// How long a client may take to send its request.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to read the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// What a server appends to the key of a client (RFC 6455).
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

type Stream = TlsStream<TcpStream>;

/// Answers the client's request to upgrade to MQTT over WebSocket. Returns the WebSocket and what is known of the client at
/// its other end, or why the connection has ended.
pub(super) async fn upgrade(
    hub: &Hub,
    number: u64,
    mut stream: Stream,
) -> Result<(WebSocket, Standing), String> {
    let mut input = BytesMut::new();
    let request = match read(&mut stream, &mut input).await {
        Ok(Some(request)) => request,
        Ok(None) => return Err("closed by the client".to_owned()),
        Err(why) => {
            let _ = answer(hub, &mut stream, &Response::message(400, &why)).await;
            return Err(why);
        }
    };
    let (verdict, fault) = judge(hub, number, &request);
    if fault == Some(What::StallUpgrade) {
        return Err(stall(stream).await);
    }
    let response = match &verdict {
        Ok(accepted) => switching(&accepted.key, fault.as_ref()),
        Err(refusal) => Response::message(refusal.status, &refusal.why),
    };
    hub.journal
        .write(number, event(&request, verdict.as_ref().err()));
    answer(hub, &mut stream, &response).await?;
    match verdict {
        Ok(accepted) => {
            let socket = WebSocket::new(stream, input.to_vec(), hub.largest_frame).await;
            Ok((socket, accepted.standing))
        }
        Err(refusal) => {
            let _ = timeout(ANSWER_LIMIT, stream.shutdown()).await;
            Err(format!("the upgrade is refused: {}", refusal.why))
        }
    }
}

/// Whether the upgrade is accepted, and what goes wrong then.
fn judge(hub: &Hub, number: u64, request: &Request) -> (Result<Accepted, Refusal>, Option<What>) {
    match consider(request, &hub.access, hub.access.now()) {
        Ok(accepted) => match hub.broker().fault(number, Stage::Upgrade, None) {
            Some(What::RefuseUpgrade(status)) => (Err(Refusal::fault(status)), None),
            fault => (Ok(accepted), fault),
        },
        Err(refusal) => {
            if let Some(authorizer) = refusal.by.clone() {
                let call = refused_by(authorizer, request, &refusal);
                hub.journal.write(number, Event::Authorizer(call));
            }
            (Err(refusal), None)
        }
    }
}

fn refused_by(authorizer: String, request: &Request, refusal: &Refusal) -> AuthorizerCall {
    AuthorizerCall {
        authorizer: Some(authorizer),
        channel: Channel::Upgrade,
        username: None,
        parameters: parameters(request),
        password: false,
        refused: Some(refusal.why.clone()),
    }
}

/// Sends nothing until the client closes the connection. No deadline: that is the fault.
async fn stall(mut stream: Stream) -> String {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
    "the client gave up".to_owned()
}

fn event(request: &Request, refusal: Option<&Refusal>) -> Event {
    Event::Upgrade {
        path: request.path.clone(),
        parameters: parameters(request),
        status: refusal.map_or(101, |refusal| refusal.status),
        refused: refusal.map(|refusal| refusal.why.clone()),
    }
}

/// The names of the parameters in the query, in order.
fn parameters(request: &Request) -> Vec<String> {
    let parameters = query::parse(&request.query).unwrap_or_default();
    parameters.into_iter().map(|(name, _)| name).collect()
}

fn switching(key: &str, fault: Option<&What>) -> Response {
    let key = match fault {
        Some(What::WrongAccept) => "",
        _ => key,
    };
    let mut headers = vec![
        ("Upgrade", "websocket".to_owned()),
        ("Connection", "Upgrade".to_owned()),
        ("Sec-WebSocket-Accept", accept(key)),
    ];
    if fault != Some(&What::OmitProtocol) {
        headers.push(("Sec-WebSocket-Protocol", "mqtt".to_owned()));
    }
    Response {
        status: 101,
        headers,
        body: String::new(),
    }
}

fn accept(key: &str) -> String {
    let text = format!("{key}{MAGIC}");
    STANDARD.encode(digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        text.as_bytes(),
    ))
}

/// The next request; `None` if the client has closed the connection before it. What came after its head stays in `input`.
pub(super) async fn read(
    stream: &mut Stream,
    input: &mut BytesMut,
) -> Result<Option<Request>, String> {
    let request = async {
        loop {
            if let Some((request, length)) = Request::parse(input)? {
                let _ = input.split_to(length);
                return Ok(Some(request));
            }
            match stream.read_buf(input).await {
                Ok(0) if input.is_empty() => return Ok(None),
                Ok(0) => return Err("closed by the client within its request".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("connection lost: {error}")),
            }
        }
    };
    let limited = timeout(REQUEST_LIMIT, request).await;
    limited.unwrap_or_else(|_| Err("no request came".to_owned()))
}

async fn answer(hub: &Hub, stream: &mut Stream, response: &Response) -> Result<(), String> {
    write(stream, &response.bytes(hub.access.now())).await
}

pub(super) async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), String> {
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    match timeout(ANSWER_LIMIT, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("connection lost: {error}")),
        Err(_) => Err("the client does not read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_accepted_as_in_the_example_of_the_rfc() {
        let accepted = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
