//! What an error of a stream means, in our own words: of TLS, or of the network below it.

use std::io;

use rustls::{AlertDescription, CertificateError};

use super::failure::{Class, Ending, closed};

/// `connected`: CONNACK has come. `otherwise` is the stage, for what has no class by itself.
pub fn by_io(error: &io::Error, connected: bool, otherwise: Class) -> Ending {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    if let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return by_tls(tls);
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

fn by_tls(error: &rustls::Error) -> Ending {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Ending::new(
            Class::TlsClock,
            "the broker's certificate is not valid yet, is our clock set?",
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Ending::new(Class::TlsCa, "the broker's certificate has expired"),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Ending::new(
            Class::TlsCa,
            "the broker's certificate is not signed by a CA in --cacert",
        ),
        rustls::Error::InvalidCertificate(CertificateError::Other(why)) => Ending::new(
            Class::TlsCa,
            format!("the broker's certificate {}", in_words(&why.to_string())),
        ),
        rustls::Error::InvalidCertificate(why) => Ending::new(
            Class::TlsCa,
            format!("the broker's certificate is not accepted: {why}"),
        ),
        rustls::Error::AlertReceived(alert) => by_alert(*alert),
        error => Ending::new(Class::Tls, error.to_string()),
    }
}

/// The library has names for these, and no sentences.
fn in_words(name: &str) -> String {
    match name {
        "UnsupportedCertVersion" => "is of X.509 version 1, which TLS does not take from a server; issue one of version 3, with the broker's name as subjectAltName".to_owned(),
        "CaUsedAsEndEntity" => "is one of a CA, which cannot be a server's; issue one for the broker itself, with basicConstraints CA:FALSE".to_owned(),
        name => format!("is not accepted: {name}"),
    }
}

fn by_alert(alert: AlertDescription) -> Ending {
    match alert {
        AlertDescription::CertificateExpired => Ending::new(
            Class::TlsCert,
            "the broker says that our certificate has expired",
        ),
        AlertDescription::CertificateRevoked => Ending::new(
            Class::TlsCert,
            "the broker says that our certificate is revoked",
        ),
        AlertDescription::UnknownCA => Ending::new(
            Class::TlsCert,
            "the broker does not know the CA of our certificate",
        ),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError
        | AlertDescription::HandshakeFailure => Ending::new(
            Class::TlsCert,
            format!("the broker refused our certificate: alert {alert:?}"),
        ),
        AlertDescription::NoApplicationProtocol => Ending::new(
            Class::Tls,
            "the broker does not offer x-amzn-mqtt-ca on this port",
        ),
        alert => Ending::new(Class::Tls, format!("alert {alert:?}")),
    }
}
