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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = ready!(stream.poll_write_vectored(context, parts));
        Poll::Ready(written.map_err(|error| self.named(error)))
    }

    /// TLS asks, to write several records at once.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        Poll::Ready(flushed.map_err(|error| self.named(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// What an error of the stream means.
    fn ending(error: &io::Error, connected: bool, during: Class) -> Ending {
        let cause = error.get_ref().unwrap();
        let cut: &TunnelCut = cause.downcast_ref().unwrap();
        cut.ending(connected, during)
    }

    #[tokio::test]
    async fn an_end_before_anything_came_is_the_proxys() {
        let (ours, theirs) = duplex(64);
        drop(theirs);
        let mut tunnel = Tunnel::new(ours);
        let error = tunnel.read_u8().await.unwrap_err();
        for connected in [false, true] {
            let ending = ending(&error, connected, Class::Tls);
            assert_eq!((ending.class, ending.certificate), (Class::Proxy, false));
        }
        let error = tunnel.write_all(b"x").await.unwrap_err();
        assert_eq!(ending(&error, false, Class::Tls).class, Class::Proxy);
    }

    #[tokio::test]
    async fn a_later_end_is_not_about_our_certificate_once_the_broker_has_taken_it() {
        let (ours, mut theirs) = duplex(64);
        theirs.write_all(b"x").await.unwrap();
        drop(theirs);
        let mut tunnel = Tunnel::new(ours);
        assert_eq!(tunnel.read_u8().await.unwrap(), b'x');
        let error = tunnel.read_u8().await.unwrap_err();
        let of = |connected, during| {
            let ending = ending(&error, connected, during);
            (ending.class, ending.certificate)
        };
        assert_eq!(of(true, Class::Protocol), (Class::Server, false));
        assert_eq!(of(false, Class::Protocol), (Class::Refused, true));
        assert_eq!(of(false, Class::Tls), (Class::Tls, true));
    }
}
