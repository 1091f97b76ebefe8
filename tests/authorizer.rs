//! Custom authorisers: what they are told, on TLS and in a WebSocket, and what is said when they refuse.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use common::access::{PASSWORD, anonymous, authorized, authorizer, secret};
use common::{Device, LONG, builder, wait_for};
use iotcore_sandbox::example::{SIGNATURE, TOKEN};
use iotcore_sandbox::{Authorizer, Channel, Cut, Event, Sandbox};

fn sandbox() -> Sandbox {
    let builder = builder().authorizer(authorizer("Fleet"));
    builder.start().expect("the sandbox starts")
}

/// Ends after failures like this, and nothing in the log is secret.
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
    for hidden in [PASSWORD, TOKEN, SIGNATURE, "not-the-one"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
    assert_eq!(device.logged("the next start uses certificate"), 0, "{log}");
}

/// What the authoriser was shown, and how.
fn shown(sandbox: &Sandbox) -> (Channel, Option<String>, Vec<String>, bool) {
    let call = sandbox.wait_for(LONG, |records| {
        records.iter().find_map(|record| match &record.event {
            Event::Authorizer(call) => Some(call.clone()),
            _ => None,
        })
    });
    let call = call.expect("an authoriser was asked");
    (call.channel, call.username, call.parameters, call.password)
}

#[test]
fn on_tls_the_user_name_says_everything() {
    let sandbox = sandbox();
    for version in ["5", "3.1.1"] {
        let mut device = authorized(&sandbox, "Fleet");
        device.option("--mqtt", version);
        device.start().wait_for_log("connected to localhost");
        device.drop_message("1", "t", version);
        device.wait_until_empty();
        assert_eq!(sandbox.published().last().unwrap().text(), version);
    }
    let (channel, username, parameters, password) = shown(&sandbox);
    assert_eq!(channel, Channel::Username);
    assert_eq!(username.as_deref(), Some("pump & co"));
    assert_eq!(parameters.len(), 3, "{parameters:?}");
    assert!(password);
    let alpn = sandbox.wait_for_event(LONG, |event| match event {
        Event::TlsEstablished { alpn, .. } => alpn.as_deref() == Some("mqtt"),
        _ => false,
    });
    assert!(alpn.is_some());
}

#[test]
fn in_a_websocket_headers_say_it() {
    let sandbox = sandbox();
    let mut device = authorized(&sandbox, "Fleet");
    device.option("--transport", "wss");
    device.start().wait_for_log("connected to localhost");
    device.drop_message("1", "t", "hello");
    device.wait_until_empty();
    let (channel, username, _, password) = shown(&sandbox);
    assert_eq!(channel, Channel::Upgrade);
    assert_eq!(username.as_deref(), Some("pump & co"));
    assert!(password);
}

#[test]
fn the_default_authorizer_needs_no_name() {
    let all = Authorizer::new("All").by_default();
    let sandbox = builder().authorizer(all).start().unwrap();
    for transport in ["mqtt", "wss"] {
        let mut device = anonymous(&sandbox);
        device.option("--transport", transport);
        device.option("--authorizer", "");
        device.start().wait_for_log("connected to localhost");
        device.wait_for_log("the endpoint's default authoriser");
    }
}

#[test]
fn a_refusal_names_the_authorizer() {
    let sandbox = sandbox();
    for transport in ["mqtt", "wss"] {
        let refused = if transport == "mqtt" {
            "connection failed: refused: "
        } else {
            "connection failed: http: the request for a WebSocket was answered with status 40"
        };
        let mut device = authorized(&sandbox, "Fleet");
        device.option("--transport", transport);
        secret(&device, "token", "not-the-one");
        fails(&mut device, refused);
        device.wait_for_log("the authoriser 'Fleet' ");
        // A password is judged with CONNECT.
        let mut device = authorized(&sandbox, "Fleet");
        device.option("--transport", transport);
        secret(&device, "password", "not-the-one");
        fails(&mut device, "connection failed: refused: ");
        device.wait_for_log("the authoriser 'Fleet' may have refused user name, password or token");
    }
    let mut device = authorized(&sandbox, "Other");
    fails(&mut device, "the authoriser 'Other' may have refused");
}

#[test]
fn a_token_is_read_anew_for_each_connection() {
    let first = Authorizer::new("Fleet").token("first");
    let sandbox = builder().authorizer(first).start().unwrap();
    let mut device = anonymous(&sandbox);
    let token = secret(&device, "token", "wrong");
    device.option("--authorizer", "Fleet");
    device.option("--authorizer-token-key", "token");
    device.option("--authorizer-token-file", token.display());
    device.start().wait_for_log("connection failed: refused: ");
    secret(&device, "token", "first\n");
    device.wait_for_log("connected to localhost");
    fs::remove_file(&token).unwrap();
    sandbox.cut("device-1", Cut::Close);
    device.wait_for_log("connection failed: credentials: --authorizer-token-file=/");
    secret(&device, "token", "first\n");
    wait_for("it is connected again", LONG, || {
        device.logged("connected to localhost") == 2
    });
}

#[test]
fn files_with_secrets_are_for_their_owner_alone() {
    let sandbox = sandbox();
    for (name, contents, mode, words) in [
        ("token", TOKEN, 0o644, "chmod 600 /"),
        ("password", PASSWORD, 0o640, "chmod 600 /"),
        ("signature", "", 0o600, "--authorizer-signature-file="),
        (
            "token",
            "two\nlines",
            0o600,
            "is not one line of printable ASCII",
        ),
    ] {
        let mut device = authorized(&sandbox, "Fleet");
        let file = secret(&device, name, contents);
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        fails(&mut device, "connection failed: credentials: --authorizer-");
        device.wait_for_log(words);
        device.flag("--check");
        assert_eq!(device.start().exit_code(), Some(100));
    }
}

#[test]
fn a_port_that_wants_a_certificate_is_named() {
    let sandbox = sandbox();
    let mut device = authorized(&sandbox, "Fleet");
    device.option("--endpoint", format!("localhost:{}", sandbox.port()));
    fails(
        &mut device,
        "connection failed: tls: the broker wants a certificate on this port",
    );
}
