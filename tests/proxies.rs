//! Connections through proxies (manual, CONNECTION, Proxies): real ones, and one that misbehaves.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use common::access::{authorized, authorizer, borrowing, secret, signing, with_keys};
use common::names::with_files;
use common::proxies::{PASSWORD, ProxyProcess, free_port, microsocks, squid, stunnel, tinyproxy};
use common::strange_proxy::{Behaviour, StrangeProxy};
use common::{Device, LONG, builder, sandbox, wait_for};
use iotcore_sandbox::{CertificateKind, Cut, RoleAlias, Sandbox};

/// A device that goes through this proxy as the user whom it knows.
fn known_to(sandbox: &Sandbox, proxy: &ProxyProcess, scheme: &str) -> Device {
    let mut device = Device::new(sandbox);
    let file = secret(&device, "proxy-password", &format!("{PASSWORD}\n"));
    device.option("--proxy", proxy.url_with_user(scheme));
    device.option("--proxy-password-file", file.display());
    device
}

fn through(sandbox: &Sandbox, url: impl std::fmt::Display) -> Device {
    let mut device = Device::new(sandbox);
    device.option("--proxy", url);
    device
}

/// A second certificate beside the first, which is the preferred one. Gives its id back.
fn two_certificates(sandbox: &Sandbox, device: &Device) -> String {
    let first = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.pki().add_to_certstore(&device.certstore(), &first);
    symlink(&first.id, device.certstore().join("preferred")).unwrap();
    first.id
}

#[track_caller]
fn is_preferred(device: &Device, id: &str) {
    let preferred = fs::read_link(device.certstore().join("preferred")).unwrap();
    assert_eq!(preferred.to_str(), Some(id), "{}", device.log());
    assert_eq!(device.logged("the next start uses certificate"), 0);
}

/// Connects and publishes; loses the connection, and does it again.
#[track_caller]
fn works(sandbox: &Sandbox, mut device: Device, scheme: &str) {
    device.start().wait_for_log("connected to");
    assert_eq!(
        device.logged(&format!(
            "connecting through the proxy {scheme}://localhost:"
        )),
        1,
        "{}",
        device.log()
    );
    device.drop_message("1", "t", "one");
    sandbox.wait_for_publishes(1, LONG);
    sandbox.cut("device-1", Cut::Reset);
    wait_for("it is connected again", LONG, || {
        device.logged("connected to") == 2
    });
    device.drop_message("2", "t", "two");
    sandbox.wait_for_publishes(2, LONG);
    device.wait_until_empty();
    assert_eq!(device.stop(), Some(0));
    assert!(!device.log().contains(PASSWORD), "{}", device.log());
}

/// Fails so, again and again, and never because of its certificate.
#[track_caller]
fn fails(sandbox: &Sandbox, mut device: Device, reason: &str) -> Device {
    let first = two_certificates(sandbox, &device);
    device.option("--connect-attempts", 1);
    assert_eq!(device.start().exit_code(), Some(111), "{}", device.log());
    device.wait_for_log(&format!("connection failed: proxy: {reason}"));
    is_preferred(&device, &first);
    assert!(!device.log().contains(PASSWORD), "{}", device.log());
    device
}

#[test]
fn messages_go_through_tinyproxy() {
    let sandbox = sandbox();
    let Some(open) = tinyproxy(sandbox.port(), false) else {
        return;
    };
    works(&sandbox, through(&sandbox, open.url("http")), "http");
}

#[test]
fn messages_go_through_tinyproxy_with_a_password() {
    let sandbox = sandbox();
    let Some(proxy) = tinyproxy(sandbox.port(), true) else {
        return;
    };
    works(&sandbox, known_to(&sandbox, &proxy, "http"), "http");
}

#[test]
fn messages_go_through_tls_to_a_proxy() {
    let sandbox = sandbox();
    let Some(behind) = tinyproxy(sandbox.port(), true) else {
        return;
    };
    let Some(proxy) = stunnel(sandbox.pki(), behind.port) else {
        return;
    };
    let mut device = known_to(&sandbox, &proxy, "https");
    device.option("--proxy-cacert", sandbox.pki().ca_file().display());
    works(&sandbox, device, "https");
}

