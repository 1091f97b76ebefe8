//! What goes wrong with fleet provisioning at each of its steps, as a new device sees it.

use std::time::{Duration, Instant};

use iotcore_sandbox::{
    CertificateKind, CertificateStatus, Event, Fault, Issued, ProvisioningFault,
    ProvisioningGarbage, ProvisioningKind, ProvisioningOperation, ProvisioningRejection,
    ProvisioningTrouble, Sandbox, Version, What, When,
};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use x509_parser::pem::parse_x509_pem;

use crate::common::claimant::{Claimant, OPERATIONS, connects, csr, shown};
use crate::common::{BOTH, ConnectPacket, SOON, Seen, recorded, sandbox};

const CREATE: ProvisioningOperation = ProvisioningOperation::Create;
const CREATE_FROM_CSR: ProvisioningOperation = ProvisioningOperation::CreateFromCsr;
const REGISTER: ProvisioningOperation = ProvisioningOperation::Register;

/// A new device that has a certificate and asks for this once more, or for the thing, while this goes wrong.
fn asking(
    sandbox: &Sandbox,
    version: Version,
    operation: ProvisioningOperation,
    trouble: ProvisioningTrouble,
) -> (Claimant, String) {
    let mut new = Claimant::connect(sandbox, version);
    let (_, token) = new.created();
    let fault = ProvisioningFault::once(trouble).on(operation);
    sandbox.provisioning().fault(fault);
    let request = request(operation, &token);
    new.ask(operation, &request);
    (new, request)
}

fn request(operation: ProvisioningOperation, token: &str) -> String {
    match operation {
        ProvisioningOperation::Create => String::new(),
        ProvisioningOperation::CreateFromCsr => csr(&KeyPair::generate().unwrap()),
        ProvisioningOperation::Register => json!({
            "certificateOwnershipToken": token,
            "parameters": { "SerialNumber": "42" },
        })
        .to_string(),
    }
}

/// How many certificates there are, and things.
fn counts(sandbox: &Sandbox) -> (usize, usize) {
    let provisioning = sandbox.provisioning();
    (
        provisioning.certificates().len(),
        provisioning.registered().len(),
    )
}

/// What there is when the second request has been carried out.
fn carried_out(operation: ProvisioningOperation) -> (usize, usize) {
    match operation {
        ProvisioningOperation::Register => (1, 1),
        _ => (2, 0),
    }
}

fn happened(sandbox: &Sandbox, operation: ProvisioningOperation, kind: ProvisioningKind) {
    recorded(
        sandbox,
        |event| matches!(event, Event::Provisioning(event) if event.operation == operation && event.kind == kind),
    );
}

#[test]
fn each_request_may_be_rejected_without_being_carried_out() {
    for operation in OPERATIONS {
        let sandbox = sandbox();
        let trouble = ProvisioningTrouble::Reject(ProvisioningRejection::throttled());
        let (mut new, request) = asking(&sandbox, Version::V5, operation, trouble);
        let refusal = new.is_rejected(operation);
        assert_eq!(refusal, (429, "Throttling".to_owned()), "{operation}");
        assert_eq!(counts(&sandbox), (1, 0), "{operation}");
        happened(&sandbox, operation, ProvisioningKind::Rejected(429));

        new.ask(operation, &request);
        new.is_accepted(operation);
        assert_eq!(counts(&sandbox), carried_out(operation), "{operation}");
    }
}

#[test]
fn each_request_may_be_rejected_after_it_was_carried_out() {
    for operation in OPERATIONS {
        let sandbox = sandbox();
        let rejection = ProvisioningRejection::new(503, "ServiceUnavailable", "Try again.");
        let trouble = ProvisioningTrouble::RejectAfterwards(rejection);
        let (mut new, _) = asking(&sandbox, Version::V311, operation, trouble);
        let refusal = new.is_rejected(operation);
        assert_eq!(refusal, (503, "ServiceUnavailable".to_owned()));
        assert_eq!(counts(&sandbox), carried_out(operation), "{operation}");
    }
}

#[test]
fn each_request_may_be_lost() {
    for operation in OPERATIONS {
        let sandbox = sandbox();
        let trouble = ProvisioningTrouble::Ignore;
        let (mut new, request) = asking(&sandbox, Version::V5, operation, trouble);
        new.device.sees_nothing();
        assert_eq!(counts(&sandbox), (1, 0), "{operation}");
        happened(&sandbox, operation, ProvisioningKind::Ignored);
        new.ask(operation, &request);
        new.is_accepted(operation);
    }
}

