//! Keys in a TPM 2, in software, through tpm2-pkcs11 (manual, KEYS IN HARDWARE).

mod common;
#[path = "../crates/chariotd-pkcs11/tests/common/mod.rs"]
mod token;

use std::fs;
use std::process::Command;

use common::mosquitto::Mosquitto;
use common::tokens::{WAYS, helper};
use common::tpm::SoftTpm;
use common::{Device, LONG, sandbox, wait_for};
use iotcore_sandbox::{Cut, Sandbox};
use serde_json::json;

fn start(device: &mut Device, tpm: &SoftTpm) {
    let mut command = device.command();
    tpm.environment(&mut command);
    device.start_as(command);
}

fn certificate(tpm: &SoftTpm, uri: &str, ca: &std::path::Path) -> String {
    let mut command = Command::new(helper());
    tpm.environment(&mut command);
    token::certificate(uri, ca, command)
}

#[track_caller]
fn wait_until_connected(sandbox: &Sandbox, device: &Device, times: usize) {
    wait_for("it is connected", LONG, || {
        device.logged("connected to") >= times && !sandbox.connected().is_empty()
    });
}

#[test]
fn keys_in_a_tpm_connect_by_each_version_of_tls() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.make_key("ecc256", "ec");
    tpm.make_key("rsa2048", "rsa");
    for version in ["TLSv1.2", "TLSv1.3"] {
        let Some(mosquitto) = Mosquitto::up_to(version) else {
            return;
        };
        let mut count = 0;
        for way in WAYS {
            for label in ["ec", "rsa"] {
                let mut device = Device::at(mosquitto.pki(), mosquitto.port());
                let uri = tpm.uri(&format!("token=chariot;object={label}"));
                let file = device.path("tpm.crt");
                fs::write(&file, certificate(&tpm, &uri, mosquitto.pki().dir())).unwrap();
                device.option("--cert", file.display()).option("--key", uri);
                way.add(&mut device);
                start(&mut device, &tpm);
                device.drop_message("m", &format!("{version}/{label}"), "by a key in a TPM");
                device.wait_until_empty();
                count += 1;
                mosquitto.wait_for(count, LONG);
                assert_eq!(device.stop(), Some(0), "{way:?} {version} {label}");
            }
        }
    }
}

#[test]
fn a_device_is_born_with_a_key_in_its_tpm() {
    for way in WAYS {
        for kind in ["ec-p256", "rsa-2048"] {
            let Some(tpm) = SoftTpm::start() else { return };
            let sandbox = sandbox();
            let mut device = Device::bare(sandbox.pki());
            fs::create_dir(device.certstore()).unwrap();
            let endpoint = device.certstore().join("endpoint.txt");
            fs::write(endpoint, format!("localhost:{}\n", sandbox.port())).unwrap();
            let (claims, file) = (device.path("claims"), device.path("fp.json"));
            sandbox.pki().write_claim_store(&claims, sandbox.port());
            let settings = json!({
                "claimstore": claims, "template": "fleet", "parameters": {"SerialNumber": "1"},
                "csr": true, "keytype": kind, "keyuri": tpm.uri("token=chariot"),
            });
            fs::write(&file, settings.to_string()).unwrap();
            device.option("--fleetprov", file.display());
            way.add(&mut device);
            start(&mut device, &tpm);
            assert_eq!(device.exit_code(), Some(0), "{way:?} {kind}");
            start(&mut device, &tpm);
            device.drop_message("hello", "devices/1", "born");
            device.wait_until_empty();
            assert_eq!(device.stop(), Some(0));
        }
    }
}

#[test]
fn a_tpm_that_was_pulled_out_is_named_and_used_again_when_it_is_back() {
    let Some(mut tpm) = SoftTpm::start() else {
        return;
    };
    tpm.make_key("ecc256", "ec");
    let sandbox = sandbox();
    let way = WAYS[0];
    let mut device = Device::at(sandbox.pki(), sandbox.port());
    let uri = tpm.uri("token=chariot;object=ec");
    let file = device.path("tpm.crt");
    fs::write(&file, certificate(&tpm, &uri, sandbox.pki().dir())).unwrap();
    device.option("--cert", file.display()).option("--key", uri);
    device.option("--connect-attempts", 1);
    way.add(&mut device);
    start(&mut device, &tpm);
    wait_until_connected(&sandbox, &device, 1);
    tpm.pull_out();
    sandbox.cut("device-1", Cut::Close);
    device.wait_for_log("connection failed: key: ");
    device.wait_for_log("(2 times in a row), next attempt");
    tpm.plug_in();
    wait_until_connected(&sandbox, &device, 2);
    assert_eq!(device.stop(), Some(0));
}
