//! TLS as AWS does it: a client certificate is required, no session tickets, and one ALPN value or none.

use std::sync::Arc;

use anyhow::Context;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::pki::fingerprint;

/// The ALPN value of MQTT with client certificates on port 443.
const MQTT: &[u8] = b"x-amzn-mqtt-ca";

/// What a client must offer in its first message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// ALPN, as on port 443.
    pub alpn: bool,
    /// A server name.
    pub sni: bool,
}

pub(crate) struct Tls {
    rules: Rules,
    config: Arc<ServerConfig>,
    /// Matches no ALPN value, so that a client that offers one gets the alert for it.
    disagreeing: Arc<ServerConfig>,
}

/// A connection whose client has proved that it holds the key of its certificate.
pub(crate) struct Secured {
    pub stream: TlsStream<TcpStream>,
    pub sni: Option<String>,
    pub alpn: Option<String>,
    pub certificate_id: String,
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
        let versions =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = versions
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![MQTT.to_vec()];
        let mut disagreeing = config.clone();
        disagreeing.alpn_protocols = vec![b"none".to_vec()];
        Ok(Tls {
            rules,
            config: config.into(),
            disagreeing: disagreeing.into(),
        })
    }

    /// The handshake. The error is the reason as text. The caller limits the time.
    pub(crate) async fn accept(&self, socket: TcpStream) -> Result<Secured, String> {
        let start = LazyConfigAcceptor::new(Default::default(), socket)
            .await
            .map_err(|e| e.to_string())?;
        let hello = start.client_hello();
        let sni = hello.server_name().map(str::to_owned);
        let (offered, exact) = alpn(&hello);
        if (self.rules.sni && sni.is_none()) || (self.rules.alpn && offered.is_empty()) {
            return Err("the client offers no server name or no ALPN".to_owned());
        }
        let config = if exact {
            &self.config
        } else {
            &self.disagreeing
        };
        let stream = start
            .into_stream(Arc::clone(config))
            .await
            .map_err(|e| e.to_string())?;
        let certificate = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first());
        let certificate_id = certificate
            .map(|der| fingerprint(der))
            .ok_or("no client certificate")?;
        let alpn = (!offered.is_empty()).then(|| offered.join(" "));
        Ok(Secured {
            stream,
            sni,
            alpn,
            certificate_id,
        })
    }
}

/// What the client offers, and whether AWS accepts it: nothing, or exactly the one value.
fn alpn(hello: &ClientHello) -> (Vec<String>, bool) {
    let offered: Vec<&[u8]> = hello
        .alpn()
        .map(|values| values.collect())
        .unwrap_or_default();
    let exact = offered.is_empty() || offered == [MQTT];
    (
        offered
            .iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect(),
        exact,
    )
}
