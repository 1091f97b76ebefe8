//! One request of HTTP/1.1 and its answer, on a stream that stands.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::Builder;
use hyper::{HeaderMap, Request, StatusCode, header, rt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::errors::by_io;
use super::failure::{Class, Ending};
use super::stream::Stream;

/// For the request and its whole answer.
const ANSWER: Duration = Duration::from_secs(20);
/// An answer's status line and headers together, in bytes, and how many headers.
const LARGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// What is read at once.
const CHUNK: usize = 4096;

/// What is asked for. None of it is ever logged: there may be secrets in it.
pub struct Get<'a> {
    /// As it stands in the header: without a port.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

/// What came back.
pub struct HttpAnswer {
    pub status: StatusCode,
    headers: HeaderMap,
    /// Cut off at the bound.
    pub body: Vec<u8>,
    /// Some of the body was cut off.
    pub cut: bool,
    /// After status 101: the stream, and what was read of it already.
    pub(super) switched: Option<(Box<dyn Stream>, Bytes)>,
}

impl HttpAnswer {
    /// The header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Asks once. Reads at most `most` bytes of a body.
///
/// # Errors
/// There is no answer, or it is none of HTTP. Any status is an answer.
pub async fn get(
    stream: Box<dyn Stream>,
    request: &Get<'_>,
    most: usize,
) -> Result<HttpAnswer, Ending> {
    let request = composed(request)?;
    match timeout(ANSWER, exchange(stream, request, most)).await {
        Ok(answer) => answer.map_err(|error| ending(&error)),
        Err(_) => Err(Ending::new(
            Class::Timeout,
            "the HTTP request was not answered within 20 s",
        )),
    }
}

fn composed(request: &Get<'_>) -> Result<Request<String>, Ending> {
    let mut composed = Request::get(request.target).header(header::HOST, request.host);
    for (name, value) in request.headers {
        composed = composed.header(*name, *value);
    }
    composed.body(String::new()).map_err(|_| {
        // The error itself may show a secret.
        let why = "the HTTP request cannot be made: a header or the address has a character that HTTP does not allow";
        Ending::new(Class::Http, why)
    })
}

async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<String>,
    most: usize,
) -> hyper::Result<HttpAnswer> {
    let mut builder = Builder::new();
    builder.max_buf_size(LARGEST_HEAD).max_headers(MOST_HEADERS);
    let (mut sender, connection) = builder.handshake(HyperIo(stream)).await?;
    let mut connection = pin!(connection.without_shutdown());
    let mut asked = pin!(async {
        let (head, mut body) = sender.send_request(request).await?.into_parts();
        let mut answer = HttpAnswer {
            status: head.status,
            headers: head.headers,
            body: Vec::new(),
            cut: false,
            switched: None,
        };
        if answer.status != StatusCode::SWITCHING_PROTOCOLS {
            answer.cut = read(&mut body, &mut answer.body, most).await?;
        }
        hyper::Result::Ok(answer)
    });
    // The connection does the work, and the request learns what becomes of it.
    let mut parts = None;
    let mut answer = loop {
        tokio::select! {
            answer = &mut asked => break answer?,
            ended = &mut connection, if parts.is_none() => parts = Some(ended),
        }
    };
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        let parts = match parts {
            Some(parts) => parts?,
            None => connection.await?,
        };
        answer.switched = Some((parts.io.0, parts.read_buf));
    }
    Ok(answer)
}

/// Whether some of it was cut off.
async fn read(body: &mut Incoming, into: &mut Vec<u8>, most: usize) -> hyper::Result<bool> {
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let room = most - into.len();
        into.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ending(error: &hyper::Error) -> Ending {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    match io {
        // A reason of TLS.
        Some(io) if io.kind() == std::io::ErrorKind::InvalidData => by_io(io, false, Class::Http),
        Some(io) => Ending::new(Class::Http, format!("closed before the HTTP answer: {io}")),
        None if error.is_parse() => {
            Ending::new(Class::Http, "the answer is not HTTP, or too large")
        }
        None => Ending::new(Class::Http, "closed before the HTTP answer"),
    }
}

/// A stream in the terms of the HTTP library.
struct HyperIo(Box<dyn Stream>);

impl rt::Read for HyperIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut chunk = [0; CHUNK];
        let length = into.remaining().min(CHUNK);
        let mut read = ReadBuf::new(&mut chunk[..length]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for HyperIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
