//! Fleet provisioning, as a new device and as the owner of the fleet see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iotcore_sandbox::{
    CertificateStatus, Event, HookAnswer, ProvisioningKind, ProvisioningOperation, Sandbox,
    Template, Version,
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};

use crate::common::claimant::{Claimant, connects, csr, shown, template};
use crate::common::{BOTH, SOON, Seen, builder, recorded, sandbox};

/// What was recorded, in order.
fn story(sandbox: &Sandbox) -> Vec<(String, ProvisioningKind)> {
    let records = sandbox.record().into_iter();
    let event = records.filter_map(|record| match record.event {
        Event::Provisioning(event) => {
            assert_eq!(record.client_id.as_deref(), Some(event.client_id.as_str()));
            Some((event.operation.to_string(), event.kind))
        }
        _ => None,
    });
    event.collect()
}

#[test]
fn a_new_device_is_registered_as_a_thing() {
    for version in BOTH {
        let sandbox = sandbox();
        let mut new = Claimant::connect(&sandbox, version);
        let (issued, token) = new.created();
        assert_eq!(issued.id.len(), 64);
        assert!(
            issued
                .private_key_pem
                .starts_with("-----BEGIN RSA PRIVATE KEY-----\n")
        );
        let answer = new.registered(&token, "42");
        assert_eq!(
            answer,
            json!({ "thingName": "device-42", "deviceConfiguration": {} })
        );
        assert!(connects(&sandbox, &issued), "with the new certificate");
        new.device.sees_nothing();
    }
}

#[test]
fn a_certificate_connects_when_its_device_is_a_thing_and_not_before() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V5);
    let (issued, token) = new.created();
    let status = || sandbox.certificate_status(&issued.id);
    assert_eq!(status(), CertificateStatus::PendingActivation);
    assert_eq!(shown(&sandbox, &issued), Seen::Closed);
    new.registered(&token, "42");
    assert_eq!(status(), CertificateStatus::Active);
    assert!(connects(&sandbox, &issued));
    sandbox.revoke(&issued.id);
    assert_eq!(status(), CertificateStatus::Revoked);
    assert_eq!(shown(&sandbox, &issued), Seen::Closed);
}

#[test]
fn a_device_may_keep_its_key() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (issued, token) = new.created_for(&key);
        new.registered(&token, "42");
        assert!(connects(&sandbox, &issued), "{algorithm:?}");
    }
    let rsa = KeyPair::from_pem(include_str!("../../src/pki/test-key-rsa-pkcs8.pem")).unwrap();
    let (issued, token) = new.created_for(&rsa);
    new.registered(&token, "42");
    assert!(connects(&sandbox, &issued), "RSA");
}

#[test]
fn two_requests_of_one_device_are_two_certificates() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let key = KeyPair::generate().unwrap();
    let (one, two) = (new.created(), new.created());
    let (three, four) = (new.created_for(&key), new.created_for(&key));
    let all = [one, two, three, four];
    let ids: BTreeMap<&String, &String> = all
        .iter()
        .map(|(issued, token)| (&issued.id, token))
        .collect();
    assert_eq!(ids.len(), 4);
    assert_ne!(all[0].0.private_key_pem, all[1].0.private_key_pem);
}

