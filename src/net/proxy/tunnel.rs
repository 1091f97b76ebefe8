//! The stream through a proxy. Between both ends stands somebody who may end it without asking
//! either: that must not be taken for the broker's judgement of our certificate.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::failure::{Class, Ending, closed};

/// A stream that says of its end that it came through a proxy.
pub struct Tunnel<S> {
    stream: S,
    /// Something has come from the other end.
    used: bool,
}

/// The end of a tunnel, as the cause of an error. Behind TLS it is seen only when the broker did not
/// take its leave: what ends in an orderly way is the broker's doing.
#[derive(Debug)]
pub struct TunnelCut {
    used: bool,
}

impl<S> Tunnel<S> {
    pub fn new(stream: S) -> Self {
        Tunnel {
            stream,
            used: false,
        }
    }

    fn cut(&self) -> io::Error {
        let cut = TunnelCut { used: self.used };
        io::Error::new(io::ErrorKind::UnexpectedEof, cut)
    }

    /// The other errors are not about an end.
    fn named(&self, error: io::Error) -> io::Error {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => self.cut(),
            _ => error,
        }
    }
}

impl TunnelCut {
    /// `connected`: CONNACK has come. `during` is the stage.
    pub fn ending(&self, connected: bool, during: Class) -> Ending {
        if !self.used {
            return Ending::new(
                Class::Proxy,
                "the proxy closed the tunnel before anything came out of it",
            );
        }
        if during == Class::Tls {
            return Ending {
                certificate: true,
                ..Ending::new(Class::Tls, "closed during the TLS handshake")
            };
        }
        if connected {
            return Ending {
                certificate: false,
                ..Ending::new(
                    Class::Server,
                    "closed by the broker, or by the proxy before it",
                )
            };
        }
        closed(false)
    }
}

impl fmt::Display for TunnelCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tunnel was closed")
    }
}

impl Error for TunnelCut {}

impl<S: AsyncRead + Unpin> AsyncRead for Tunnel<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (room, before) = (buffer.remaining(), buffer.filled().len());
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let nothing = buffer.filled().len() == before && room > 0;
        self.used |= !nothing;
        Poll::Ready(match read {
            Ok(()) if nothing => Err(self.cut()),
            Ok(()) => Ok(()),
            Err(error) => Err(self.named(error)),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tunnel<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(written.map_err(|error| self.named(error)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        Poll::Ready(flushed.map_err(|error| self.named(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
