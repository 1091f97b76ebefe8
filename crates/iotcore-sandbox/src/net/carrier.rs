//! What carries MQTT: TLS, or a WebSocket in TLS, as a stream of bytes.

use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

/// The largest message of a client, in bytes: more than the largest packet.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// A stream of bytes in which MQTT is spoken, and the socket under it.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Unpin {
    fn socket(&mut self) -> &mut TcpStream;
}

/// Whatever carries the MQTT of one connection.
pub(super) type Stream = Box<dyn Carrier + Send>;

impl Carrier for Stream {
    fn socket(&mut self) -> &mut TcpStream {
        (**self).socket()
    }
}

impl Carrier for TlsStream<TcpStream> {
    fn socket(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

impl Carrier for WebSocket {
    fn socket(&mut self) -> &mut TcpStream {
        self.frames.get_mut().get_mut().0
    }
}

/// The payloads of the binary messages, one after the other. What is written at once becomes one message, or several if
/// it is large: packets and messages do not begin and end together.
pub(super) struct WebSocket {
    frames: WebSocketStream<TlsStream<TcpStream>>,
    /// What was received and not read yet.
    input: Bytes,
    /// Most bytes in one message.
    largest: usize,
    closing: Closing,
}

enum Closing {
    No(CloseCode),
    Sent,
    Flushed,
}

impl WebSocket {
    /// After the handshake, with the bytes that came together with the client's request.
    pub(super) async fn new(
        stream: TlsStream<TcpStream>,
        read: Vec<u8>,
        largest: usize,
    ) -> WebSocket {
        let config = WebSocketConfig::default()
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let frames = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config));
        WebSocket {
            frames: frames.await,
            input: Bytes::new(),
            largest,
            closing: Closing::No(CloseCode::Normal),
        }
    }

    fn frames(&mut self) -> Pin<&mut WebSocketStream<TlsStream<TcpStream>>> {
        Pin::new(&mut self.frames)
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        output: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.input.is_empty() {
            match ready!(self.frames().poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.input = bytes,
                Some(Ok(Message::Text(_))) => {
                    self.closing = Closing::No(CloseCode::Unsupported);
                    return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, "a text frame")));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(as_io(error))),
            }
        }
        let count = output.remaining().min(self.input.len());
        output.put_slice(&self.input[..count]);
        self.input.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        ready!(self.frames().poll_ready(context)).map_err(as_io)?;
        let count = bytes.len().min(self.largest);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..count]));
        self.frames().start_send(message).map_err(as_io)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.frames().poll_flush(context).map_err(as_io)
    }

    /// Says in a close frame why, then ends TLS. A client that has said it first gets the answer to that.
    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        loop {
            match self.closing {
                Closing::No(code) => {
                    // It fails if a close frame was sent already.
                    if ready!(self.frames().poll_ready(context)).is_ok() {
                        let reason = Utf8Bytes::from_static("");
                        let frame = CloseFrame { code, reason };
                        let _ = self.frames().start_send(Message::Close(Some(frame)));
                    }
                    self.closing = Closing::Sent;
                }
                Closing::Sent => {
                    // Once both sides have closed, it says so as an error.
                    let _ = ready!(self.frames().poll_flush(context));
                    self.closing = Closing::Flushed;
                }
                Closing::Flushed => {
                    return Pin::new(self.frames.get_mut()).poll_shutdown(context);
                }
            }
        }
    }
}

fn as_io(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Io(error) => error,
        error => Error::new(ErrorKind::InvalidData, error),
    }
}
