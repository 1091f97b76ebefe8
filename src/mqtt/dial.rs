//! From the endpoint to a stream that MQTT can be spoken on, and what CONNECT is to say of us.

use super::access::{Access, Login};
use crate::identity::Endpoint;
use crate::net::{self, Dialer, Ending, Route, Stream};

/// Makes one connection after the other to the same endpoint.
pub struct BrokerDialer {
    endpoint: Endpoint,
    access: Access,
    dialer: Dialer,
}

/// A stream to the broker.
pub struct Dialed {
    pub stream: Box<dyn Stream>,
    pub login: Option<Login>,
}

impl BrokerDialer {
    pub fn new(endpoint: Endpoint, route: Route, access: Access) -> Self {
        BrokerDialer {
            endpoint,
            access,
            dialer: Dialer::new(route),
        }
    }

    /// Connects once. The stages together have no deadline but the sum of theirs. Dropping the future
    /// ends the attempt, except for a name look-up, whose answer the next attempt takes.
    ///
    /// # Errors
    /// The class and the reason of the stage that failed.
    pub async fn dial(&mut self) -> Result<Dialed, Ending> {
        match &self.access {
            Access::Certificate(tls) => {
                let stream = self.dialer.reach(&self.endpoint).await?;
                let stream = net::handshake(tls, &self.endpoint.host, stream).await?;
                Ok(Dialed {
                    stream,
                    login: None,
                })
            }
        }
    }
}
