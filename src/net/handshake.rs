//! The TLS handshake.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::errors::{BROKER, Peer, by_io_of};
use super::failure::{Class, Ending};
use super::stream::Stream;
use super::tls::Tls;

const HANDSHAKE: Duration = Duration::from_secs(20);

/// The certificate must be for `host`, a name or an address.
pub async fn handshake(
    tls: &Tls,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Ending> {
    handshake_with(BROKER, tls, host, stream).await
}

/// The same with somebody else.
pub async fn handshake_with(
    peer: Peer,
    tls: &Tls,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Ending> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        let text = format!("a certificate cannot be for the name {host:?}");
        Ending::new(Class::TlsCa, text)
    })?;
    let handshake = TlsConnector::from(tls.config()).connect(name, stream);
    match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(by_io_of(peer, &error, false, Class::Tls)),
        Err(_) => Err(Ending::new(
            Class::Timeout,
            "the TLS handshake was not finished within 20 s",
        )),
    }
}
