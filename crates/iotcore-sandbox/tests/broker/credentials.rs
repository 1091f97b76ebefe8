//! The credential provider: temporary access keys for a certificate.

use std::time::Duration;

use iotcore_sandbox::{
    CertificateKind, CredentialFault, CredentialTrouble, Deny, Event, Issued, Proof, RoleAlias,
    Sandbox, Version,
};
use serde_json::Value;

use crate::common::sigv4::{Key, target};
use crate::common::web::{exchange, open};
use crate::common::{ConnectPacket, Seen, anonymous, builder, config, recorded, sandbox};

/// Asks for the credentials of an alias: the whole answer.
fn ask(sandbox: &Sandbox, issued: &Issued, alias: &str, thing: Option<&str>) -> String {
    let thing = thing.map_or(String::new(), |thing| {
        format!("x-amzn-iot-thingname: {thing}\r\n")
    });
    let request =
        format!("GET /role-aliases/{alias}/credentials HTTP/1.1\r\nHost: localhost\r\n{thing}\r\n");
    exchange(sandbox.credential_port(), config(sandbox, issued), &request)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

fn key(answer: &str) -> Key {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let json: Value = serde_json::from_str(body(answer)).expect("JSON");
    let text = |name: &str| json["credentials"][name].as_str().expect("text").to_owned();
    assert!(text("expiration").ends_with('Z'), "{answer}");
    Key {
        id: text("accessKeyId"),
        secret: text("secretAccessKey"),
        token: Some(text("sessionToken")),
    }
}

#[test]
fn a_temporary_key_opens_a_websocket() {
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let key = key(&ask(&sandbox, &issued, "device", Some("pump")));
    let mut device = open(&sandbox, Version::V5, &target(&key, 0), &[]).unwrap();
    device.send_connect(&ConnectPacket::new(Version::V5, "pump"));
    assert!(matches!(device.next(), Seen::Connack { code: 0, .. }));
    recorded(
        &sandbox,
        |event| matches!(event, Event::Admitted { proof: Proof::AccessKey, identity, .. } if identity == "device"),
    );
    let expected = Event::CredentialsRequested {
        alias: Some("device".to_owned()),
        thing: Some("pump".to_owned()),
        certificate_id: issued.id,
        status: 200,
        refused: None,
        access_key_id: Some(key.id.clone()),
    };
    recorded(&sandbox, |event| *event == expected);
    assert!(!format!("{:?}", sandbox.record()).contains(&key.secret));

    let other = Key { token: None, ..key };
    let refused = open(&sandbox, Version::V5, &target(&other, 0), &[]).err();
    assert_eq!(refused.unwrap().status, 403);
}

#[test]
fn a_temporary_key_ends() {
    let short = RoleAlias::new("device").lifetime(Duration::from_secs(60));
    let sandbox = builder().role_alias(short).start().unwrap();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let key = key(&ask(&sandbox, &issued, "device", None));
    sandbox.clock_skew(61);
    let refused = open(&sandbox, Version::V5, &target(&key, 61), &[])
        .err()
        .unwrap();
    assert!(refused.body.contains("is expired"), "{}", refused.body);
}

#[test]
fn who_gets_no_key_is_told() {
    let pumps = RoleAlias::new("pumps").thing("pump");
    let sandbox = builder().role_alias(pumps).start().unwrap();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let check = |issued: &Issued, alias: &str, thing, status: &str, why: &str| {
        let answer = ask(&sandbox, issued, alias, thing);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        let json: Value = serde_json::from_str(body(&answer)).expect("JSON");
        assert_eq!(json["message"], why);
    };
    check(&issued, "valves", None, "404", "Role alias not found");
    check(&issued, "pumps", None, "403", "Invalid thing name passed");
    check(
        &issued,
        "pumps",
        Some("valve"),
        "403",
        "Invalid thing name passed",
    );
    let denied = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.certificate_policy(&denied.id, vec![Deny::AssumeRole("device".to_owned())]);
    check(&denied, "device", None, "403", "Access Denied");
    let claim = sandbox.pki().issue_claim(CertificateKind::Valid);
    check(&claim, "device", None, "403", "Access Denied");
    let inactive = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.deactivate(&inactive.id);
    check(&inactive, "device", None, "403", "Access Denied");
    key(&ask(&sandbox, &issued, "pumps", Some("pump")));
}

#[test]
fn a_certificate_is_required() {
    let sandbox = sandbox();
    let request = "GET /role-aliases/device/credentials HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = exchange(sandbox.credential_port(), anonymous(&sandbox, &[]), request);
    assert_eq!(answer, "");
    recorded(&sandbox, |event| matches!(event, Event::TlsFailed { .. }));
}

#[test]
fn the_provider_may_fail() {
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let answer = |trouble| {
        sandbox.credential_fault(CredentialFault::once(trouble));
        ask(&sandbox, &issued, "device", None)
    };
    assert!(answer(CredentialTrouble::Refuse(500)).starts_with("HTTP/1.1 500 "));
    assert_eq!(body(&answer(CredentialTrouble::Garble)), "<html>");
    let incomplete = answer(CredentialTrouble::Incomplete);
    assert!(incomplete.starts_with("HTTP/1.1 200 ") && !incomplete.contains("secret"));
    let cut = answer(CredentialTrouble::CutShort);
    let announced: usize = cut
        .split_once("Content-Length: ")
        .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok())
        .unwrap();
    assert!(
        !body(&cut).is_empty() && body(&cut).len() < announced,
        "{cut}"
    );

    sandbox.credential_fault(CredentialFault::always(CredentialTrouble::Refuse(503)));
    sandbox.clear_credential_faults();
    key(&ask(&sandbox, &issued, "device", None));
}