#[test]
fn each_answer_may_be_lost() {
    for operation in OPERATIONS {
        let sandbox = sandbox();
        let trouble = ProvisioningTrouble::Withhold;
        let (mut new, request) = asking(&sandbox, Version::V311, operation, trouble);
        new.device.sees_nothing();
        assert_eq!(counts(&sandbox), carried_out(operation), "{operation}");
        happened(&sandbox, operation, ProvisioningKind::Withheld);
        new.ask(operation, &request);
        match operation {
            ProvisioningOperation::Register => {
                assert_eq!(new.is_rejected(operation).0, 400, "the token is used");
            }
            _ => drop(new.is_accepted(operation)),
        }
    }
}

#[test]
fn each_answer_may_be_late() {
    for operation in OPERATIONS {
        let sandbox = sandbox();
        let delay = Duration::from_millis(50);
        let trouble = ProvisioningTrouble::Delay(delay);
        let before = Instant::now();
        let (mut new, _) = asking(&sandbox, Version::V5, operation, trouble);
        new.is_accepted(operation);
        assert!(before.elapsed() >= delay, "{operation}");
        let last = sandbox.record();
        let accepted = last.iter().rev().find_map(|record| match &record.event {
            Event::Provisioning(event) => Some(event.kind),
            _ => None,
        });
        assert_eq!(accepted, Some(ProvisioningKind::Accepted));
    }
}

#[test]
fn a_late_answer_does_not_go_to_another_connection() {
    let sandbox = sandbox();
    let trouble = ProvisioningTrouble::Delay(SOON);
    let (new, _) = asking(&sandbox, Version::V311, CREATE, trouble);
    happened(&sandbox, CREATE, ProvisioningKind::Issued);
    drop(new);
    happened(&sandbox, CREATE, ProvisioningKind::Dropped);
    let mut again = Claimant::connect(&sandbox, Version::V311);
    again.device.sees_nothing();
}

#[test]
fn an_answer_may_be_garbled_and_late() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let garble = ProvisioningTrouble::Garble(ProvisioningGarbage::NoMembers);
    let delay = ProvisioningTrouble::Delay(Duration::from_millis(20));
    let provisioning = sandbox.provisioning();
    provisioning.fault(ProvisioningFault::once(garble));
    provisioning.fault(ProvisioningFault::once(delay));
    new.ask(CREATE, "");
    let answer = new.hears_raw(CREATE);
    assert_eq!(answer, ("/accepted".to_owned(), "{}".to_owned()));
    happened(&sandbox, CREATE, ProvisioningKind::Garbled);

    provisioning.fault(ProvisioningFault::always(ProvisioningTrouble::Ignore));
    provisioning.clear_faults();
    new.created();
}

#[test]
fn answers_may_be_garbage() {
    let garbled = |operation, garbage: ProvisioningGarbage| {
        let sandbox = sandbox();
        let trouble = ProvisioningTrouble::Garble(garbage);
        let (mut new, _) = asking(&sandbox, Version::V5, operation, trouble);
        let (end, payload) = new.hears_raw(operation);
        assert_eq!(end, "/accepted");
        assert_eq!(counts(&sandbox), carried_out(operation));
        payload
    };
    let value = |payload: String| -> Value { serde_json::from_str(&payload).unwrap() };
    for operation in OPERATIONS {
        let payload = garbled(operation, ProvisioningGarbage::NotJson);
        assert!(
            serde_json::from_str::<Value>(&payload).is_err(),
            "{payload}"
        );
        let odd = value(garbled(operation, ProvisioningGarbage::WrongTypes));
        let odd = odd.as_object().unwrap();
        assert!(odd.len() >= 2 && odd.values().all(|value| !value.is_string()));
    }
    let without = ProvisioningGarbage::Without("certificateOwnershipToken");
    let answer = value(garbled(CREATE_FROM_CSR, without));
    assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
    let with = ProvisioningGarbage::With("thingName", json!("../../etc"));
    assert_eq!(value(garbled(REGISTER, with))["thingName"], "../../etc");

    let broken = |garbage, member: &str| {
        let answer = value(garbled(CREATE, garbage));
        answer[member].as_str().unwrap().to_owned()
    };
    let cut = broken(ProvisioningGarbage::CutCertificate, "certificatePem");
    assert!(pem::parse(&cut).is_err(), "{cut}");
    let cut = broken(ProvisioningGarbage::CutKey, "privateKey");
    assert!(pem::parse(&cut).is_err(), "{cut}");
    let none = broken(ProvisioningGarbage::NoCertificate, "certificatePem");
    let (_, block) = parse_x509_pem(none.as_bytes()).unwrap();
    assert!(block.parse_x509().is_err());
}

/// Whether the certificate is for this key.
fn belongs(issued: &Issued, key: &KeyPair) -> bool {
    let (_, block) = parse_x509_pem(issued.certificate_pem.as_bytes()).unwrap();
    let certificate = block.parse_x509().unwrap();
    certificate.public_key().raw == key.subject_public_key_info()
}