#[test]
fn the_owner_sees_which_device_became_which_thing() {
    let sandbox = builder()
        .template(
            template("pumps")
                .thing("pump-{SerialNumber}")
                .parameter_or("Site", "nowhere"),
        )
        .start()
        .unwrap();
    let provisioning = sandbox.provisioning();
    let mut new = Claimant::connect_for(&sandbox, Version::V5, "new-7", "pumps");
    let (unused, _) = new.created();
    let (issued, token) = new.created_for(&KeyPair::generate().unwrap());
    new.registered(&token, "7");

    let all = provisioning.certificates();
    let brief: Vec<_> = all
        .iter()
        .map(|one| (one.id.as_str(), one.made_by, one.status, one.thing()))
        .collect();
    assert_eq!(
        brief,
        [
            (
                unused.id.as_str(),
                ProvisioningOperation::Create,
                CertificateStatus::PendingActivation,
                None
            ),
            (
                issued.id.as_str(),
                ProvisioningOperation::CreateFromCsr,
                CertificateStatus::Active,
                Some("pump-7")
            ),
        ]
    );
    let registered = &provisioning.wait_for_registered(1, SOON)[0];
    assert_eq!(registered.id, issued.id);
    assert_eq!(registered.certificate_pem, issued.certificate_pem);
    assert_eq!(
        (&registered.client_id, &registered.claim_certificate_id),
        (&"new-7".to_owned(), &new.claim.id)
    );
    let thing = registered.registered.as_ref().unwrap();
    let said = [("SerialNumber", "7"), ("Site", "nowhere")];
    let said = said.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(thing.parameters, BTreeMap::from(said));
    assert_eq!(thing.template, "pumps");
    let counts = crate::common::claimant::OPERATIONS.map(|one| provisioning.requests(one));
    assert_eq!(counts, [1, 1, 1]);
}

#[test]
fn each_step_is_recorded() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let (_, token) = new.created();
    new.not_registered("somebody else's", "42");
    new.registered(&token, "42");
    let expected = [
        ("create", ProvisioningKind::Request),
        ("create", ProvisioningKind::Issued),
        ("create", ProvisioningKind::Accepted),
        ("register", ProvisioningKind::Request),
        ("register", ProvisioningKind::Rejected(400)),
        ("register", ProvisioningKind::Request),
        ("register", ProvisioningKind::Registered),
        ("register", ProvisioningKind::Accepted),
    ];
    let expected = expected.map(|(operation, kind)| (operation.to_owned(), kind));
    assert_eq!(story(&sandbox), expected);
    let record = recorded(
        &sandbox,
        |event| matches!(event, Event::Provisioning(event) if event.thing.is_some()),
    );
    let id = &sandbox.provisioning().registered()[0].id;
    assert_eq!(
        record.to_string(),
        format!(
            "provisioning: register registered a thing, template fleet, thing device-42, certificate {id} (for new)"
        )
    );
}

