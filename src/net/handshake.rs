//! The TLS handshake.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::{Connect, TlsConnector, client};

use super::errors::{BROKER, Peer, by_io_of, by_key};
use super::failure::{Class, Ending};
use super::keys::TokenKey;
use super::stream::Stream;
use super::tls::Tls;
use crate::offload;

type TlsStream = client::TlsStream<Box<dyn Stream>>;

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
    let by_stage = move |outcome: io::Result<TlsStream>| {
        outcome.map_err(|error| by_io_of(peer, &error, false, Class::Tls))
    };
    let outcome = match tls.token() {
        None => timeout(HANDSHAKE, handshake).await.map(by_stage),
        Some(token) => {
            let signing = elsewhere(token.clone(), handshake);
            timeout(HANDSHAKE, signing)
                .await
                .map(|outcome| by_stage(outcome?))
        }
    };
    match outcome {
        Ok(outcome) => Ok(Box::new(outcome?)),
        Err(_) if tls.token().is_some_and(|token| token.is_waited_for()) => Err(Ending::new(
            Class::Key,
            "the token has not signed within 20 s, plug it in again or restart its daemon",
        )),
        Err(_) => Err(Ending::new(
            Class::Timeout,
            "the TLS handshake was not finished within 20 s",
        )),
    }
}

/// A handshake on a thread of its own: a token takes up to a second for a signature, for which the TLS
/// library waits. It ends with this future. It has no timer: that would fail when the process ends.
async fn elsewhere(
    token: Arc<TokenKey>,
    handshake: Connect<Box<dyn Stream>>,
) -> Result<io::Result<TlsStream>, Ending> {
    let permit = token.handshakes.clone().acquire_owned().await;
    let (alive, gone) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let outcome = offload::run(move || {
        let _permit = permit;
        token.ready().map_err(|error| by_key(&error))?;
        runtime.block_on(async {
            tokio::select! {
                outcome = handshake => Ok(outcome),
                _ = gone => Err(Ending::new(Class::Timeout, "given up")),
            }
        })
    });
    let outcome = outcome.await;
    drop(alive);
    outcome.unwrap_or_else(|lost| Err(Ending::new(Class::Shortage, lost.to_string())))
}