#[test]
fn a_certificate_may_be_for_another_key() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let other = ProvisioningTrouble::Issue(CertificateKind::OtherKey);
    sandbox.provisioning().fault(ProvisioningFault::once(other));
    let key = KeyPair::generate().unwrap();
    let (wrong, token) = new.created_for(&key);
    assert!(!belongs(&wrong, &key));
    new.registered(&token, "42");
    let (right, _) = new.created_for(&key);
    assert!(belongs(&right, &key));
}

#[test]
fn certificates_may_be_invalid_or_short_lived() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V5);
    let mut alert = |kind, serial: &str| {
        sandbox.provisioning().issue(kind);
        let (issued, token) = new.created();
        new.registered(&token, serial);
        match shown(&sandbox, &issued) {
            Seen::Alert(text) => text,
            other => panic!("{kind:?}: {other:?}"),
        }
    };
    assert!(alert(CertificateKind::Expired, "1").contains("CertificateExpired"));
    assert!(alert(CertificateKind::NotYetValid, "2").contains("CertificateExpired"));
    assert!(alert(CertificateKind::OtherCa, "3").contains("UnknownCA"));

    let short = CertificateKind::ValidFor(Duration::from_secs(20 * 86_400));
    sandbox.provisioning().issue(short);
    let (issued, token) = new.created();
    new.registered(&token, "4");
    assert!(connects(&sandbox, &issued));
    let (_, block) = parse_x509_pem(issued.certificate_pem.as_bytes()).unwrap();
    let validity = block.parse_x509().unwrap().validity().clone();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(seconds, 20 * 86_400);
}

/// What a device sees of its request of QoS 1 when its connection is closed like this: whether it was answered,
/// acknowledged, and carried out.
fn closed(version: Version, operation: ProvisioningOperation, what: What) -> [bool; 3] {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, version);
    let (_, token) = new.created();
    let topic = operation.topic("fleet");
    sandbox.add_fault(Fault::once(When::Topic(topic.clone()), what));
    let request = request(operation, &token);
    new.device.publish(&topic, request.as_bytes(), 1);
    let mut seen = vec![new.device.next()];
    while seen.last() != Some(&Seen::Closed) {
        seen.push(new.device.next());
    }
    [
        seen.iter().any(|one| matches!(one, Seen::Publish { .. })),
        seen.iter().any(|one| matches!(one, Seen::Puback { .. })),
        counts(&sandbox) == carried_out(operation),
    ]
}

#[test]
fn a_connection_closes_at_any_point_of_a_request() {
    for (version, operation) in BOTH.into_iter().flat_map(|v| OPERATIONS.map(|o| (v, o))) {
        let check = |what: What, expected: [bool; 3]| {
            let found = closed(version, operation, what.clone());
            assert_eq!(found, expected, "{version} {operation} {what:?}");
        };
        check(What::CloseBeforeAccepting, [false, false, false]);
        check(What::CloseBeforeAnswer, [false, false, true]);
        check(What::CloseBeforePuback, [true, false, true]);
        check(What::CloseAfterPuback, [true, true, true]);
    }
}

#[test]
fn a_device_whose_registration_was_not_answered_may_connect_all_the_same() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let (issued, token) = new.created();
    let topic = REGISTER.topic("fleet");
    let fault = Fault::once(When::Topic(topic), What::CloseBeforeAnswer);
    sandbox.add_fault(fault);
    new.ask_to_register(&token, json!({ "SerialNumber": "42" }));
    assert_eq!(new.device.next(), Seen::Closed);
    let status = sandbox.certificate_status(&issued.id);
    assert_eq!(status, CertificateStatus::Active);
    assert!(connects(&sandbox, &issued));
}

#[test]
fn who_is_cut_off_with_a_persistent_session_finds_its_answer_there() {
    let sandbox = sandbox();
    let claim = sandbox.pki().issue_claim(CertificateKind::Valid);
    let packet = ConnectPacket::persistent(Version::V311, "new");
    let open = || {
        let mut device = crate::common::Device::open_with(&sandbox, Version::V311, &claim, &[]);
        device.send_connect(&packet);
        assert!(matches!(device.next(), Seen::Connack { code: 0, .. }));
        device
    };
    let topic = CREATE.topic("fleet");
    sandbox.add_fault(Fault::once(
        When::Topic(topic.clone()),
        What::CloseBeforeAnswer,
    ));
    let mut device = open();
    device.subscribe(&[(&format!("{topic}/accepted"), 1)]);
    device.publish(&topic, b"", 0);
    assert_eq!(device.next(), Seen::Closed);
    assert_eq!(open().message().0, format!("{topic}/accepted"));
}