#[test]
fn every_refusal_reaches_the_device() {
    let sandbox = builder()
        .template(template("off").disabled())
        .template(
            Template::new("sites")
                .thing("{Site}")
                .parameter("SerialNumber"),
        )
        .start()
        .unwrap();
    let claimant = |template: &str| {
        Claimant::connect_for(&sandbox, Version::V5, &format!("new-{template}"), template)
    };
    let mut new = claimant("fleet");
    let mut check = |operation, payload: &str, status: u64, code: &str| {
        new.ask(operation, payload);
        let refusal = new.is_rejected(operation);
        assert_eq!(refusal, (status, code.to_owned()), "{payload}");
    };
    let create = ProvisioningOperation::Create;
    check(create, "no JSON", 400, "InvalidRequest");
    let from_csr = ProvisioningOperation::CreateFromCsr;
    check(from_csr, "", 400, "InvalidRequest");
    check(from_csr, "{}", 400, "InvalidCSR");
    let nonsense = r#"{"certificateSigningRequest":"nonsense"}"#;
    check(from_csr, nonsense, 400, "InvalidCSR");
    let weak = include_str!("../../src/pki/test-csr-rsa-1024.pem");
    let weak = json!({ "certificateSigningRequest": weak }).to_string();
    check(from_csr, &weak, 400, "InvalidCSR");
    let damaged = csr(&KeyPair::generate().unwrap()).replace("\\n-----END", "AA\\n-----END");
    check(from_csr, &damaged, 400, "InvalidCSR");
    let register = ProvisioningOperation::Register;
    let token = "InvalidCertificateOwnershipToken";
    check(register, "{", 400, "InvalidRequest");
    check(register, "{}", 400, token);
    check(register, r#"{"certificateOwnershipToken":""}"#, 400, token);
    let unknown = r#"{"certificateOwnershipToken":"x"}"#;
    check(register, unknown, 400, token);

    let (_, token) = new.created();
    let check = |template: &str, parameters: Value, status: u64, code: &str| {
        let mut other = claimant(template);
        other.ask_to_register(&token, parameters.clone());
        let refusal = other.is_rejected(register);
        let told = format!("{template} {parameters}");
        assert_eq!(refusal, (status, code.to_owned()), "{told}");
    };
    check("none", json!({}), 404, "ResourceNotFound");
    check(
        "off",
        json!({ "SerialNumber": "7" }),
        400,
        "InvalidTemplate",
    );
    check("sites", json!({}), 400, "InvalidParameters");
    check(
        "sites",
        json!({ "SerialNumber": "7" }),
        400,
        "InvalidParameters",
    );
    let numbers = json!({ "SerialNumber": 7, "Site": "x" });
    check("sites", numbers, 400, "InvalidParameters");
    let slash = json!({ "SerialNumber": "7", "Site": "a/b" });
    check("sites", slash, 400, "InvalidParameters");
    assert_eq!(sandbox.provisioning().registered(), []);
}

#[test]
fn a_token_is_good_for_one_registration() {
    let sandbox = builder()
        .template(template("again").takes_tokens_again())
        .start()
        .unwrap();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let (_, token) = new.created();
    new.registered(&token, "42");
    let refusal = new.not_registered(&token, "42");
    assert_eq!(
        refusal,
        (400, "InvalidCertificateOwnershipToken".to_owned())
    );

    let mut new = Claimant::connect_for(&sandbox, Version::V311, "other", "again");
    let (issued, token) = new.created();
    assert_eq!(new.registered(&token, "7"), new.registered(&token, "7"));
    assert!(connects(&sandbox, &issued));
    assert_eq!(sandbox.provisioning().registered().len(), 2);
}

/// Waits until this certificate is deleted.
fn deleted(sandbox: &Sandbox, id: &str) {
    recorded(sandbox, |event| match event {
        Event::Provisioning(event) => {
            event.kind == ProvisioningKind::Deleted && event.certificate_id.as_deref() == Some(id)
        }
        _ => false,
    });
}

#[test]
fn a_certificate_that_nobody_registers_is_deleted_after_an_hour() {
    let sandbox = builder()
        .clock_speed(36_000.0)
        .limit(|limits| {
            // Nothing is said for longer than AWS would wait.
            limits.min_keep_alive = Duration::from_secs(1_000_000);
            limits.max_keep_alive = limits.min_keep_alive;
        })
        .start()
        .unwrap();
    let mut new = Claimant::connect(&sandbox, Version::V5);
    let (kept, token) = new.created();
    sandbox.activate(&kept.id);
    let (issued, late) = new.created();
    deleted(&sandbox, &issued.id);
    let status = sandbox.certificate_status(&issued.id);
    assert_eq!(status, CertificateStatus::Deleted);
    let expected = (400, "InvalidCertificateOwnershipToken".to_owned());
    assert_eq!(new.not_registered(&late, "42"), expected);
    assert_eq!(shown(&sandbox, &issued), Seen::Closed);

    assert!(connects(&sandbox, &kept), "an operator has activated it");
    assert_eq!(new.not_registered(&token, "42"), expected);
}

#[test]
fn a_certificate_that_is_registered_in_time_stays() {
    let sandbox = builder()
        .limit(|limits| limits.provisioning.token_lifetime = Duration::from_secs(3))
        .start()
        .unwrap();
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let (issued, token) = new.created();
    new.registered(&token, "42");
    let (other, _) = new.created();
    deleted(&sandbox, &other.id);
    assert!(connects(&sandbox, &issued));
}

#[test]
fn answers_go_to_who_has_asked() {
    let sandbox = sandbox();
    let mut one = Claimant::connect_for(&sandbox, Version::V311, "one", "fleet");
    let mut two = Claimant::connect_for(&sandbox, Version::V5, "two", "fleet");
    one.created();
    two.device.sees_nothing();
    two.not_registered("x", "42");
    one.device.sees_nothing();
}

#[test]
fn who_has_not_subscribed_hears_nothing() {
    let sandbox = sandbox();
    let mut device = crate::common::Device::connect(&sandbox, Version::V311, "deaf");
    device.publish("$aws/certificates/create/json", b"", 0);
    device.sees_nothing();
    assert_eq!(sandbox.provisioning().certificates().len(), 1);
}

#[test]
fn a_hook_allows_changes_or_denies_a_registration() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let hook = move |request: &iotcore_sandbox::HookRequest| {
        seen.lock().unwrap().push(request.clone());
        match request.parameters["SerialNumber"].as_str() {
            "42" => HookAnswer::Allow,
            "43" => {
                let site = ("Site".to_owned(), "plant-9".to_owned());
                HookAnswer::AllowWith(BTreeMap::from([site]))
            }
            _ => HookAnswer::Deny,
        }
    };
    let asking = template("asking")
        .parameter_or("Site", "nowhere")
        .configuration(json!({ "Url": "https://{Site}.example.test" }))
        .hook(hook);
    let sandbox = builder().template(asking).start().unwrap();
    let mut new = Claimant::connect_for(&sandbox, Version::V5, "new", "asking");

    let (issued, token) = new.created();
    let denied = new.not_registered(&token, "41");
    assert_eq!(denied, (403, "AccessDenied".to_owned()));
    assert_eq!(shown(&sandbox, &issued), Seen::Closed);
    let answer = new.registered(&token, "42");
    assert_eq!(
        answer["deviceConfiguration"],
        json!({ "Url": "https://nowhere.example.test" })
    );
    let (_, token) = new.created();
    let answer = new.registered(&token, "43");
    assert_eq!(
        answer["deviceConfiguration"],
        json!({ "Url": "https://plant-9.example.test" })
    );

    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].claim_certificate_id, new.claim.id);
    assert_eq!(asked[0].certificate_id, issued.id);
    assert_eq!(asked[0].certificate_pem, issued.certificate_pem);
    assert_eq!(
        (&*asked[0].client_id, &*asked[0].template),
        ("new", "asking")
    );
    assert_eq!(asked[0].parameters["Site"], "nowhere");
}

