//! The TLS handshake.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::dialer::Stream;
use super::errors::by_io;
use super::failure::{Class, Ending};
use super::tls::Tls;

const HANDSHAKE: Duration = Duration::from_secs(20);

/// The certificate must be for `host`, a name or an address.
pub async fn handshake(
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
        Ok(Err(error)) => Err(by_io(&error, false, Class::Tls)),
        Err(_) => Err(Ending::new(
            Class::Timeout,
            "the TLS handshake was not finished within 20 s",
        )),
    }
}