#[test]
fn messages_go_through_squid() {
    let sandbox = sandbox();
    let Some(proxy) = squid(sandbox.port(), None) else {
        return;
    };
    works(&sandbox, known_to(&sandbox, &proxy, "http"), "http");
}

#[test]
fn messages_go_through_tls_to_squid() {
    let sandbox = sandbox();
    let Some(proxy) = squid(sandbox.port(), Some(sandbox.pki())) else {
        return;
    };
    let mut device = known_to(&sandbox, &proxy, "https");
    device.option("--proxy-cacert", sandbox.pki().ca_file().display());
    works(&sandbox, device, "https");
}

#[test]
fn messages_go_through_socks5() {
    let sandbox = sandbox();
    let Some(open) = microsocks(false) else {
        return;
    };
    works(&sandbox, through(&sandbox, open.url("socks5")), "socks5");
    let proxy = microsocks(true).unwrap();
    let sandbox = common::sandbox();
    works(&sandbox, known_to(&sandbox, &proxy, "socks5"), "socks5");
}

#[test]
fn every_connection_goes_through_the_proxy_whatever_it_is_for() {
    let builder = with_keys(builder())
        .role_alias(RoleAlias::new("device"))
        .authorizer(authorizer("Fleet"));
    let sandbox = builder.start().unwrap();
    let asks = |mut device: Device, ports: &[u16]| {
        let proxy = StrangeProxy::start(Behaviour::Tunnels);
        device.option("--proxy", proxy.url());
        device.start().wait_for_log("connected to localhost");
        device.drop_message("1", "t", "hello");
        device.wait_until_empty();
        let wanted: Vec<String> = ports
            .iter()
            .map(|port| format!("CONNECT localhost:{port} HTTP/1.1"))
            .collect();
        assert_eq!(proxy.requests(), wanted);
        assert_eq!(device.stop(), Some(0));
    };
    let (web, credentials) = (sandbox.wss_port(), sandbox.credential_port());
    asks(signing(&sandbox), &[web]);
    asks(borrowing(&sandbox), &[credentials, web]);
    asks(authorized(&sandbox, "Fleet"), &[web]);
}

#[test]
fn names_are_looked_up_by_the_proxy_alone() {
    let sandbox = sandbox();
    let proxies = [
        (tinyproxy(sandbox.port(), false), "http"),
        (microsocks(false), "socks5h"),
    ];
    for (proxy, scheme) in proxies {
        let Some(proxy) = proxy else { return };
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port);
        let mut device = through(&sandbox, url);
        let file = |name: &str, text: &str| {
            fs::write(device.path(name), text).unwrap();
            device.path(name)
        };
        let hosts = file("hosts", "127.0.0.1 other\n");
        let switch = file("nsswitch.conf", "hosts: files\n");
        let places = [
            (hosts.as_path(), "/etc/hosts"),
            (switch.as_path(), "/etc/nsswitch.conf"),
        ];
        let Some(command) = with_files(&device.command(), &places) else {
            return;
        };
        device.start_as(command);
        device.wait_for_log("connected to localhost:");
        device.stop();
        device.without("--proxy").option("--proxy", "none");
        let command = with_files(&device.command(), &places).unwrap();
        device.start_as(command);
        device.wait_for_log("connection failed: dns: cannot resolve localhost");
    }
}

