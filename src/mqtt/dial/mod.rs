//! From the endpoint to a stream that MQTT can be spoken on: name, TCP, TLS, each stage with its own
//! deadline and its own words for what can go wrong.

mod errors;
mod names;
mod race;
mod tcp;
mod tls;

use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::Ending;
use super::tls::Tls;
use crate::identity::Endpoint;

pub use errors::by_io;

use names::Names;

/// What the relay carries, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes one connection after the other to the same endpoint.
pub struct Dialer {
    endpoint: Endpoint,
    tls: Tls,
    names: Names,
}

impl Dialer {
    pub fn new(endpoint: Endpoint, tls: Tls) -> Self {
        Dialer {
            endpoint,
            tls,
            names: Names::default(),
        }
    }

    /// Connects once. The stages together have no deadline but the sum of theirs. Dropping the future
    /// ends the attempt, except for a name look-up, whose answer the next attempt takes.
    pub async fn dial(&mut self) -> Result<Box<dyn Stream>, Ending> {
        let Endpoint { host, port } = &self.endpoint;
        let stream = tcp::connect(&mut self.names, host, *port).await?;
        let stream = tls::handshake(&self.tls, host, stream).await?;
        Ok(Box::new(stream))
    }
}
