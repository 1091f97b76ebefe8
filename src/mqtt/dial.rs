//! From the endpoint to a stream that MQTT can be spoken on, and what CONNECT is to say of us.

use super::access::{Access, Login, upgrade};
use crate::identity::Endpoint;
use crate::net::{self, Dialer, Ending, Route, Stream, Tls};

/// Makes one connection after the other to the same endpoint.
pub struct BrokerDialer {
    endpoint: Endpoint,
    access: Access,
    dialer: Dialer,
    /// To the credential provider.
    lender: Dialer,
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
            lender: Dialer::new(route.clone()),
            dialer: Dialer::new(route),
        }
    }

    /// Connects once. The stages together have no deadline but the sum of theirs. Dropping the future
    /// ends the attempt, except for a name look-up, whose answer the next attempt takes.
    ///
    /// # Errors
    /// The class and the reason of the stage that failed.
    // What is to be told is read first: without it there is no reason to connect.
    pub async fn dial(&mut self) -> Result<Dialed, Ending> {
        match self.access.clone() {
            Access::Certificate(tls) => Ok(Dialed {
                stream: self.secured(&tls).await?,
                login: None,
            }),
            Access::Authorizer(tls, options) => {
                let login = options.read().await?.login();
                let stream = self.secured(&tls).await?;
                Ok(Dialed { stream, login })
            }
            Access::WebSocket(tls, identity) => {
                let proof = identity.proof(&mut self.lender).await?;
                let stream = self.secured(&tls).await?;
                let stream = upgrade(stream, &self.endpoint.host, &proof).await?;
                let login = proof.login();
                Ok(Dialed { stream, login })
            }
        }
    }

    /// What an ending of such a connection means.
    pub fn explain(&self, ending: Ending) -> Ending {
        self.access.explain(ending)
    }

    async fn secured(&mut self, tls: &Tls) -> Result<Box<dyn Stream>, Ending> {
        let stream = self.dialer.reach(&self.endpoint).await?;
        net::handshake(tls, &self.endpoint.host, stream).await
    }
}
