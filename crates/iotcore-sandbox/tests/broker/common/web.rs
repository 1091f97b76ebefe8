//! What a client does over HTTPS: single requests, and MQTT over WebSocket.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;

use bytes::{Buf, Bytes};
use iotcore_sandbox::{Sandbox, Version};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tungstenite::handshake::HandshakeError;
use tungstenite::{Message, WebSocket};

use super::device::{Device, anonymous, tls};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Sends these bytes and reads to the end of the connection.
pub fn exchange(port: u16, config: ClientConfig, request: &str) -> String {
    let mut stream = tls(port, config);
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came"),
        // Not every end is in order.
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

/// The head of an upgrade.
pub fn head(target: &str) -> String {
    head_without(target, "-")
}

/// The same without the headers that begin like this.
pub fn head_without(target: &str, header: &str) -> String {
    let headers = [
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: mqtt",
    ];
    let kept = headers.iter().filter(|line| !line.starts_with(header));
    let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\n{kept}\r\n")
}

/// The answer to an upgrade that was refused.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub date: String,
    pub body: String,
}

/// A device over WebSocket after its upgrade, with this path and query and these headers besides.
pub fn open(
    sandbox: &Sandbox,
    version: Version,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Device, Refused> {
    let socket = upgrade(sandbox, target, headers)?;
    let input = Bytes::new();
    Ok(Device::over(version, Frames { socket, input }))
}

/// A WebSocket after its upgrade.
pub fn upgrade(
    sandbox: &Sandbox,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<WebSocket<Tls>, Refused> {
    let url = format!("wss://localhost{target}");
    let mut request = tungstenite::ClientRequestBuilder::new(url.parse().expect("a URL"))
        .with_sub_protocol("mqtt");
    for (name, value) in headers {
        request = request.with_header(*name, *value);
    }
    let stream = tls(sandbox.wss_port(), anonymous(sandbox, &[]));
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(Refused {
            status: answer.status().as_u16(),
            date: answer.headers()["date"].to_str().expect("text").to_owned(),
            body: String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default())
                .into_owned(),
        }),
        Err(error) => panic!("no answer to the upgrade: {error}"),
    }
}

/// The payloads of the binary messages, one after the other.
struct Frames {
    socket: WebSocket<Tls>,
    input: Bytes,
}

impl Read for Frames {
    fn read(&mut self, output: &mut [u8]) -> std::io::Result<usize> {
        while self.input.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.input = bytes,
                Ok(Message::Close(_)) => return Ok(0),
                Ok(other) => panic!("{other:?} instead of a binary message"),
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(error) => return Err(Error::new(ErrorKind::ConnectionReset, error)),
            }
        }
        let count = output.len().min(self.input.len());
        self.input.copy_to_slice(&mut output[..count]);
        Ok(count)
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        match self.socket.send(message) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => Err(Error::new(ErrorKind::ConnectionReset, error)),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
