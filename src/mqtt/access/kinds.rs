//! The ways to tell the broker who we are, ready to connect with.

use crate::identity::Endpoint;
use crate::net::{Dialer, Ending, Tls};

use super::options::AuthorizerOptions;
use super::proof::Proof;
use super::refusals;
use super::signer::Signer;

/// What port 443 needs to speak MQTT with a client certificate instead of HTTPS.
const WITH_CERTIFICATE: &[u8] = b"x-amzn-mqtt-ca";
/// The same for MQTT with a custom authoriser.
pub const WITH_AUTHORIZER: &[u8] = b"mqtt";
/// For a WebSocket, which begins as a request of HTTP.
pub const WITH_WEBSOCKET: &[u8] = b"http/1.1";

/// What a connection to the broker is made with. Cheap to clone.
#[derive(Clone)]
pub enum Access {
    /// Our certificate in the TLS handshake, and MQTT directly on TLS.
    Certificate(Tls),
    /// A custom authoriser judges what CONNECT says, and MQTT is directly on TLS.
    Authorizer(Tls, AuthorizerOptions),
    /// MQTT in a WebSocket.
    WebSocket(Tls, WebSocketIdentity),
}

/// Who asks for a WebSocket.
#[derive(Clone)]
pub enum WebSocketIdentity {
    /// The owner of access keys.
    Signature(Signer),
    /// Whom a custom authoriser accepts.
    Authorizer(AuthorizerOptions),
}

impl Access {
    /// What an ending means with this access: only with a certificate can that be the reason.
    pub fn explain(&self, ending: Ending) -> Ending {
        match self {
            Access::Certificate(_) => ending,
            Access::Authorizer(_, options)
            | Access::WebSocket(_, WebSocketIdentity::Authorizer(options)) => {
                refusals::by_authorizer(ending, options)
            }
            Access::WebSocket(_, WebSocketIdentity::Signature(_)) => {
                refusals::by_policy_of_keys(ending)
            }
        }
    }
}

impl WebSocketIdentity {
    /// What is told to get a WebSocket, as it stands now. `dialer` leads to the credential provider.
    pub(in crate::mqtt) async fn proof(&self, dialer: &mut Dialer) -> Result<Proof, Ending> {
        match self {
            WebSocketIdentity::Signature(signer) => {
                let keys = signer.keys(dialer).await?;
                let region = signer.region().to_owned();
                Ok(Proof::Signature { keys, region })
            }
            WebSocketIdentity::Authorizer(options) => Ok(Proof::Authorizer(options.read().await?)),
        }
    }
}

/// The application protocols to be offered with a certificate: on port 443 AWS decides by them.
pub fn certificate_alpn(endpoint: &Endpoint) -> &'static [&'static [u8]] {
    match endpoint.port {
        443 => &[WITH_CERTIFICATE],
        _ => &[],
    }
}
