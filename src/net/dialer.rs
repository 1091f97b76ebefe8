//! A plain stream to a host, straight or through a proxy.

use super::failure::Ending;
use super::names::Names;
use super::proxy;
use super::route::Route;
use super::stream::Stream;
use super::tcp;
use crate::identity::Endpoint;

/// Makes one connection after the other, always to the same host: an answer about its name that comes late
/// is taken by the next attempt.
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
    /// ends the attempt, except for a name look-up, whose answer the next attempt takes. With a proxy
    /// it is the proxy that looks up the host.
    ///
    /// # Errors
    /// The class and the reason of the stage that failed.
    pub async fn reach(&mut self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, Ending> {
        let Dialer { route, names } = self;
        if let Some(proxy) = route.proxy_for(endpoint) {
            return proxy::reach(route, names, proxy, endpoint).await;
        }
        let stream = tcp::connect(route, names, &endpoint.host, endpoint.port).await?;
        Ok(Box::new(stream))
    }
}
