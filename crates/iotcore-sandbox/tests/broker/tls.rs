//! Which TLS handshakes succeed, and what is recorded of them.

use std::sync::Arc;

use iotcore_sandbox::{
    CertificateKind, Event, Issued, KeyKind, Sandbox, ServerCertificate, Version,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::common::{ConnectPacket, Device, Seen, builder, config, recorded, sandbox};

/// Connects with this certificate and ALPN; what comes back after the CONNECT.
fn answer(sandbox: &Sandbox, issued: &Issued, alpn: &[&str]) -> Seen {
    let mut device = Device::open_with(sandbox, Version::V311, issued, alpn);
    device.send_connect(&ConnectPacket::new(Version::V311, "pump"));
    device.next()
}

fn accepted(seen: &Seen) -> bool {
    *seen
        == Seen::Connack {
            code: 0,
            session_present: false,
        }
}

#[test]
fn every_kind_of_key_connects() {
    let sandbox = sandbox();
    for key in [
        KeyKind::EcPkcs8,
        KeyKind::EcSec1,
        KeyKind::RsaPkcs8,
        KeyKind::RsaPkcs1,
    ] {
        let issued = sandbox.pki().issue_with(CertificateKind::Valid, key);
        assert!(accepted(&answer(&sandbox, &issued, &[])), "{key:?}");
    }
}

#[test]
fn a_key_says_what_it_is() {
    let pki = sandbox();
    let check = |key, begin: &str| {
        let issued = pki.pki().issue_with(CertificateKind::Valid, key);
        assert!(
            issued.private_key_pem.starts_with(begin),
            "{}",
            issued.private_key_pem
        );
    };
    check(KeyKind::EcPkcs8, "-----BEGIN PRIVATE KEY-----\n");
    check(KeyKind::EcSec1, "-----BEGIN EC PRIVATE KEY-----\n");
    check(KeyKind::RsaPkcs8, "-----BEGIN PRIVATE KEY-----\n");
    check(KeyKind::RsaPkcs1, "-----BEGIN RSA PRIVATE KEY-----\n");
}

#[test]
fn a_bad_client_certificate_is_refused() {
    let check = |kind, alert: &str| {
        let sandbox = sandbox();
        match answer(&sandbox, &sandbox.pki().issue(kind), &[]) {
            Seen::Alert(text) => assert!(text.contains(alert), "{kind:?}: {text}"),
            other => panic!("{kind:?}: {other:?}"),
        }
        recorded(&sandbox, |event| matches!(event, Event::TlsFailed { .. }));
    };
    check(CertificateKind::Expired, "CertificateExpired");
    // rustls has the one alert for both ends of the validity.
    check(CertificateKind::NotYetValid, "CertificateExpired");
    check(CertificateKind::OtherCa, "UnknownCA");
}

#[test]
fn a_revoked_certificate_is_closed_after_the_handshake() {
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.revoke(&issued.id);
    assert_eq!(answer(&sandbox, &issued, &[]), Seen::Closed);
    sandbox.deactivate(&issued.id);
    assert_eq!(answer(&sandbox, &issued, &[]), Seen::Closed);
    sandbox.activate(&issued.id);
    assert!(accepted(&answer(&sandbox, &issued, &[])));

    let id = issued.id;
    recorded(
        &sandbox,
        |event| matches!(event, Event::TlsEstablished { certificate_id, .. } if certificate_id.as_ref() == Some(&id)),
    );
}

#[test]
fn alpn_is_the_one_value_or_nothing() {
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    assert!(accepted(&answer(&sandbox, &issued, &["x-amzn-mqtt-ca"])));
    assert!(matches!(
        answer(&sandbox, &issued, &["mqtt"]),
        Seen::Alert(_)
    ));
    assert!(matches!(
        answer(&sandbox, &issued, &["x-amzn-mqtt-ca", "mqtt"]),
        Seen::Alert(_)
    ));
    recorded(&sandbox, |event| {
        let Event::TlsEstablished { sni, alpn, .. } = event else {
            return false;
        };
        sni.as_deref() == Some("localhost") && alpn.as_deref() == Some("x-amzn-mqtt-ca")
    });
}

#[test]
fn alpn_may_be_required() {
    let sandbox = builder().require_alpn().start().unwrap();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    assert!(!accepted(&answer(&sandbox, &issued, &[])));
    assert!(accepted(&answer(&sandbox, &issued, &["x-amzn-mqtt-ca"])));
}

#[test]
fn a_server_name_may_be_required() {
    let sandbox = builder().require_sni().start().unwrap();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    assert!(accepted(&answer(&sandbox, &issued, &[])));

    let mut nameless = config(&sandbox, &issued);
    nameless.enable_sni = false;
    let error = handshake(&sandbox, nameless).unwrap_err();
    assert!(!error.contains("ertificate"), "{error}");
}

/// The TLS handshake only. The error is the client's text.
fn handshake(sandbox: &Sandbox, config: rustls::ClientConfig) -> Result<(), String> {
    let name = sandbox.host().to_owned().try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
    socket.set_read_timeout(Some(crate::common::SOON)).unwrap();
    while client.is_handshaking() {
        client
            .complete_io(&mut socket)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[test]
fn the_server_can_show_a_bad_certificate() {
    let check = |certificate, expected: &str| {
        let sandbox = builder().server_certificate(certificate).start().unwrap();
        let issued = sandbox.pki().issue(CertificateKind::Valid);
        let error = handshake(&sandbox, config(&sandbox, &issued)).unwrap_err();
        assert!(error.contains(expected), "{certificate:?}: {error}");
    };
    check(ServerCertificate::Expired, "expired");
    check(ServerCertificate::NotYetValid, "not valid yet");
    check(ServerCertificate::OtherName, "not valid for name");
}

#[test]
fn the_other_ca_did_not_sign_the_server() {
    let sandbox = sandbox();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(sandbox.pki().other_ca_file()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let strict = versions
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(
        handshake(&sandbox, strict)
            .unwrap_err()
            .contains("UnknownIssuer")
    );
    recorded(&sandbox, |event| matches!(event, Event::TlsFailed { .. }));
}

#[test]
fn a_client_without_certificate_is_refused() {
    let sandbox = sandbox();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(sandbox.pki().ca_file()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12]);
    let nobody = versions
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(
        handshake(&sandbox, nobody)
            .unwrap_err()
            .contains("Certificate")
    );
}

#[test]
fn no_session_is_resumed() {
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let config = Arc::new(config(&sandbox, &issued));
    for _ in 0..2 {
        let name = sandbox.host().to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
        while client.is_handshaking() {
            client.complete_io(&mut socket).unwrap();
        }
        assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn what_is_no_tls_is_recorded() {
    let sandbox = sandbox();
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
    std::io::Write::write_all(&mut socket, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    recorded(&sandbox, |event| matches!(event, Event::TlsFailed { .. }));
}
