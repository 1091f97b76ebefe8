//! What an error of a stream means, in our own words: of TLS, or of the network below it.

use std::io;

use chariotd_pkcs11::KeyError;
use rustls::{AlertDescription, CertificateError};

use super::failure::{Class, Ending, closed};
use super::keys::key_error;
use super::proxy::TunnelCut;
use super::websocket::WebSocketEnd;

/// Who is at the other end.
#[derive(Clone, Copy)]
pub struct Peer {
    name: &'static str,
    /// Where the CAs come from that may sign its certificate.
    authorities: &'static str,
}

pub const BROKER: Peer = Peer {
    name: "the broker",
    authorities: "--cacert",
};

pub const PROXY: Peer = Peer {
    name: "the proxy",
    authorities: "--proxy-cacert, or by one of the system without that option",
};

/// `connected`: CONNACK has come. `otherwise` is the stage, for what has no class by itself.
pub fn by_io(error: &io::Error, connected: bool, otherwise: Class) -> Ending {
    by_io_of(BROKER, error, connected, otherwise)
}

/// The same of somebody else.
pub fn by_io_of(peer: Peer, error: &io::Error, connected: bool, otherwise: Class) -> Ending {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let cause = error.get_ref();
    if let Some(tls) = cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        return by_tls(peer, tls);
    }
    if let Some(cut) = cause.and_then(|cause| cause.downcast_ref::<TunnelCut>()) {
        return cut.ending(connected, otherwise);
    }
    if let Some(end) = cause.and_then(|cause| cause.downcast_ref::<WebSocketEnd>()) {
        return end.ending(connected);
    }
    match error.kind() {
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
            if otherwise == Class::Tls =>
        {
            // Some brokers do so when they do not like our certificate.
            Ending {
                certificate: true,
                ..Ending::new(Class::Tls, "closed during the TLS handshake")
            }
        }
        UnexpectedEof | ConnectionAborted => closed(connected),
        ConnectionReset | BrokenPipe if connected => {
            Ending::new(Class::Server, "reset by the broker")
        }
        ConnectionReset | BrokenPipe => closed(false),
        TimedOut if connected => Ending::new(Class::Network, error.to_string()),
        TimedOut => Ending::new(Class::Timeout, error.to_string()),
        _ if connected => Ending::new(Class::Network, error.to_string()),
        _ => Ending::new(otherwise, error.to_string()),
    }
}

fn by_tls(peer: Peer, error: &rustls::Error) -> Ending {
    if let Some(key) = key_error(error) {
        return by_key(key);
    }
    let Peer { name, authorities } = peer;
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Ending::new(
            Class::TlsClock,
            format!("{name}'s certificate is not valid yet, is our clock set?"),
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Ending::new(Class::TlsCa, format!("{name}'s certificate has expired")),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Ending::new(
            Class::TlsCa,
            format!("{name}'s certificate is not signed by a CA in {authorities}"),
        ),
        rustls::Error::InvalidCertificate(CertificateError::Other(why)) => Ending::new(
            Class::TlsCa,
            format!("{name}'s certificate {}", in_words(&why.to_string())),
        ),
        rustls::Error::InvalidCertificate(why) => Ending::new(
            Class::TlsCa,
            format!("{name}'s certificate is not accepted: {why}"),
        ),
        rustls::Error::AlertReceived(alert) => by_alert(name, *alert),
        error => Ending::new(Class::Tls, error.to_string()),
    }
}

/// A key in a token that cannot be used: neither the broker nor the certificate is to blame.
pub fn by_key(error: &KeyError) -> Ending {
    Ending::new(Class::Key, error.text.replace(char::is_control, "?"))
}

/// The library has names for these, and no sentences.
fn in_words(name: &str) -> String {
    match name {
        "UnsupportedCertVersion" => "is of X.509 version 1, which TLS does not take from a server; issue one of version 3, with the broker's name as subjectAltName".to_owned(),
        "CaUsedAsEndEntity" => "is one of a CA, which cannot be a server's; issue one for the broker itself, with basicConstraints CA:FALSE".to_owned(),
        name => format!("is not accepted: {name}"),
    }
}

fn by_alert(name: &str, alert: AlertDescription) -> Ending {
    match alert {
        AlertDescription::CertificateExpired => Ending::new(
            Class::TlsCert,
            format!("{name} says that our certificate has expired"),
        ),
        AlertDescription::CertificateRevoked => Ending::new(
            Class::TlsCert,
            format!("{name} says that our certificate is revoked"),
        ),
        AlertDescription::UnknownCA => Ending::new(
            Class::TlsCert,
            format!("{name} does not know the CA of our certificate"),
        ),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError
        | AlertDescription::HandshakeFailure => Ending::new(
            Class::TlsCert,
            format!("{name} refused our certificate: alert {alert:?}"),
        ),
        AlertDescription::NoApplicationProtocol => Ending::new(
            Class::Tls,
            "the broker does not offer x-amzn-mqtt-ca on this port",
        ),
        alert => Ending::new(Class::Tls, format!("alert {alert:?}")),
    }
}