#[test]
fn who_is_not_known_to_the_proxy_is_told_so() {
    let sandbox = sandbox();
    for (proxy, scheme, refused) in [
        (
            tinyproxy(sandbox.port(), true),
            "http",
            "refuses the user or the password (401 ",
        ),
        (
            squid(sandbox.port(), None),
            "http",
            "refuses the user or the password (407 ",
        ),
        (
            microsocks(true),
            "socks5",
            "refuses the user or the password",
        ),
    ] {
        let Some(proxy) = proxy else { return };
        let url = proxy.url(scheme);
        let device = through(&sandbox, &url);
        fails(
            &sandbox,
            device,
            &format!("{url} asks for a user and a password"),
        );
        let mut device = through(&sandbox, proxy.url_with_user(scheme));
        let file = secret(&device, "proxy-password", "wr0ng");
        device.option("--proxy-password-file", file.display());
        let device = fails(&sandbox, device, &format!("{url} {refused}"));
        assert!(!device.log().contains("wr0ng"), "{}", device.log());
    }
    assert_eq!(sandbox.connected(), [""; 0]);
}

#[test]
fn a_port_that_the_proxy_does_not_allow_is_named() {
    let sandbox = sandbox();
    let other = free_port();
    let port = sandbox.port();
    if let Some(proxy) = tinyproxy(other, false) {
        let url = proxy.url("http");
        let reason = format!("{url} does not allow a connection to localhost:{port} (403 ");
        fails(&sandbox, through(&sandbox, &url), &reason);
    }
    if let Some(proxy) = squid(other, None) {
        let reason = format!("{} does not allow a connection", proxy.url("http"));
        fails(&sandbox, known_to(&sandbox, &proxy, "http"), &reason);
    }
}

#[test]
fn a_broker_that_the_proxy_cannot_reach_is_named() {
    let sandbox = sandbox();
    let nobody = free_port();
    for (proxy, scheme) in [
        (tinyproxy(nobody, false), "http"),
        (microsocks(false), "socks5"),
    ] {
        let Some(proxy) = proxy else { return };
        let url = proxy.url(scheme);
        let mut device = through(&sandbox, &url);
        device.option("--endpoint", format!("localhost:{nobody}"));
        fails(&sandbox, device, &format!("{url} cannot reach localhost"));
    }
}

#[test]
fn a_dead_proxy_is_waited_for_and_costs_no_certificate() {
    let sandbox = sandbox();
    let Some(mut proxy) = tinyproxy(sandbox.port(), false) else {
        return;
    };
    let url = proxy.url("http");
    let mut device = through(&sandbox, &url);
    let first = two_certificates(&sandbox, &device);
    device.option("--connect-attempts", 2);
    device.start().wait_for_log("connected to");
    // The tunnel ends with it, which looks as if the broker had closed.
    proxy.stop();
    assert_eq!(device.exit_code(), Some(111));
    device.wait_for_log("connection lost: server: closed by the broker, or by the proxy before it");
    let refused = format!("connection failed: proxy: {url} cannot be used: Connection refused");
    device.wait_for_log(&refused);
    is_preferred(&device, &first);
    device.without("--connect-attempts");
    device.option("--connect-attempts", 0).start();
    wait_for("it is tried again", LONG, || device.logged(&refused) >= 2);
    assert!(proxy.resume("tinyproxy"));
    wait_for("it is connected again", LONG, || {
        device.logged("connected to") == 2
    });
    is_preferred(&device, &first);
}

#[test]
fn a_tunnel_that_is_cut_is_opened_again() {
    let sandbox = sandbox();
    let proxy = StrangeProxy::start(Behaviour::Tunnels);
    let mut device = through(&sandbox, proxy.url());
    let first = two_certificates(&sandbox, &device);
    device.option("--connect-attempts", 2).start();
    for n in 1..=5 {
        wait_for("it is connected", LONG, || {
            device.logged("connected to") == n
        });
        device.drop_message(&n.to_string(), "t", &n.to_string());
        sandbox.wait_for_publishes(n, LONG);
        device.wait_until_empty();
        proxy.cut();
    }
    wait_for("it is connected again", LONG, || {
        device.logged("connected to") == 6
    });
    is_preferred(&device, &first);
    let line = format!("CONNECT localhost:{} HTTP/1.1", sandbox.port());
    assert!(proxy.requests().iter().all(|one| *one == line));
}

