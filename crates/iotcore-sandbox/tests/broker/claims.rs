//! What a claim certificate may do, and what other certificates may not.

use std::time::{Duration, SystemTime};

use iotcore_sandbox::{CertificateKind, DeniedSubscription, Deny, Sandbox, Version};
use x509_parser::pem::parse_x509_pem;

use crate::common::claimant::{Claimant, connects, shown};
use crate::common::{BOTH, ConnectPacket, Device, Seen, builder, code, sandbox};

/// A device with a claim certificate, connected.
fn claimant(sandbox: &Sandbox, version: Version) -> Device {
    let claim = sandbox.pki().issue_claim(CertificateKind::Valid);
    let mut device = Device::open_with(sandbox, version, &claim, &[]);
    device.send_connect(&ConnectPacket::new(version, "new"));
    assert!(matches!(device.next(), Seen::Connack { code: 0, .. }));
    device
}

/// Publishing this with QoS 1 is denied, as each version is told.
fn denied(device: &mut Device, topic: &str) {
    let packet_id = device.publish(topic, b"", 1);
    match device.version {
        Version::V311 => assert_eq!(device.next(), Seen::Closed, "{topic}"),
        Version::V5 => {
            let puback = Seen::Puback {
                packet_id,
                code: 0x87,
            };
            assert_eq!(device.next(), puback, "{topic}");
        }
    }
}

#[test]
fn a_claim_is_for_provisioning_only() {
    for version in BOTH {
        let sandbox = sandbox();
        for topic in ["telemetry", "$aws/things/t/shadow/update"] {
            denied(&mut claimant(&sandbox, version), topic);
            let mut device = claimant(&sandbox, version);
            let codes = device.subscribe(&[(topic, 0)]);
            assert_eq!(codes, [code(version, 0x80, 0x87)]);
        }
        let mut device = claimant(&sandbox, version);
        let answers = "$aws/certificates/create/json/+";
        assert_eq!(device.subscribe(&[(answers, 1)]), [1]);
    }
}

#[test]
fn older_claims_do_not_know_signing_requests() {
    for version in BOTH {
        let sandbox = sandbox();
        sandbox.claim_policy(Deny::for_claims_without_csr());
        let topic = "$aws/certificates/create-from-csr/json";
        denied(&mut claimant(&sandbox, version), topic);
        let mut device = claimant(&sandbox, version);
        let codes = device.subscribe(&[
            (&format!("{topic}/accepted"), 1),
            ("$aws/certificates/create/json/accepted", 1),
        ]);
        assert_eq!(codes, [code(version, 0x80, 0x87), 1]);
        assert_eq!(sandbox.provisioning().certificates(), []);
    }
}

#[test]
fn a_denied_subscription_may_end_the_connection() {
    let sandbox = builder()
        .limit(|limits| limits.denied_subscription = DeniedSubscription::Close)
        .start()
        .unwrap();
    sandbox.claim_policy(Deny::for_claims_without_csr());
    let mut device = claimant(&sandbox, Version::V311);
    device.ask_for(&[("$aws/certificates/create-from-csr/json/accepted", 1)]);
    device.sees_end(0);
}

#[test]
fn a_policy_may_be_about_one_certificate() {
    let sandbox = sandbox();
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.certificate_policy(&issued.id, vec![Deny::Connect]);
    assert!(matches!(
        shown(&sandbox, &issued),
        Seen::Connack { code: 5, .. }
    ));
    sandbox.certificate_policy(&issued.id, vec![Deny::Publish("a".to_owned())]);
    let mut device = Device::open_with(&sandbox, Version::V5, &issued, &[]);
    device.send_connect(&ConnectPacket::new(Version::V5, "pump"));
    device.next();
    denied(&mut device, "a");
    device.publish("b", b"", 1);
    assert!(matches!(device.next(), Seen::Puback { code: 0, .. }));
    // The same client with another certificate.
    let mut device = Device::connect(&sandbox, Version::V5, "pump");
    device.publish("a", b"", 1);
    assert!(matches!(device.next(), Seen::Puback { code: 0, .. }));
}

#[test]
fn a_device_does_not_inherit_what_its_claim_may_not() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V5);
    let (issued, token) = new.created();
    new.registered(&token, "42");
    new.device.send_disconnect();
    assert_eq!(new.device.next(), Seen::Closed);
    let mut device = Device::open_with(&sandbox, Version::V5, &issued, &[]);
    device.send_connect(&ConnectPacket::new(Version::V5, "new"));
    device.next();
    assert_eq!(device.subscribe(&[("a", 1)]), [1]);
    device.publish("a", b"", 0);
    assert_eq!(device.message().0, "a");
}

#[test]
fn a_claim_store_is_a_certstore_with_a_claim_in_it() {
    let (sandbox, dir) = (sandbox(), tempfile::tempdir().unwrap());
    let claim = sandbox.pki().write_claim_store(dir.path(), sandbox.port());
    let endpoint = std::fs::read_to_string(dir.path().join("endpoint.txt")).unwrap();
    assert_eq!(endpoint, format!("localhost:{}\n", sandbox.port()));
    let file = format!("{0}/{0}-certificate.pem.crt", claim.id);
    let written = std::fs::read_to_string(dir.path().join(file)).unwrap();
    assert_eq!(written, claim.certificate_pem);
    let mut device = Device::open_with(&sandbox, Version::V5, &claim, &[]);
    device.send_connect(&ConnectPacket::new(Version::V5, "new"));
    device.next();
    denied(&mut device, "a");
}

#[test]
fn claims_may_be_invalid_or_revoked() {
    let sandbox = sandbox();
    let expired = sandbox.pki().issue_claim(CertificateKind::Expired);
    assert!(matches!(shown(&sandbox, &expired), Seen::Alert(_)));
    let claim = sandbox.pki().issue_claim(CertificateKind::Valid);
    assert!(connects(&sandbox, &claim));
    sandbox.revoke(&claim.id);
    assert_eq!(shown(&sandbox, &claim), Seen::Closed);
}

#[test]
fn a_certificate_is_valid_when_it_says() {
    let sandbox = sandbox();
    let now = SystemTime::now();
    let validity = |kind: CertificateKind| {
        let issued = sandbox.pki().issue(kind);
        let (_, block) = parse_x509_pem(issued.certificate_pem.as_bytes()).unwrap();
        let validity = block.parse_x509().unwrap().validity().clone();
        let connects = connects(&sandbox, &issued);
        let ends = [validity.not_before, validity.not_after].map(|end| end.timestamp());
        (ends, connects)
    };
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(since.unwrap().as_secs()).unwrap()
    };
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let check = |from: SystemTime, until: SystemTime, connects: bool| {
        let kind = CertificateKind::Between(from, until);
        let expected = ([seconds(from), seconds(until)], connects);
        assert_eq!(validity(kind), expected);
    };
    check(now - days(1), now + days(1), true);
    check(now - days(2), now - days(1), false);
    check(now + days(1), now + days(2), false);

    let ([from, until], connects) = validity(CertificateKind::ValidFor(days(20)));
    assert!(connects && from >= seconds(now) && until - from == 20 * 86_400);
    // 2049-12-31T23:59:59Z.
    assert_eq!(validity(CertificateKind::Valid).0[1], 2_524_607_999);
}
