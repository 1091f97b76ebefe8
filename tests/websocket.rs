//! MQTT in a WebSocket: what is signed and sent, what is said when it fails, and where access keys come
//! from.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use common::access::{
    KEY_ID, SECRET, SESSION_TOKEN, borrowing, keys_file, secret, signing, with_keys,
};
use common::mosquitto::Mosquitto;
use common::{Device, LONG, builder, wait_for};
use iotcore_sandbox::{
    CredentialFault, CredentialTrouble, Cut, Event, Fault, RoleAlias, Sandbox, What, When,
};

fn sandbox() -> Sandbox {
    with_keys(builder()).start().expect("the sandbox starts")
}

fn count(sandbox: &Sandbox, fits: impl Fn(&Event) -> bool) -> usize {
    let records = sandbox.record();
    records.iter().filter(|record| fits(&record.event)).count()
}

fn asked_for_keys(sandbox: &Sandbox) -> usize {
    count(sandbox, |event| {
        matches!(event, Event::CredentialsRequested { .. })
    })
}

/// Everything is logged, and the failure among it; nothing that is secret.
#[track_caller]
fn fails(device: &mut Device, words: &str) {
    device.option("--connect-attempts", 1);
    let mut command = device.command();
    command.env(
        "RUST_LOG",
        "trace,tungstenite::protocol=trace,rumqttc=trace",
    );
    device.start_as(command);
    assert_eq!(device.exit_code(), Some(111), "{}", device.log());
    device.wait_for_log(words);
    let log = device.log();
    for hidden in [SECRET, SESSION_TOKEN, "X-Amz-Signature", "not-the-secret"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
    assert_eq!(device.logged("the next start uses certificate"), 0, "{log}");
}

#[test]
fn a_signed_request_opens_a_websocket() {
    let sandbox = sandbox();
    let mut device = signing(&sandbox);
    device.start().wait_for_log("connected to localhost");
    device.drop_message("1", "t", "hello");
    device.wait_until_empty();
    assert_eq!(sandbox.published()[0].text(), "hello");
    let shown = sandbox.wait_for_event(LONG, |event| match event {
        Event::Upgrade {
            path, parameters, ..
        } => {
            path == "/mqtt"
                && parameters
                    .last()
                    .is_some_and(|last| last == "X-Amz-Security-Token")
        }
        _ => false,
    });
    assert!(shown.is_some(), "{:?}", sandbox.record());
    let certificate = count(&sandbox, |event| {
        matches!(
            event,
            Event::TlsEstablished {
                certificate_id: Some(_),
                ..
            }
        )
    });
    assert_eq!(certificate, 0);
    assert_eq!(device.stop(), Some(0));
    let disconnected = |event: &Event| matches!(event, Event::DisconnectReceived { .. });
    assert!(sandbox.wait_for_event(LONG, disconnected).is_some());
}

#[test]
fn keys_of_the_environment_are_taken() {
    let sandbox = sandbox();
    let mut device = signing(&sandbox);
    device.without("--aws-credentials-file").without("--region");
    let mut command = device.command();
    command
        .env("AWS_ACCESS_KEY_ID", KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_SESSION_TOKEN", SESSION_TOKEN)
        .env("AWS_DEFAULT_REGION", "eu-west-1");
    device.start_as(command);
    device.wait_for_log("connected to localhost");
}

#[test]
fn messages_of_a_single_byte_and_large_payloads_pass() {
    let builder = with_keys(builder()).largest_frame(1);
    let sandbox = builder.start().expect("the sandbox starts");
    let mut device = signing(&sandbox);
    let inbox = device.path("inbox");
    fs::create_dir(&inbox).unwrap();
    device.option("--subscribe-spool", format!("down/#:{}", inbox.display()));
    device.start().wait_for_log("connected to localhost");
    let large = "x".repeat(100_000);
    device.drop_message("1", "t", &large);
    device.wait_until_empty();
    assert_eq!(sandbox.published()[0].text(), large);
    wait_for("it is subscribed", LONG, || {
        sandbox.publish("down/1", b"hello", 1) > 0
    });
    wait_for("it came", LONG, || {
        fs::read_dir(inbox.join("new")).is_ok_and(|entries| entries.count() > 0)
    });
}

#[test]
fn a_wrong_secret_is_told_and_not_shown() {
    let sandbox = sandbox();
    let mut device = signing(&sandbox);
    keys_file(&device, KEY_ID, "not-the-secret", SESSION_TOKEN);
    let words = "connection failed: http: the request for a WebSocket was answered with status 403; the access keys AKIDEXAMPLE are wrong";
    fails(&mut device, words);
    let mut device = signing(&sandbox);
    device.option("--region", "us-east-1");
    fails(&mut device, "or the region is not 'us-east-1'");
}

#[test]
fn keys_are_read_anew_for_each_connection() {
    let sandbox = sandbox();
    let mut device = signing(&sandbox);
    device.start().wait_for_log("connected to localhost");
    sandbox.remove_access_key(KEY_ID);
    sandbox.add_access_key("AKIDNEXT", SECRET, None);
    keys_file(&device, "AKIDNEXT", SECRET, "");
    sandbox.cut("device-1", Cut::Close);
    wait_for("it is connected again", LONG, || {
        device.logged("connected to localhost") == 2
    });
    assert_eq!(device.logged("connection failed"), 0, "{}", device.log());
}

#[test]
fn keys_that_cannot_be_used_are_named_before_anything_is_sent() {
    let sandbox = sandbox();
    let profile = format!("aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n");
    for (contents, mode, words) in [
        (
            format!("[default]\n{profile}aws_credential_expiration = 2020-01-01T00:00:00Z\n"),
            0o600,
            "expired on 2020-01-01T00:00:00Z, and our clock says 2",
        ),
        (
            format!("[other]\n{profile}"),
            0o600,
            "holds no profile 'default', it has 'other'",
        ),
        (String::new(), 0o600, "is empty"),
        (format!("[default]\n{profile}"), 0o644, "chmod 600 /"),
    ] {
        let mut device = signing(&sandbox);
        let file = secret(&device, "aws", &contents);
        fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
        fails(&mut device, "connection failed: credentials: ");
        device.wait_for_log(words);
        device.flag("--check");
        assert_eq!(device.start().exit_code(), Some(100));
    }
    let mut device = signing(&sandbox);
    fs::remove_file(device.path("aws")).unwrap();
    fails(&mut device, "cannot be read: No such file");
    let opened = count(&sandbox, |event| *event == Event::ConnectionOpened);
    assert_eq!(opened, 0);
}

#[test]
fn a_clock_that_is_off_is_told_by_the_date_of_the_answer() {
    let sandbox = sandbox();
    sandbox.clock_skew(40 * 60);
    let mut device = signing(&sandbox);
    device.option("--connect-attempts", 1);
    device.start();
    device.wait_for_log(
        "connection failed: tls-clock: our clock is 40 minutes behind that of the server",
    );
    device.wait_for_log("or when the clock is set");
    assert!(device.runs(), "a clock is waited for");
}

#[test]
fn an_upgrade_that_goes_wrong_is_named_and_tried_again() {
    let sandbox = sandbox();
    let faults = [
        (
            What::RefuseUpgrade(503),
            "answered with status 503; it may pass",
        ),
        (
            What::RefuseUpgrade(404),
            "answered with status 404; there is no MQTT under /mqtt",
        ),
        (
            What::WrongAccept,
            "its Sec-WebSocket-Accept is missing or does not belong to our key",
        ),
        (What::OmitProtocol, "its Sec-WebSocket-Protocol is missing"),
    ];
    for (fault, _) in &faults {
        sandbox.add_fault(Fault::once(When::Always, fault.clone()));
    }
    let mut device = signing(&sandbox);
    device.start().wait_for_log("connected to localhost");
    for (_, words) in faults {
        device.wait_for_log("connection failed: http: ");
        device.wait_for_log(words);
    }
}

#[test]
fn access_keys_are_borrowed_for_our_certificate() {
    let sandbox = sandbox();
    let mut device = borrowing(&sandbox);
    device.start().wait_for_log("connected to localhost");
    let asked = sandbox.wait_for_event(LONG, |event| match event {
        Event::CredentialsRequested { alias, thing, .. } => {
            alias.as_deref() == Some("device") && thing.as_deref() == Some("device-1")
        }
        _ => false,
    });
    assert!(asked.is_some(), "{:?}", sandbox.record());
    // They are kept until they end.
    sandbox.cut("device-1", Cut::Close);
    wait_for("it is connected again", LONG, || {
        device.logged("connected to localhost") == 2
    });
    assert_eq!(asked_for_keys(&sandbox), 1);
}

#[test]
fn keys_that_end_soon_are_borrowed_anew() {
    let role = RoleAlias::new("device").lifetime(Duration::from_secs(200));
    let builder = with_keys(builder()).role_alias(role);
    let sandbox = builder.start().expect("the sandbox starts");
    let mut device = borrowing(&sandbox);
    device.start().wait_for_log("connected to localhost");
    // While they are good they serve, whatever the provider says.
    let busy = CredentialFault::once(CredentialTrouble::Refuse(503));
    sandbox.credential_fault(busy);
    sandbox.cut("device-1", Cut::Close);
    wait_for("it is connected again", LONG, || {
        device.logged("connected to localhost") == 2
    });
    device.wait_for_log("the access keys are not renewed, and used until they end: http: the credential provider localhost:");
    assert_eq!(asked_for_keys(&sandbox), 2);
}

#[test]
fn a_provider_that_lends_nothing_is_named_and_not_asked_again_soon() {
    for (trouble, words) in [
        (
            CredentialTrouble::Refuse(403),
            "status 403; the certificate's policy must allow iot:AssumeRoleWithCertificate",
        ),
        (CredentialTrouble::Garble, "its answer holds no credentials"),
        (
            CredentialTrouble::Incomplete,
            "its answer holds no credentials",
        ),
    ] {
        let sandbox = sandbox();
        sandbox.credential_fault(CredentialFault::always(trouble));
        let mut device = borrowing(&sandbox);
        fails(
            &mut device,
            "connection failed: http: the credential provider localhost:",
        );
        device.wait_for_log(words);
        assert_eq!(asked_for_keys(&sandbox), 1, "{trouble:?}");
    }
    let sandbox = sandbox();
    sandbox.credential_fault(CredentialFault::once(CredentialTrouble::CutShort));
    let mut device = borrowing(&sandbox);
    device.start().wait_for_log("connected to localhost");
    device.wait_for_log("http: the credential provider localhost:");
}

#[test]
fn a_certificate_that_the_provider_refuses_is_not_rotated() {
    let sandbox = sandbox();
    let mut device = borrowing(&sandbox);
    sandbox
        .pki()
        .write_certstore(&device.certstore(), sandbox.wss_port());
    for entry in fs::read_dir(device.certstore()).unwrap().flatten() {
        sandbox.revoke(&entry.file_name().to_string_lossy());
    }
    fails(&mut device, "the credential provider localhost:");
}

#[test]
fn it_works_with_another_broker() {
    let Some(mosquitto) = Mosquitto::with_websockets("pump", "s3cr3t") else {
        return;
    };
    let connect = |password: &str| {
        let mut device = Device::bare(mosquitto.pki());
        let file = secret(&device, "password", password);
        device.without("--certstore").option("--transport", "wss");
        device.option(
            "--endpoint",
            format!("localhost:{}", mosquitto.websockets()),
        );
        device.option("--authorizer", "");
        device.option("--authorizer-username", "pump");
        device.option("--authorizer-password-file", file.display());
        device
    };
    let mut device = connect("s3cr3t");
    device.start().wait_for_log("connected to localhost");
    for n in 0..1000 {
        device.drop_message(&format!("{n:04}"), "t", &n.to_string());
    }
    device.wait_until_empty();
    assert_eq!(mosquitto.received_topics().len(), 1000);
    assert_eq!(device.stop(), Some(0));
    let mut device = connect("wrong");
    fails(
        &mut device,
        "connection failed: refused: CONNACK NotAuthorized: the endpoint's default authoriser may have refused",
    );
}