#[test]
fn idle_tunnels_that_are_cut_again_and_again_cost_no_certificate() {
    let sandbox = sandbox();
    let idle = Duration::from_millis(500);
    let proxy = StrangeProxy::start(Behaviour::CutsIdle(idle));
    for version in ["5", "3.1.1"] {
        let mut device = through(&sandbox, proxy.url());
        let first = two_certificates(&sandbox, &device);
        device
            .option("--mqtt", version)
            .option("--connect-attempts", 2);
        assert_eq!(device.start().exit_code(), Some(111), "{}", device.log());
        assert_eq!(device.logged("connected to"), 3, "{}", device.log());
        is_preferred(&device, &first);
    }
}

#[test]
fn what_answers_strangely_is_named() {
    let sandbox = sandbox();
    let says = |text: &str| Behaviour::SaysAndCloses(text.into());
    for (behaviour, reason) in [
        (
            says(""),
            "closed the connection without an answer to CONNECT",
        ),
        (
            says("SSH-2.0-x\r\n"),
            "answers CONNECT with something that is not HTTP: 'SSH-2.0-x'",
        ),
        (
            says("\x1b[2J\x07\r\n"),
            "answers CONNECT with something that is not HTTP: '\\u{1b}[2J\\u{7}'",
        ),
        (
            says("\x15\x03\x01\0\x02\x02\x28"),
            "does not speak HTTP: if it speaks TLS, use https://",
        ),
        (
            says("HTTP/1.1 200 OK\r\n"),
            "closed the connection within its answer to CONNECT",
        ),
        (
            says("HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n"),
            "answers CONNECT localhost:",
        ),
        (
            says("HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n"),
            "asks for NTLM (407 x), and only Basic",
        ),
        (
            Behaviour::Endless,
            "fails after CONNECT: its answer has no end within 8 KiB",
        ),
    ] {
        let proxy = StrangeProxy::start(behaviour);
        let reason = format!("{} {reason}", proxy.url());
        fails(&sandbox, through(&sandbox, proxy.url()), &reason);
        assert_eq!(proxy.asked(), 2);
    }
}

#[test]
fn a_tunnel_that_ends_before_the_broker_speaks_is_the_proxys() {
    let sandbox = sandbox();
    let said = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    let proxy = StrangeProxy::start(Behaviour::SaysAndCloses(said));
    let reason = "the proxy closed the tunnel before anything came out of it";
    fails(&sandbox, through(&sandbox, proxy.url()), reason);
}

#[test]
fn a_proxy_that_is_silent_is_not_waited_for_for_ever() {
    let sandbox = sandbox();
    let proxy = StrangeProxy::start(Behaviour::Says(Vec::new()));
    let url = proxy.url();
    let mut device = through(&sandbox, &url);
    device.start();
    device.wait_for_log(&format!(
        "connection failed: proxy: {url} does not answer CONNECT within 30 s"
    ));
}

#[test]
fn the_certificate_of_a_proxy_must_be_trusted() {
    let sandbox = sandbox();
    let Some(proxy) = stunnel(sandbox.pki(), sandbox.port()) else {
        return;
    };
    let url = proxy.url("https");
    // For the broker this CA is good enough, and for the proxy it is nobody.
    let other = sandbox.pki().other_ca_file();
    let mut device = through(&sandbox, &url);
    device.option("--proxy-cacert", other.display());
    let reason = format!(
        "{url} cannot be used: the proxy's certificate is not signed by a CA in --proxy-cacert"
    );
    fails(&sandbox, device, &reason);
    let ca = sandbox.pki().ca_file().display().to_string();
    let mut device = through(&sandbox, format!("https://127.0.0.2:{}", proxy.port));
    device.option("--proxy-cacert", &ca);
    let reason = format!("https://127.0.0.2:{} cannot be used: ", proxy.port);
    fails(&sandbox, device, &reason);
    // Not TLS at all.
    let plain = StrangeProxy::start(Behaviour::Tunnels);
    let url = plain.url().replace("http://", "https://");
    let mut device = through(&sandbox, &url);
    device.option("--proxy-cacert", &ca).start();
    device.wait_for_log("if it does not speak TLS, use http://");
}

