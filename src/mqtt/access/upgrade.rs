//! Asks the broker for a WebSocket, and says who asks.

use super::proof::Proof;
use super::refusals;
use crate::aws;
use crate::clock::wall;
use crate::net::{self, Ending, Get, NoWebSocket, Stream};

/// Where AWS has MQTT.
const PATH: &str = "/mqtt";
const PROTOCOL: &str = "mqtt";

/// Turns a stream to `host` into one through a WebSocket.
pub async fn upgrade(
    stream: Box<dyn Stream>,
    host: &str,
    proof: &Proof,
) -> Result<Box<dyn Stream>, Ending> {
    let host = bracketed(host);
    let (target, headers) = match proof {
        Proof::Signature { keys, region } => {
            let target = aws::presigned(keys, &host, PATH, region, wall());
            (target, Vec::new())
        }
        Proof::Authorizer(told) => (PATH.to_owned(), told.authorizer.headers()),
    };
    let request = Get {
        host: &host,
        target: &target,
        headers: &headers,
    };
    match net::websocket(stream, &request, PROTOCOL).await {
        Ok(stream) => Ok(stream),
        Err(NoWebSocket::Ended(ending)) => Err(ending),
        Err(NoWebSocket::Answered(answer)) => Err(refusals::by_upgrade(
            answer.status.as_u16(),
            answer.header("date"),
            &answer.body,
            proof,
            wall(),
        )),
    }
}

/// An address of IPv6 as it stands in a header.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}
