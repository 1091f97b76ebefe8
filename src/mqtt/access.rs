//! How the broker learns who we are, and what MQTT runs on.

use crate::identity::Endpoint;
use crate::net::Tls;

/// What port 443 needs to speak MQTT with a client certificate instead of HTTPS.
const WITH_CERTIFICATE: &[u8] = b"x-amzn-mqtt-ca";

/// What a connection to the broker is made with. Cheap to clone.
#[derive(Clone)]
pub enum Access {
    /// Our certificate in the TLS handshake, and MQTT directly on TLS.
    Certificate(Tls),
}

/// The application protocols to be offered with a certificate: on port 443 AWS decides by them.
pub fn certificate_alpn(endpoint: &Endpoint) -> &'static [&'static [u8]] {
    match endpoint.port {
        443 => &[WITH_CERTIFICATE],
        _ => &[],
    }
}

/// What CONNECT says of us.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    /// A secret. MQTT 3.1.1 sends an empty one where there is none.
    pub password: Option<String>,
}
