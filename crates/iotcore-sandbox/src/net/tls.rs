//! TLS as AWS does it: no session tickets, and ALPN decides what is spoken, and whether a client certificate is required.

use std::sync::Arc;

use anyhow::Context;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::Entrance;
use crate::pki::fingerprint;

/// The ALPN value of MQTT with client certificates on port 443.
const MUTUAL: &str = "x-amzn-mqtt-ca";
/// That of MQTT with a custom authoriser.
const AUTHORIZER: &str = "mqtt";
/// That of HTTP, which may be left out.
const HTTP: &str = "http/1.1";

/// What a client must offer in its first message on the port of MQTT with certificates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// ALPN, as on port 443.
    pub alpn: bool,
    /// A server name.
    pub sni: bool,
}

/// What is spoken over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// MQTT with a client certificate.
    Mqtt,
    /// MQTT with a custom authoriser.
    AuthorizedMqtt,
    /// HTTP to upgrade to WebSocket.
    Web,
    /// HTTP with a client certificate.
    Credentials,
}

pub(crate) struct Tls {
    rules: Rules,
    mutual: Arc<ServerConfig>,
    authorizer: Arc<ServerConfig>,
    web: Arc<ServerConfig>,
    credentials: Arc<ServerConfig>,
    /// Matches no ALPN value, so that a client that offers one gets the alert for it.
    disagreeing: Arc<ServerConfig>,
}

/// A connection whose TLS handshake succeeded: if a certificate is required, its client has proved that it holds the key.
pub(crate) struct Secured {
    pub stream: TlsStream<TcpStream>,
    pub spoken: Spoken,
    pub sni: Option<String>,
    pub alpn: Option<String>,
    pub certificate_id: Option<String>,
}

impl Tls {
    /// All three are PEM: the CA of the clients, and the server's own certificate and key.
    pub(crate) fn new(rules: Rules, ca: &str, certificate: &str, key: &str) -> anyhow::Result<Tls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(
            CertificateDer::from_pem_slice(ca.as_bytes()).context("the CA is no certificate")?,
        )?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                .build()?;
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let config = |mutual: bool, alpn: &str| {
            let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()?;
            let clients = match mutual {
                true => versions.with_client_cert_verifier(Arc::clone(&verifier) as Arc<_>),
                false => versions.with_no_client_auth(),
            };
            let mut config = clients.with_single_cert(chain.clone(), key.clone_key())?;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
            anyhow::Ok(Arc::new(config))
        };
        Ok(Tls {
            rules,
            mutual: config(true, MUTUAL)?,
            authorizer: config(false, AUTHORIZER)?,
            web: config(false, HTTP)?,
            credentials: config(true, HTTP)?,
            disagreeing: config(true, "none")?,
        })
    }

    /// The handshake. The error is the reason as text. The caller limits the time.
    pub(crate) async fn accept(
        &self,
        entrance: Entrance,
        socket: TcpStream,
    ) -> Result<Secured, String> {
        let start = LazyConfigAcceptor::new(Default::default(), socket)
            .await
            .map_err(|e| e.to_string())?;
        let hello = start.client_hello();
        let sni = hello.server_name().map(str::to_owned);
        let offered = offered(&hello);
        let spoken = spoken(entrance, &offered);
        let rules = match (entrance, spoken) {
            (Entrance::Mqtt, _) => self.rules,
            // AWS finds the account of an authoriser by the server name.
            (_, Some(Spoken::AuthorizedMqtt)) => Rules {
                alpn: true,
                sni: true,
            },
            (Entrance::Web | Entrance::Credentials, _) => Rules::default(),
        };
        if (rules.sni && sni.is_none()) || (rules.alpn && offered.is_empty()) {
            return Err("the client offers no server name or no ALPN".to_owned());
        }
        let config = match spoken {
            Some(Spoken::Mqtt) => &self.mutual,
            Some(Spoken::AuthorizedMqtt) => &self.authorizer,
            Some(Spoken::Web) => &self.web,
            Some(Spoken::Credentials) => &self.credentials,
            None => &self.disagreeing,
        };
        let stream = start
            .into_stream(Arc::clone(config))
            .await
            .map_err(|e| e.to_string())?;
        let chain = stream.get_ref().1.peer_certificates();
        let certificate = chain.and_then(|chain| chain.first());
        Ok(Secured {
            certificate_id: certificate.map(|der| fingerprint(der)),
            spoken: spoken.ok_or("no ALPN value in common")?,
            sni,
            alpn: (!offered.is_empty()).then(|| offered.join(" ")),
            stream,
        })
    }
}

/// What the client wants to speak, as AWS reads it; `None` if its ALPN values mean nothing here. MQTT must be the only one.
fn spoken(entrance: Entrance, offered: &[String]) -> Option<Spoken> {
    let http = offered.is_empty() || offered.iter().any(|value| value == HTTP);
    match entrance {
        Entrance::Mqtt if offered.is_empty() || offered == [MUTUAL] => Some(Spoken::Mqtt),
        Entrance::Web if offered == [MUTUAL] => Some(Spoken::Mqtt),
        Entrance::Web if offered == [AUTHORIZER] => Some(Spoken::AuthorizedMqtt),
        Entrance::Web if http => Some(Spoken::Web),
        Entrance::Credentials if http => Some(Spoken::Credentials),
        Entrance::Mqtt | Entrance::Web | Entrance::Credentials => None,
    }
}

/// The ALPN values that the client offers.
fn offered(hello: &ClientHello) -> Vec<String> {
    let values = hello.alpn().into_iter().flatten();
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpn_decides_what_is_spoken() {
        let check = |entrance, offered: &[&str], expected| {
            let offered: Vec<String> = offered.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(
                spoken(entrance, &offered),
                expected,
                "{entrance:?} {offered:?}"
            );
        };
        check(Entrance::Mqtt, &[], Some(Spoken::Mqtt));
        check(Entrance::Mqtt, &["x-amzn-mqtt-ca"], Some(Spoken::Mqtt));
        check(Entrance::Mqtt, &["mqtt"], None);
        check(Entrance::Mqtt, &["http/1.1"], None);
        check(Entrance::Web, &[], Some(Spoken::Web));
        check(Entrance::Web, &["h2", "http/1.1"], Some(Spoken::Web));
        check(Entrance::Web, &["x-amzn-mqtt-ca"], Some(Spoken::Mqtt));
        check(Entrance::Web, &["mqtt"], Some(Spoken::AuthorizedMqtt));
        check(Entrance::Web, &["mqtt", "x-amzn-mqtt-ca"], None);
        check(Entrance::Credentials, &[], Some(Spoken::Credentials));
        check(
            Entrance::Credentials,
            &["http/1.1"],
            Some(Spoken::Credentials),
        );
        check(Entrance::Credentials, &["mqtt"], None);
    }
}