/// Starts the device with these variables.
fn start_within(device: &mut Device, variables: &[(&str, &str)]) {
    let mut command = device.command();
    command.envs(variables.iter().copied());
    device.start_as(command);
}

#[test]
fn the_environment_is_read_as_curl_reads_it() {
    let sandbox = sandbox();
    let proxy = StrangeProxy::start(Behaviour::Tunnels);
    let dead = format!("http://dev:{PASSWORD}@127.0.0.1:{}", free_port());
    let url = proxy.url();
    for (variables, origin) in [
        (vec![("HTTPS_PROXY", url.as_str())], Some("HTTPS_PROXY")),
        (
            vec![
                ("https_proxy", &url),
                ("HTTPS_PROXY", &dead),
                ("ALL_PROXY", &dead),
            ],
            Some("https_proxy"),
        ),
        (
            vec![
                ("all_proxy", &url),
                ("http_proxy", &dead),
                ("HTTP_PROXY", &dead),
            ],
            Some("all_proxy"),
        ),
        (vec![("http_proxy", &dead)], None),
        (
            vec![
                ("HTTPS_PROXY", &dead),
                ("NO_PROXY", "example.com, LOCALHOST"),
            ],
            None,
        ),
    ] {
        let mut device = Device::new(&sandbox);
        let before = proxy.asked();
        start_within(&mut device, &variables);
        device.wait_for_log("connected to");
        assert_eq!(proxy.asked() - before, usize::from(origin.is_some()));
        if let Some(origin) = origin {
            device.wait_for_log(&format!(
                "connecting through the proxy {url}, from {origin}"
            ));
        }
        assert_eq!(device.stop(), Some(0));
        assert!(!device.log().contains(PASSWORD), "{}", device.log());
    }
    let mut device = through(&sandbox, "none");
    start_within(&mut device, &[("HTTPS_PROXY", &dead)]);
    device.wait_for_log("connected to");
    assert_eq!(device.logged("proxy"), 0, "{}", device.log());
    let mut device = through(&sandbox, &url);
    start_within(&mut device, &[("HTTPS_PROXY", &dead), ("NO_PROXY", "*")]);
    device.wait_for_log("connected to");
    device.wait_for_log(&format!("connecting through the proxy {url}, from --proxy"));
}

#[test]
fn what_is_wrong_with_a_proxy_is_found_before_the_first_connection() {
    let sandbox = sandbox();
    let check = |device: &mut Device, variables: &[(&str, &str)], words: &str| {
        for flag in ["--check", ""] {
            let mut command = device.command();
            command.envs(variables.iter().copied());
            command.args(Some(flag).filter(|flag| !flag.is_empty()));
            device.start_as(command);
            assert_eq!(device.exit_code(), Some(100), "{}", device.log());
            assert!(device.log().contains(words), "{}", device.log());
        }
        assert!(!device.log().contains(PASSWORD), "{}", device.log());
    };
    let wrong = format!("http://dev:{PASSWORD}@proxy");
    let words = "HTTPS_PROXY in the environment: no port, write http://HOST:PORT";
    check(
        &mut Device::new(&sandbox),
        &[("HTTPS_PROXY", &wrong)],
        words,
    );
    let with_file = |mode: u32, text: &str| {
        let mut device = through(&sandbox, "http://dev@localhost:1");
        let file = secret(&device, "password", text);
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        device.option("--proxy-password-file", file.display());
        device
    };
    check(&mut with_file(0o644, PASSWORD), &[], "chmod 600 ");
    check(&mut with_file(0o600, ""), &[], "holds no password");
    let mut missing = with_file(0o600, PASSWORD);
    fs::remove_file(missing.path("password")).unwrap();
    check(&mut missing, &[], "cannot read the proxy's password from");
    let mut device = through(&sandbox, "https://localhost:1");
    device.option("--proxy-cacert", "/does/not/exist");
    check(&mut device, &[], "cannot read root CA from /does/not/exist");
    let mut device = through(&sandbox, format!("ftp://dev:{PASSWORD}@localhost:1"));
    check(&mut device, &[], "--proxy: unknown scheme");
}

