//! Bytes as binary messages of a WebSocket, and back. Where one message ends means nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::Payload;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::end::WebSocketEnd;
use crate::net::stream::Stream;

/// What is put into one message.
const LARGEST_SENT: usize = 16 * 1024;
/// What waits to be written, with a pong or two.
const MOST_UNWRITTEN: usize = 4 * LARGEST_SENT;
/// A message from the server. MQTT packets of AWS have 128 KiB at most.
const LARGEST_RECEIVED: usize = 1024 * 1024;
const READ_BUFFER: usize = 8 * 1024;

/// A stream through a WebSocket, of which we are the client. Pings are answered while it is read.
pub struct WebSocket {
    inner: WebSocketStream<Box<dyn Stream>>,
    unread: Bytes,
    /// Our close message is made.
    closing: bool,
    /// Theirs has come, or the stream has ended.
    ended: bool,
}

impl WebSocket {
    /// `read` is what the server has sent already.
    pub async fn new(stream: Box<dyn Stream>, read: Bytes) -> WebSocket {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(LARGEST_SENT)
            .max_write_buffer_size(MOST_UNWRITTEN)
            .max_message_size(Some(LARGEST_RECEIVED))
            .max_frame_size(Some(LARGEST_RECEIVED));
        let inner =
            WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Client, Some(config));
        WebSocket {
            inner: inner.await,
            unread: Bytes::new(),
            closing: false,
            ended: false,
        }
    }

    fn inner(&mut self) -> Pin<&mut WebSocketStream<Box<dyn Stream>>> {
        Pin::new(&mut self.inner)
    }

    /// The next bytes; none at the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        while !self.ended {
            let next = ready!(self.inner().poll_next(cx));
            match next {
                Some(Ok(Message::Binary(payload))) if payload.is_empty() => {}
                Some(Ok(Message::Binary(payload))) => return Poll::Ready(Ok(bytes(payload))),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    self.ended = true;
                    return Poll::Ready(Err(WebSocketEnd::Text.into()));
                }
                Some(Ok(Message::Close(frame))) => {
                    self.ended = true;
                    // Our answer. Who has said the last word may not read it.
                    let _ = self.inner().poll_flush(cx);
                    return Poll::Ready(Err(WebSocketEnd::closed(frame).into()));
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(in_terms_of_io(error)));
                }
                None => self.ended = true,
            }
        }
        Poll::Ready(Ok(Bytes::new()))
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            self.unread = ready!(self.poll_bytes(cx))?;
        }
        let length = self.unread.len().min(into.remaining());
        into.put_slice(&self.unread.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocket {
    /// Takes no more before what it has taken is written, but for one buffer.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.inner().poll_ready(cx)).map_err(in_terms_of_io)?;
        let length = bytes.len().min(LARGEST_SENT);
        let message = Message::binary(&bytes[..length]);
        self.inner().start_send(message).map_err(in_terms_of_io)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx).map_err(in_terms_of_io)
    }

    /// Says that we leave, and ends the stream below.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            // After their close message there is no more to say.
            let written = ready!(self.inner().poll_ready(cx));
            self.closing = true;
            if written.is_ok() && !self.ended {
                let normal = CloseFrame {
                    code: CloseCode::Normal,
                    reason: "".into(),
                };
                let _ = self.inner().start_send(Message::Close(Some(normal)));
            }
        }
        let _ = ready!(self.inner().poll_flush(cx));
        Pin::new(self.inner.get_mut()).poll_shutdown(cx)
    }
}

fn bytes(payload: Payload) -> Bytes {
    match payload {
        Payload::Owned(bytes) => bytes.freeze(),
        Payload::Shared(bytes) => bytes,
        Payload::Vec(bytes) => bytes.into(),
    }
}

fn in_terms_of_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        // As without a WebSocket: the stream has ended, in whatever way.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            io::ErrorKind::UnexpectedEof.into()
        }
        error => WebSocketEnd::Protocol(error.to_string()).into(),
    }
}
