//! A plain stream to a host.

use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::Ending;
use super::names::Names;
use super::route::Route;
use super::tcp;
use crate::identity::Endpoint;

/// What carries bytes, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Makes one connection after the other.
pub struct Dialer {
    route: Route,
    names: Names,
}

impl Dialer {
    pub fn new(route: Route) -> Self {
        Dialer {
            route,
            names: Names::default(),
        }
    }

    /// Connects once. The stages together have no deadline but the sum of theirs. Dropping the future
    /// ends the attempt, except for a name look-up, whose answer the next attempt takes.
    ///
    /// # Errors
    /// The class and the reason of the stage that failed.
    pub async fn reach(&mut self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, Ending> {
        let Endpoint { host, port } = endpoint;
        let stream = tcp::connect(&self.route, &mut self.names, host, *port).await?;
        Ok(Box::new(stream))
    }
}