#[test]
fn a_password_in_the_option_is_used_with_a_warning_and_never_logged() {
    let sandbox = sandbox();
    let Some(proxy) = tinyproxy(sandbox.port(), true) else {
        return;
    };
    let warning = "--proxy holds a password, which everybody on this machine can see";
    let url = format!("http://dev:{PASSWORD}@localhost:{}", proxy.port);
    let mut device = through(&sandbox, url);
    let mut command = device.command();
    command.arg("--check");
    device.start_as(command);
    assert_eq!(device.exit_code(), Some(100));
    device.wait_for_log(&format!("error: {warning}"));
    start_within(&mut device, &[("RUST_LOG", "trace")]);
    device.wait_for_log("connected to");
    device.wait_for_log(&format!("warn: {warning}"));
    assert_eq!(device.stop(), Some(0));
    let log = device.log();
    // Also not as it stands in the header.
    assert!(
        !log.contains(PASSWORD) && !log.contains("ZGV2OnMz"),
        "{log}"
    );
}

#[test]
fn addresses_of_ipv6_work_on_both_sides() {
    let sandbox = sandbox();
    let Ok(proxy) = StrangeProxy::at("[::1]:0", Behaviour::Tunnels) else {
        eprintln!("skipped: there is no IPv6 here");
        return;
    };
    let mut device = through(&sandbox, proxy.url());
    assert!(proxy.url().starts_with("http://[::1]:"));
    device.start().wait_for_log("connected to");
    device.stop();
    device.option("--endpoint", "[::1]:1").start();
    device.wait_for_log("connection ");
    wait_for("it is asked for", LONG, || {
        proxy
            .requests()
            .contains(&"CONNECT [::1]:1 HTTP/1.1".to_owned())
    });
}

#[test]
fn local_proxies_of_tunnels_find_the_proxy_in_their_environment() {
    let sandbox = sandbox();
    let proxy = StrangeProxy::start(Behaviour::Tunnels);
    let address = proxy.url().replace("http://", "");
    let inherited = "http://inherited:1";
    for (option, expected) in [
        (None, "|http://inherited:1|".to_owned()),
        (
            Some(format!("http://d%2Bv@{address}")),
            format!("http://d%2Bv:s3cr3t%2F@{address}|http://d%2Bv:s3cr3t%2F@{address}|"),
        ),
        (Some("none".to_owned()), "||".to_owned()),
    ] {
        let mut device = Device::new(&sandbox);
        let (program, found) = (device.path("localproxy"), device.path("found"));
        let text = format!(
            "#!/bin/sh\necho \"$https_proxy|$HTTPS_PROXY|\" > {0}.new\nmv {0}.new {0}\n",
            found.display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        device.option("--tunnelproxy", program.display());
        device.option("--tunnelmappings", "pump:ssh=22");
        // The daemon itself does not need the one that is not there.
        let mut variables = vec![("HTTPS_PROXY", inherited), ("NO_PROXY", "localhost")];
        if let Some(option) = &option {
            device.option("--proxy", option);
            if option != "none" {
                let file = secret(&device, "password", "s3cr3t/");
                device.option("--proxy-password-file", file.display());
            }
            variables.pop();
        }
        start_within(&mut device, &variables);
        device.wait_for_log("subscribed to '$aws/things/pump/tunnels/notify'");
        let request = r#"{"clientAccessToken":"token","clientMode":"destination","region":"eu-west-1","services":["ssh"]}"#;
        sandbox.publish("$aws/things/pump/tunnels/notify", request.as_bytes(), 1);
        wait_for("the local proxy was started", LONG, || found.exists());
        assert_eq!(fs::read_to_string(&found).unwrap().trim(), expected);
        assert_eq!(device.stop(), Some(0));
        assert!(!device.log().contains("s3cr3t"), "{}", device.log());
    }
}