#[test]
fn a_template_says_what_becomes_of_certificates_and_things() {
    let sandbox = builder()
        .template(template("inactive").leaves_inactive())
        .start()
        .unwrap();
    let mut new = Claimant::connect_for(&sandbox, Version::V311, "one", "inactive");
    let (issued, token) = new.created();
    new.registered(&token, "42");
    let status = sandbox.certificate_status(&issued.id);
    assert_eq!(status, CertificateStatus::Inactive);
    assert_eq!(shown(&sandbox, &issued), Seen::Closed);

    // The same thing once more.
    let mut new = Claimant::connect(&sandbox, Version::V311);
    let (_, token) = new.created();
    assert_eq!(new.registered(&token, "42")["thingName"], "device-42");
    let provisioning = sandbox.provisioning();
    provisioning.template(template("fleet").refuses_known_things());
    let (_, token) = new.created();
    let refusal = new.not_registered(&token, "42");
    assert_eq!(refusal, (409, "ResourceConflict".to_owned()));
    new.registered(&token, "43");

    provisioning.remove_template("fleet");
    assert_eq!(new.not_registered(&token, "44").0, 404);
}

#[test]
fn requests_on_the_cbor_topics_are_not_answered() {
    let sandbox = sandbox();
    let mut new = Claimant::connect(&sandbox, Version::V5);
    let id = new
        .device
        .publish("$aws/certificates/create/cbor", b"\xa0", 1);
    let puback = Seen::Puback {
        packet_id: id,
        code: 0,
    };
    assert_eq!(new.device.next(), puback);
    new.device.sees_nothing();
    assert_eq!(story(&sandbox), []);
}
