//! What carries bytes, whatever it is made of.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
