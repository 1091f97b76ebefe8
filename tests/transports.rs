//! Every transport, and the same with each: connect, publish a thousand messages, lose the connection,
//! connect again, and with a wrong secret fail by the right name and rotate no certificate.

mod common;
#[path = "../crates/chariotd-pkcs11/tests/common/mod.rs"]
mod token;

use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use common::access::{
    KEY_ID, SESSION_TOKEN, authorized, authorizer, borrowing, keys_file, secret, signing, with_keys,
};
use common::proxies::{PASSWORD, ProxyProcess, microsocks, squid, stunnel, tinyproxy};
use common::tokens::helper;
use common::{Device, LONG, builder, wait_for};
use iotcore_sandbox::{Cut, Sandbox};
use token::SoftToken;

/// One way to the broker.
struct Transport {
    sandbox: Sandbox,
    device: Device,
    /// Changes what the device shows into something wrong.
    wrong: fn(&mut Device),
    /// What the log then says of it, from the class on.
    failure: &'static str,
    /// Whatever has to live as long as the test: proxies, tokens.
    _keeps: Vec<Box<dyn Any>>,
}

const MESSAGES: usize = 1000;

fn payloads(sandbox: &Sandbox) -> BTreeSet<String> {
    let published = sandbox.published();
    published.iter().map(|publish| publish.text()).collect()
}

fn drop_messages(device: &Device, from: usize, count: usize) {
    for n in from..from + count {
        device.drop_message(&format!("{n:05}"), "t", &n.to_string());
    }
}

/// The row of one transport.
fn check(transport: Transport) {
    let Transport {
        sandbox,
        mut device,
        wrong,
        failure,
        _keeps,
    } = transport;
    works(&sandbox, &mut device);
    wrong(&mut device);
    device.option("--connect-attempts", 1);
    assert_eq!(device.start().exit_code(), Some(111), "{}", device.log());
    device.wait_for_log(&format!("connection failed: {failure}"));
    assert_eq!(rotations(&device), 0, "{}", device.log());
}

fn rotations(device: &Device) -> usize {
    device.logged("the next start uses certificate")
}

/// Everything but the wrong secret.
fn works(sandbox: &Sandbox, device: &mut Device) {
    device.start().wait_for_log("connected to");
    drop_messages(device, 0, MESSAGES);
    device.wait_until_empty();
    assert_eq!(payloads(sandbox).len(), MESSAGES);
    // Cut while messages are on their way: none of them is lost.
    drop_messages(device, MESSAGES, MESSAGES / 2);
    sandbox.wait_for_publishes(MESSAGES + 100, LONG);
    sandbox.cut("device-1", Cut::Reset);
    device.wait_for_log("connection lost: ");
    let log = device.log();
    let named = ["server: ", "network: "]
        .iter()
        .any(|class| log.contains(&format!("connection lost: {class}")));
    assert!(named, "{log}");
    wait_for("it is connected again", LONG, || {
        device.logged("connected to") == 2
    });
    device.wait_until_empty();
    assert_eq!(payloads(sandbox).len(), MESSAGES + MESSAGES / 2);
    assert_eq!(device.failed(), [""; 0]);
    assert_eq!(device.stop(), Some(0));
}

/// Makes the device show a certificate that the broker does not know, the only one that it has.
fn unknown_certificate(device: &mut Device) {
    let elsewhere = builder().start().expect("another sandbox");
    let store = device.certstore();
    let endpoint = fs::read_to_string(store.join("endpoint.txt")).unwrap();
    fs::remove_dir_all(&store).unwrap();
    elsewhere.pki().write_certstore(&store, 1);
    fs::write(store.join("endpoint.txt"), endpoint).unwrap();
}

fn mutual_tls(version: &str) -> Transport {
    let sandbox = builder().start().unwrap();
    let mut device = Device::new(&sandbox);
    device.option("--mqtt", version);
    Transport {
        sandbox,
        device,
        wrong: unknown_certificate,
        failure: "tls-cert: the broker refused our certificate",
        _keeps: Vec::new(),
    }
}

#[test]
fn mutual_tls_with_mqtt_5() {
    check(mutual_tls("5"));
}

#[test]
fn mutual_tls_with_mqtt_3_1_1() {
    check(mutual_tls("3.1.1"));
}

#[test]
fn mutual_tls_on_port_443() {
    if !common::is_root() {
        eprintln!("skipped: only root can listen on port 443");
        return;
    }
    let sandbox = builder().port(443).require_alpn().start().unwrap();
    let device = Device::new(&sandbox);
    check(Transport {
        sandbox,
        device,
        wrong: unknown_certificate,
        failure: "tls-cert: the broker refused our certificate",
        _keeps: Vec::new(),
    });
}

#[test]
fn a_key_in_a_token() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    let sandbox = builder().start().unwrap();
    let mut device = Device::new(&sandbox);
    let certificate = device.path("token.crt");
    let text = token.certificate("01", sandbox.pki().dir(), helper());
    fs::write(&certificate, text).unwrap();
    device.option("--cert", certificate.display());
    device.option("--key", token.uri("token=chariot;object=ec"));
    device.option("--key-helper", token.with_environment(helper()));
    works(&sandbox, &mut device);
    token.write_pin("wrong");
    device.option("--connect-attempts", 1).start();
    device.wait_for_log("connection failed: key: token 'chariot' has refused the PIN");
    // Without giving up: a new process would show it the same PIN again.
    device.wait_for_log("(2 times in a row), next attempt");
    assert_eq!(device.stop(), Some(0));
    assert_eq!(rotations(&device), 0, "{}", device.log());
}

