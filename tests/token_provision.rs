//! Fleet provisioning with the key in a token (manual, KEYS IN HARDWARE): it is made there, survives a kill at any
//! step, and no attempt leaves a key behind.

mod common;
#[path = "../crates/chariotd-pkcs11/tests/common/mod.rs"]
mod token;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::tokens::{WAYS, Way};
use common::{Device, LONG, drop_file, names, sandbox};
use iotcore_sandbox::{CertificateStatus, Deny, Sandbox};
use serde_json::{Value, json};
use token::{PIN, SoftToken};

/// A device that has nothing but a claim certificate and a token.
fn newborn(way: Way, sandbox: &Sandbox, token: &SoftToken, more: &Value) -> Device {
    let mut device = Device::bare(sandbox.pki());
    fs::create_dir(device.certstore()).unwrap();
    let endpoint = device.certstore().join("endpoint.txt");
    fs::write(endpoint, format!("localhost:{}\n", sandbox.port())).unwrap();
    let claims = device.path("claims");
    sandbox.pki().write_claim_store(&claims, sandbox.port());
    let mut settings = json!({
        "claimstore": claims, "template": "fleet", "parameters": {"SerialNumber": "1234"},
        "csr": true, "keyuri": token.uri("token=chariot;object=pump"),
    });
    for (key, value) in more.as_object().expect("an object") {
        settings[key] = value.clone();
    }
    let (file, commands) = (device.path("fp.json"), device.path("commands"));
    fs::write(&file, settings.to_string()).unwrap();
    fs::create_dir(&commands).unwrap();
    device.option("--fleetprov", file.display());
    device.option("--commands", commands.display());
    device.option("--connect-attempts", 2);
    way.add(&mut device);
    device
}

fn start(device: &mut Device, token: &SoftToken) {
    let mut command = device.command();
    token.environment(&mut command);
    device.start_as(command);
}

/// Starts it until it is connected with a certificate of its own.
#[track_caller]
fn start_until_connected(device: &mut Device, token: &SoftToken, sandbox: &Sandbox) {
    for _ in 0..6 {
        start(device, token);
        let begun = Instant::now();
        let connected = || sandbox.connected().contains(&"device-1".to_owned());
        while device.runs() && !connected() {
            assert!(begun.elapsed() < LONG, "{}", device.log());
            thread::sleep(Duration::from_millis(2));
        }
        if device.runs() {
            return;
        }
        let code = device.exit_code();
        assert!(matches!(code, Some(0 | 111)), "{code:?}: {}", device.log());
    }
    panic!("never connected: {}", device.log());
}

fn preferred(device: &Device) -> String {
    let link = fs::read_link(device.certstore().join("preferred")).unwrap();
    link.to_string_lossy().into_owned()
}

/// The address in the place of the preferred certificate's key.
fn address(device: &Device) -> String {
    let id = preferred(device);
    let file = format!("{id}/{id}-private.pem.key");
    fs::read_to_string(device.certstore().join(file)).unwrap()
}

fn keys(token: &SoftToken) -> usize {
    let listed = token.tool(&["--list-objects", "--type", "privkey"]);
    listed.matches("Private Key Object").count()
}

#[track_caller]
fn assert_it_works(device: &Device, sandbox: &Sandbox) {
    let status = sandbox.certificate_status(&preferred(device));
    assert_eq!(status, CertificateStatus::Active);
    device.drop_message("hello", "devices/1234", "born");
    device.wait_until_empty();
    assert!(device.failed().is_empty());
}

#[test]
fn a_device_is_born_with_a_key_in_its_token_and_renewed_with_another_one() {
    for way in WAYS {
        for more in [json!({}), json!({"keytype": "rsa-2048"})] {
            let Some(token) = SoftToken::new() else {
                return;
            };
            let sandbox = sandbox();
            let mut device = newborn(way, &sandbox, &token, &more);
            start(&mut device, &token);
            assert_eq!(device.exit_code(), Some(0), "{way:?} {more}");
            let first = address(&device);
            assert!(
                first.starts_with("pkcs11:token=chariot;object=pump-"),
                "{first}"
            );
            start_until_connected(&mut device, &token, &sandbox);
            assert_it_works(&device, &sandbox);
            drop_file(&device.path("commands"), "reprovision", "");
            assert_eq!(device.exit_code(), Some(0));
            assert_ne!(address(&device), first);
            assert_eq!(keys(&token), 2);
            start_until_connected(&mut device, &token, &sandbox);
            assert_it_works(&device, &sandbox);
            assert!(!device.certstore().join(".provisioning.key").exists());
            assert!(!device.log().contains(PIN), "{}", device.log());
        }
    }
}

#[test]
fn a_kill_at_any_step_of_the_birth_leaves_one_key() {
    for step in [
        "there is no certificate, provisioning",
        "started the key helper",
        "the token has the key with",
        "connected to",
        "the cloud has made the certificate",
        "the device is registered as",
        "is preferred from now on",
    ] {
        let Some(token) = SoftToken::new() else {
            return;
        };
        let sandbox = sandbox();
        let mut device = newborn(Way::Helper, &sandbox, &token, &json!({}));
        start(&mut device, &token);
        device.wait_for_log(step);
        if device.runs() {
            device.kill();
        } else {
            device.exit_code();
        }
        start_until_connected(&mut device, &token, &sandbox);
        assert_it_works(&device, &sandbox);
        assert_eq!(keys(&token), 1, "{step}: {}", device.log());
    }
}

#[test]
fn attempts_that_the_cloud_refuses_use_one_key() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    let sandbox = sandbox();
    sandbox.claim_policy(Deny::for_claims_without_csr());
    let mut device = newborn(Way::Helper, &sandbox, &token, &json!({}));
    for _ in 0..3 {
        start(&mut device, &token);
        assert_eq!(device.exit_code(), Some(111));
    }
    assert_eq!(keys(&token), 1);
    assert_eq!(names(&device.certstore()), ["endpoint.txt"]);
    sandbox.claim_policy(Vec::new());
    start_until_connected(&mut device, &token, &sandbox);
    assert_eq!(keys(&token), 1);
}

#[test]
fn a_token_that_refuses_the_pin_or_is_absent_is_waited_for() {
    for way in WAYS {
        let Some(token) = SoftToken::new() else {
            return;
        };
        let sandbox = sandbox();
        let mut device = newborn(way, &sandbox, &token, &json!({}));
        token.write_pin("s3cr3t-4321");
        start(&mut device, &token);
        device.wait_for_log("the token makes no key: token 'chariot' refuses the PIN");
        device.wait_for_log("the token makes no key: token 'chariot' has refused the PIN");
        assert_eq!(token.logins(), 1);
        token.tell("absent");
        token.write_pin(PIN);
        device.wait_for_log("the token makes no key: token 'chariot' is absent");
        token.untell("absent");
        assert_eq!(device.exit_code(), Some(0));
        start_until_connected(&mut device, &token, &sandbox);
        assert_eq!(keys(&token), 1);
    }
}