/// The file of the proxy's password.
fn proxy_password(device: &Device, password: &str) -> PathBuf {
    secret(device, "proxy-password", password)
}

/// Mutual TLS through this one, as the user whom it knows.
fn through(
    sandbox: Sandbox,
    proxy: ProxyProcess,
    scheme: &str,
    failure: &'static str,
) -> Transport {
    let mut device = Device::new(&sandbox);
    let file = proxy_password(&device, PASSWORD);
    device.option("--proxy", proxy.url_with_user(scheme));
    device.option("--proxy-password-file", file.display());
    if scheme == "https" {
        device.option("--proxy-cacert", sandbox.pki().ca_file().display());
    }
    Transport {
        sandbox,
        device,
        wrong: |device| drop(proxy_password(device, "wrong")),
        failure,
        _keeps: vec![Box::new(proxy)],
    }
}

#[test]
fn an_http_proxy() {
    let sandbox = builder().start().unwrap();
    if let Some(proxy) = tinyproxy(sandbox.port(), true) {
        check(through(sandbox, proxy, "http", "proxy: http://localhost:"));
    }
}

#[test]
fn an_http_proxy_of_another_make() {
    let sandbox = builder().start().unwrap();
    if let Some(proxy) = squid(sandbox.port(), None) {
        check(through(sandbox, proxy, "http", "proxy: http://localhost:"));
    }
}

#[test]
fn an_https_proxy() {
    let sandbox = builder().start().unwrap();
    let Some(behind) = tinyproxy(sandbox.port(), true) else {
        return;
    };
    if let Some(proxy) = stunnel(sandbox.pki(), behind.port) {
        let mut transport = through(sandbox, proxy, "https", "proxy: https://localhost:");
        transport._keeps.push(Box::new(behind));
        check(transport);
    }
}

#[test]
fn a_socks5_proxy() {
    let sandbox = builder().start().unwrap();
    if let Some(proxy) = microsocks(true) {
        check(through(
            sandbox,
            proxy,
            "socks5",
            "proxy: socks5://localhost:",
        ));
    }
}

fn wrong_keys(device: &mut Device) {
    keys_file(device, KEY_ID, "wrong", SESSION_TOKEN);
}

/// A WebSocket that access keys ask for.
fn signed(version: &str) -> Transport {
    let sandbox = with_keys(builder()).start().unwrap();
    let mut device = signing(&sandbox);
    device.option("--mqtt", version);
    Transport {
        sandbox,
        device,
        wrong: wrong_keys,
        failure: "http: the request for a WebSocket was answered with status 403",
        _keeps: Vec::new(),
    }
}

#[test]
fn a_signed_websocket_with_mqtt_5() {
    check(signed("5"));
}

#[test]
fn a_signed_websocket_with_mqtt_3_1_1() {
    check(signed("3.1.1"));
}

#[test]
fn a_signed_websocket_through_an_http_proxy() {
    let mut transport = signed("5");
    let port = transport.sandbox.wss_port();
    if let Some(proxy) = tinyproxy(port, true) {
        let file = proxy_password(&transport.device, PASSWORD);
        let device = &mut transport.device;
        device.option("--proxy", proxy.url_with_user("http"));
        device.option("--proxy-password-file", file.display());
        transport._keeps.push(Box::new(proxy));
        check(transport);
    }
}

#[test]
fn a_websocket_with_borrowed_keys() {
    let sandbox = builder().start().unwrap();
    let device = borrowing(&sandbox);
    check(Transport {
        sandbox,
        device,
        wrong: unknown_certificate,
        failure: "tls-cert: the credential provider localhost:",
        _keeps: Vec::new(),
    });
}

#[test]
fn a_websocket_with_borrowed_keys_through_a_socks5_proxy() {
    let Some(proxy) = microsocks(true) else {
        return;
    };
    let sandbox = builder().start().unwrap();
    let mut device = borrowing(&sandbox);
    let file = proxy_password(&device, PASSWORD);
    device.option("--proxy", proxy.url_with_user("socks5"));
    device.option("--proxy-password-file", file.display());
    check(Transport {
        sandbox,
        device,
        wrong: |device| drop(proxy_password(device, "wrong")),
        failure: "proxy: the credential provider localhost:",
        _keeps: vec![Box::new(proxy)],
    });
}

/// A custom authoriser, directly on TLS or in a WebSocket.
fn judged(transport: &str, version: &str, failure: &'static str) -> Transport {
    let builder = builder().authorizer(authorizer("Fleet"));
    let sandbox = builder.start().unwrap();
    let mut device = authorized(&sandbox, "Fleet");
    device.option("--transport", transport);
    device.option("--mqtt", version);
    Transport {
        sandbox,
        device,
        wrong: |device| drop(secret(device, "token", "wrong")),
        failure,
        _keeps: Vec::new(),
    }
}

#[test]
fn an_authorizer_with_mqtt_5() {
    check(judged("mqtt", "5", "refused: CONNACK"));
}

#[test]
fn an_authorizer_with_mqtt_3_1_1() {
    check(judged("mqtt", "3.1.1", "refused: CONNACK"));
}

#[test]
fn an_authorizer_in_a_websocket() {
    check(judged(
        "wss",
        "5",
        "http: the request for a WebSocket was answered with status 40",
    ));
}
