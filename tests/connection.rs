//! Connecting, staying connected, giving up and leaving, against every fault that the sandbox knows.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use common::{Device, LONG, builder, sandbox, wait_for};
use iotcore_sandbox::{CertificateKind, Cut, Deny, Event, Fault, Sandbox, Version, What, When};
use nix::sys::signal::Signal;

fn count(sandbox: &Sandbox, wanted: impl Fn(&Event) -> bool) -> usize {
    sandbox
        .record()
        .iter()
        .filter(|record| wanted(&record.event))
        .count()
}

fn connects(sandbox: &Sandbox) -> usize {
    count(sandbox, |event| matches!(event, Event::Connect { .. }))
}

#[track_caller]
fn wait_for_event(sandbox: &Sandbox, what: &str, wanted: impl Fn(&Event) -> bool) {
    assert!(
        sandbox.wait_for_event(LONG, wanted).is_some(),
        "waited in vain for {what}"
    );
}

fn connected(sandbox: &Sandbox) -> Device {
    let mut device = Device::new(sandbox);
    device.start().wait_for_log("connected to");
    device
}

fn with_will(device: &mut Device) {
    device.option("--last-will-topic", "will");
    device.option("--last-will-payload", "gone");
}

#[test]
fn connects_with_the_documented_defaults() {
    let sandbox = sandbox();
    let _device = connected(&sandbox);
    let record = sandbox.record();
    let tls = record.iter().find_map(|record| match &record.event {
        Event::TlsEstablished { sni, alpn, .. } => Some((sni.clone(), alpn.clone())),
        _ => None,
    });
    assert_eq!(
        tls,
        Some((Some("localhost".to_owned()), None)),
        "SNI is sent, ALPN only on port 443"
    );
    let connect = record.iter().find_map(|record| match &record.event {
        Event::Connect {
            version,
            clean_start,
            keep_alive,
            ..
        } => Some((*version, *clean_start, *keep_alive)),
        _ => None,
    });
    assert_eq!(connect, Some((Version::V5, true, 1200)));
}

#[test]
fn port_443_asks_for_the_alpn_protocol_of_aws() {
    if !common::is_root() {
        eprintln!("skipped: only root can listen on port 443");
        return;
    }
    let sandbox = builder().port(443).require_alpn().start().unwrap();
    let device = connected(&sandbox);
    wait_for_event(
        &sandbox,
        "the ALPN protocol",
        |event| matches!(event, Event::TlsEstablished { alpn: Some(alpn), .. } if alpn == "x-amzn-mqtt-ca"),
    );
    device.drop_message("x", "t", "x");
    sandbox.wait_for_publishes(1, LONG);
}

#[test]
fn the_log_never_holds_a_key_or_a_payload_at_any_level() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let mut command = device.command();
    command.env("RUST_LOG", "trace");
    device.start_as(command);
    device.wait_for_log("connected to");
    device.drop_message("good", "t", "precious payload");
    device.drop_file(
        "bad",
        r#"{"topic":"t","payload":"precious payload","qos":2}"#,
    );
    sandbox.wait_for_publishes(1, LONG);
    device.wait_for_failure("bad");
    device.wait_until_empty();
    device.stop();
    let log = device.log();
    assert!(!log.contains("precious"), "{log}");
    let id = common::names(&device.certstore())
        .into_iter()
        .find(|name| name.len() == 64)
        .unwrap();
    let key = device
        .certstore()
        .join(&id)
        .join(format!("{id}-private.pem.key"));
    for line in fs::read_to_string(key)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('-'))
    {
        assert!(!log.contains(line), "{log}");
    }
}

#[test]
fn mqtt_3_1_1_and_another_keep_alive_are_options() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device
        .option("--mqtt", "3.1.1")
        .option("--keepalive", 60)
        .start()
        .wait_for_log("(MQTT 3.1.1)");
    wait_for_event(&sandbox, "the CONNECT", |event| {
        matches!(
            event,
            Event::Connect {
                version: Version::V311,
                keep_alive: 60,
                ..
            }
        )
    });
}

#[test]
fn an_endpoint_option_overrides_the_store() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    fs::write(device.certstore().join("endpoint.txt"), "elsewhere.invalid").unwrap();
    device.option("--endpoint", format!("localhost:{}", sandbox.port()));
    device.start().wait_for_log("connected to");
}

#[test]
fn a_stop_sends_disconnect_so_that_the_will_is_not_published() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        with_will(&mut device);
        device.start().wait_for_log("connected to");
        device.signal(signal);
        assert_eq!(device.exit_code(), Some(0));
        device.wait_for_log(&format!("info: stopped by {signal}"));
        wait_for_event(&sandbox, "the DISCONNECT", |event| {
            matches!(event, Event::DisconnectReceived { .. })
        });
        wait_for_event(&sandbox, "the end", |event| {
            matches!(event, Event::Closed { .. })
        });
        assert_eq!(
            count(&sandbox, |event| matches!(
                event,
                Event::WillPublished { .. }
            )),
            0
        );
    }
}

#[test]
fn a_stop_leaves_requests_in_flight_in_new() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(When::Always, What::SwallowPuback)]);
    let mut device = connected(&sandbox);
    device.drop_message("kept", "t", "x");
    sandbox.wait_for_publishes(1, LONG);
    assert_eq!(device.stop(), Some(0));
    assert_eq!(device.waiting(), ["kept"]);
    wait_for_event(&sandbox, "the DISCONNECT", |event| {
        matches!(event, Event::DisconnectReceived { .. })
    });
}

#[test]
fn a_stop_works_with_a_full_window_and_while_not_connected() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(When::Always, What::SwallowPuback)]);
    let mut device = Device::new(&sandbox);
    device.message_option("--message-concurrency", 100);
    for n in 0..150 {
        device.drop_message(&n.to_string(), "t", "x");
    }
    device.start();
    sandbox.wait_for_publishes(90, LONG);
    assert_eq!(device.stop(), Some(0));
    wait_for_event(&sandbox, "the DISCONNECT", |event| {
        matches!(event, Event::DisconnectReceived { .. })
    });
    assert_eq!(device.waiting().len(), 150);

    sandbox.faults(vec![Fault::always(When::Always, What::StallTls)]);
    device.start();
    wait_for("it is connecting", LONG, || {
        count(&sandbox, |event| matches!(event, Event::ConnectionOpened)) == 2
    });
    assert_eq!(device.stop(), Some(0));
}

#[test]
fn a_device_that_dies_leaves_its_will() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    with_will(&mut device);
    device.start().wait_for_log("connected to");
    device.kill();
    wait_for_event(
        &sandbox,
        "the will",
        |event| matches!(event, Event::WillPublished { topic, payload } if topic == "will" && &payload[..] == b"gone"),
    );
}

#[test]
fn after_too_many_failures_it_gives_up_with_111() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(When::Always, What::RefuseConnection)]);
    let mut device = Device::new(&sandbox);
    device.option("--connect-attempts", 2);
    assert_eq!(device.start().exit_code(), Some(111));
    device.wait_for_log("error: connection given up after 3 failures in a row");
    assert_eq!(
        count(&sandbox, |event| matches!(event, Event::ConnectionOpened)),
        3
    );
}

#[test]
fn giving_up_sends_no_disconnect_and_the_will_speaks() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(
        When::Always,
        What::CloseAfterPackets(1),
    )]);
    let mut device = Device::new(&sandbox);
    device.option("--connect-attempts", 1);
    with_will(&mut device);
    assert_eq!(device.start().exit_code(), Some(111));
    wait_for_event(&sandbox, "the will", |event| {
        matches!(event, Event::WillPublished { .. })
    });
    assert_eq!(
        count(&sandbox, |event| matches!(
            event,
            Event::DisconnectReceived { .. }
        )),
        0
    );
    device.wait_for_log("connection lost: server: closed by the broker");
}

#[test]
fn a_connack_alone_is_no_progress_but_a_puback_is() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(When::Always, What::CloseAfterPuback)]);
    let mut device = Device::new(&sandbox);
    device
        .option("--connect-attempts", 1)
        .message_option("--message-concurrency", 1);
    for n in 0..4 {
        device.drop_message(&n.to_string(), "t", "x");
    }
    device.start();
    sandbox.wait_for_publishes(4, LONG);
    wait_for("four connections made progress", LONG, || {
        connects(&sandbox) >= 4
    });
    device.wait_until_empty();
    assert!(device.runs(), "each of them was progress");
    sandbox.faults(vec![Fault::always(
        When::Always,
        What::CloseAfterPackets(1),
    )]);
    sandbox.cut("device-1", Cut::Close);
    assert_eq!(device.exit_code(), Some(111), "a CONNACK alone is none");
}

#[test]
fn a_failing_certificate_makes_way_for_the_next_one() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--connect-attempts", 1);
    let refused = sandbox.pki().issue(CertificateKind::Expired);
    sandbox
        .pki()
        .add_to_certstore(&device.certstore(), &refused);
    std::os::unix::fs::symlink(&refused.id, device.certstore().join("preferred")).unwrap();
    assert_eq!(device.start().exit_code(), Some(111));
    device.wait_for_log("the next start uses certificate");
    assert_ne!(
        fs::read_link(device.certstore().join("preferred"))
            .unwrap()
            .to_str(),
        Some(refused.id.as_str())
    );
    device.start().wait_for_log("connected to");
}

#[test]
fn a_clock_that_is_not_set_is_waited_for_and_no_reason_to_rotate() {
    let sandbox = builder()
        .server_certificate(iotcore_sandbox::ServerCertificate::NotYetValid)
        .start()
        .unwrap();
    let mut device = Device::new(&sandbox);
    device.option("--connect-attempts", 1);
    let first = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.pki().add_to_certstore(&device.certstore(), &first);
    std::os::unix::fs::symlink(&first.id, device.certstore().join("preferred")).unwrap();
    device.start().wait_for_log("connection failed: tls-clock");
    device.wait_for_log("or when the clock is set");
    assert_eq!(device.stop(), Some(0), "it was waiting");
    assert_eq!(
        fs::read_link(device.certstore().join("preferred"))
            .unwrap()
            .to_str(),
        Some(first.id.as_str())
    );
}

#[test]
fn preferred_is_made_when_missing_or_dangling() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let link = device.certstore().join("preferred");
    device.start().wait_for_log("connected to");
    let id = fs::read_link(&link).expect("a link was made");
    assert!(id.is_relative());
    device.stop();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    device.start();
    wait_for("the link is mended", LONG, || {
        fs::read_link(&link).is_ok_and(|target| target == id)
    });
}

/// A device that cannot connect, and the class that its log gives for it.
fn fails_with(faults: Vec<Fault>, class: &str) {
    let sandbox = sandbox();
    sandbox.faults(faults);
    let mut device = Device::new(&sandbox);
    device.option("--connect-attempts", 1);
    device
        .start()
        .wait_for_log(&format!("connection failed: {class}"));
}

#[test]
fn each_kind_of_failure_is_logged_with_its_class() {
    fails_with(
        vec![Fault::always(When::Always, What::RefuseConnection)],
        "tls: closed during the TLS handshake",
    );
    fails_with(
        vec![Fault::always(When::Always, What::RefuseConnack(0x97))],
        "refused: CONNACK QuotaExceeded",
    );
    fails_with(
        vec![Fault::always(When::Always, What::RefuseConnack(0x87))],
        "refused: CONNACK NotAuthorized",
    );
}

#[test]
fn a_refused_connect_is_reported_on_mqtt_3_1_1_too() {
    for (code, part) in [
        (5, "NotAuthorized"),
        (3, "ServiceUnavailable"),
        (7, "return code 7"),
    ] {
        let sandbox = sandbox();
        sandbox.faults(vec![Fault::always(When::Always, What::RefuseConnack(code))]);
        let mut device = Device::new(&sandbox);
        device.option("--mqtt", "3.1.1");
        device
            .start()
            .wait_for_log(&format!("connection failed: refused: CONNACK {part}"));
    }
}

#[test]
fn a_refused_port_is_tcp_and_an_unknown_name_is_dns() {
    let sandbox = sandbox();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut device = Device::new(&sandbox);
    device.option("--endpoint", format!("localhost:{closed}"));
    device
        .start()
        .wait_for_log("connection failed: tcp: Connection refused");
    let mut device = Device::new(&sandbox);
    device.option("--endpoint", "no-such-host.invalid");
    device
        .start()
        .wait_for_log("connection failed: dns: cannot resolve no-such-host.invalid");
}

#[test]
fn something_that_does_not_speak_tls_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--endpoint", format!("localhost:{port}"));
    device.start().wait_for_log("connection failed: tls: ");
}

#[test]
fn a_broker_that_says_nothing_is_a_timeout() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::once(When::Always, What::StallConnack)]);
    let mut device = Device::new(&sandbox);
    device
        .start()
        .wait_for_log("connection failed: timeout: no CONNACK within 30 s");
    device.wait_for_log("connected to");
}

#[test]
fn the_end_of_a_connection_is_logged_with_its_class_and_it_comes_back() {
    for (cut, class) in [
        (Cut::Close, "server: closed by the broker"),
        (Cut::Reset, "server: reset by the broker"),
        (
            Cut::Disconnect(0x8b),
            "server: DISCONNECT ServerShuttingDown",
        ),
        (
            Cut::Disconnect(0x8d),
            "keep-alive: the broker did not hear from us in time",
        ),
    ] {
        let sandbox = sandbox();
        let device = connected(&sandbox);
        wait_for("the sandbox knows it", LONG, || {
            sandbox.connected() == ["device-1"]
        });
        sandbox.cut("device-1", cut);
        device.wait_for_log(&format!("connection lost: {class}"));
        wait_for("it is connected again", LONG, || {
            device.logged("connected to") == 2
        });
        device.drop_message("after", "t", "x");
        sandbox.wait_for_publishes(1, LONG);
    }
}

#[test]
fn a_second_client_with_our_id_is_named_and_makes_us_stay_away() {
    let sandbox = sandbox();
    let device = connected(&sandbox);
    sandbox.cut("device-1", Cut::Disconnect(0x8e));
    device.wait_for_log("connection lost: taken-over: another client connected with our client id");
    let log = device.log();
    let line = log
        .lines()
        .find(|line| line.contains("taken-over"))
        .unwrap();
    let wait: u32 = line
        .rsplit_once("next attempt in ")
        .unwrap()
        .1
        .trim_end_matches(" s")
        .parse()
        .unwrap();
    assert!(wait >= 60, "{line}");
}

#[test]
fn a_missing_pingresp_is_noticed() {
    let sandbox = builder()
        .limit(|limits| limits.min_keep_alive = Duration::from_secs(5))
        .start()
        .unwrap();
    sandbox.faults(vec![Fault::once(When::Always, What::SwallowPingresp)]);
    let mut device = Device::new(&sandbox);
    device
        .option("--keepalive", 5)
        .start()
        .wait_for_log("connected to");
    device.wait_for_log("connection lost: keep-alive: PINGREQ was not answered");
    wait_for("it is connected again", LONG, || {
        device.logged("connected to") == 2
    });
}

#[test]
fn a_broker_that_wants_no_keep_alive_is_not_pinged_all_the_time() {
    let sandbox = builder()
        .limit(|limits| {
            limits.min_keep_alive = Duration::ZERO;
            limits.max_keep_alive = Duration::ZERO;
        })
        .start()
        .unwrap();
    let mut device = Device::new(&sandbox);
    device.message_option("--message-concurrency", 1);
    for n in 0..200 {
        device.drop_message(&n.to_string(), "t", "x");
    }
    device.start().wait_until_empty();
    assert_eq!(connects(&sandbox), 1, "{}", device.log());
    let pings = count(&sandbox, |event| matches!(event, Event::PingRequest));
    assert!(pings <= 1, "{pings} pings");
}

#[test]
fn attempts_never_follow_each_other_faster_than_the_cloud_allows() {
    // With the cloud's limit of one CONNECT a second in force, a faster one would be refused.
    let sandbox = Sandbox::start().unwrap();
    sandbox.faults(vec![Fault {
        when: When::Always,
        what: What::CloseAfterPackets(1),
        times: Some(3),
    }]);
    let mut device = Device::new(&sandbox);
    device.drop_message("x", "t", "x");
    device.start();
    sandbox.wait_for_publishes(1, LONG);
    assert_eq!(
        count(
            &sandbox,
            |event| matches!(event, Event::ConnackSent { code, .. } if *code != 0)
        ),
        0
    );
}

#[test]
fn the_same_failure_again_and_again_is_counted() {
    let sandbox = sandbox();
    sandbox.faults(vec![Fault::always(When::Always, What::RefuseConnack(0x97))]);
    let mut device = Device::new(&sandbox);
    device.option("--connect-attempts", 2);
    assert_eq!(device.start().exit_code(), Some(111));
    let log = device.log();
    assert_eq!(device.logged("connection failed"), 2, "{log}");
    assert!(log.contains("(2 times in a row)"), "{log}");
}

#[test]
fn a_device_denied_to_connect_is_reported_so() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Connect]);
    let mut device = Device::new(&sandbox);
    device
        .start()
        .wait_for_log("connection failed: refused: CONNACK NotAuthorized");
}

#[test]
fn hang_up_is_survived() {
    let sandbox = sandbox();
    let mut device = connected(&sandbox);
    device.signal(Signal::SIGHUP);
    device.wait_for_log("SIGHUP");
    assert!(device.runs());
}

#[test]
fn check_reads_everything_and_changes_nothing() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let letterhead = device.path("letterhead.json");
    device.message_option("--letterhead-file", letterhead.display());
    fs::write(&letterhead, "{}").unwrap();
    let check = |device: &mut Device| {
        let mut command = device.command();
        command.arg("--check");
        device.start_as(command);
        device.exit_code()
    };
    assert_eq!(check(&mut device), Some(0));
    device.wait_for_log("the configuration is valid");
    assert!(!device.new_dir().exists() && !device.certstore().join("preferred").exists());
    assert_eq!(sandbox.record().len(), 0);

    fs::write(&letterhead, "[").unwrap();
    fs::write(device.certstore().join("endpoint.txt"), "").unwrap();
    let bad = device.certstore().join("bad");
    fs::create_dir(&bad).unwrap();
    fs::write(bad.join("bad-certificate.pem.crt"), "garbage").unwrap();
    fs::write(bad.join("bad-private.pem.key"), "garbage").unwrap();
    device.option("--messages", device.path("absent").display());
    assert_eq!(check(&mut device), Some(100));
    for part in [
        "endpoint.txt",
        "bad-certificate.pem.crt",
        "bad-private.pem.key can be read",
        "letterhead.json",
        "absent",
    ] {
        device.wait_for_log(part);
    }
}

/// What is shipped as an example works as it is.
#[test]
fn the_shipped_letterheads_pass_the_check_and_do_what_they_say() {
    let shipped = |name: &str| format!("{}/examples/letterhead/{name}", env!("CARGO_MANIFEST_DIR"));
    for (option, example) in [
        ("--letterhead-generator", shipped("generator")),
        ("--letterhead-file", shipped("file.json")),
    ] {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        device.message_option(option, example);
        let mut command = device.command();
        command.arg("--check");
        device.start_as(command);
        assert_eq!(device.exit_code(), Some(0), "{}", device.log());

        device.drop_file("x", r#"{"topic":"t","payload":{"bar":2.4}}"#);
        device.start();
        let publish = &sandbox.wait_for_publishes(1, LONG)[0];
        match option {
            "--letterhead-file" => {
                assert_eq!(publish.text(), r#"{"bar":2.4}"#);
                assert_eq!(
                    publish.properties.content_type.as_deref(),
                    Some("application/json")
                );
            }
            _ => {
                let text = publish.text();
                assert!(
                    text.starts_with(r#"{"device":""#) && text.ends_with(r#","bar":2.4}"#),
                    "{text}"
                );
                assert!(text.contains(r#"","time":1"#), "{text}");
            }
        }
    }
}

#[test]
fn help_reads_well_on_80_columns_and_version_prints_one() {
    for argument in ["--help", "--version"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_chariotd"))
            .arg(argument)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("chariotd") || text.contains("glue"));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn a_birth_message_is_the_first_of_each_first_connection() {
    for (version, connections) in [("5", 1), ("3.1.1", 4)] {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        device
            .option("--mqtt", version)
            .option("--max-connections", connections)
            .option("--birth-topic", "state")
            .option("--birth-payload", "online");
        device.flag("--birth-retain");
        device.inbox("inbound", "inbox");
        for n in 0..5 {
            device.drop_message(&n.to_string(), "t", "waiting");
        }
        device.start();
        device.wait_until_empty();
        device.wait_for_log("subscribed to 'inbound'");
        sandbox.cut("device-1", Cut::Reset);
        let births = || {
            let all = sandbox.published();
            all.iter().filter(|one| one.topic == "state").count()
        };
        wait_for("it is born again", LONG, || births() == 2);
        let mut begun = BTreeSet::new();
        for record in sandbox.record() {
            let subscribes = matches!(record.event, Event::Subscribe { .. });
            let first = record.client_id.as_deref() == Some("device-1");
            if subscribes && first {
                assert!(
                    begun.contains(&record.connection),
                    "born before it subscribes"
                );
            }
            if let Event::Publish(publish) = record.event
                && begun.insert(record.connection)
            {
                assert_eq!(
                    (publish.topic.as_str(), publish.text().as_str()),
                    ("state", "online")
                );
                assert_eq!((publish.qos, publish.retain), (1, true));
                assert_eq!(
                    publish.client_id, "device-1",
                    "not on the inbox's connection"
                );
            }
        }
        assert_eq!(begun.len(), 2);
        assert_eq!(device.stop(), Some(0));
    }
}

/// MQTT 3.1.1 has no answer for it: each connection ends over the birth message.
#[test]
fn a_birth_message_that_ends_connections_is_named_and_costs_no_message() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Publish("state".into())]);
    let mut device = Device::new(&sandbox);
    device
        .option("--mqtt", "3.1.1")
        .option("--connect-attempts", 0)
        .option("--birth-topic", "state")
        .option("--birth-payload", "online");
    device.drop_message("m", "open", "x");
    device.start();
    device.wait_for_log("probably the policy forbids the topic of --birth-topic");
    sandbox.policy("device-1", vec![]);
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0]);
}

#[test]
fn a_refused_birth_message_is_reported_and_costs_nothing() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Publish("state".into())]);
    let mut device = Device::new(&sandbox);
    device
        .option("--birth-topic", "state")
        .option("--birth-payload", "online");
    device.drop_message("1", "t", "x");
    device.start();
    device.wait_for_log("the birth message was refused: not authorised");
    device.wait_until_empty();
}

#[test]
fn a_last_will_is_retained_when_asked() {
    for (version, retain) in [("5", true), ("3.1.1", true), ("5", false)] {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        device
            .option("--mqtt", version)
            .option("--last-will-topic", "state")
            .option("--last-will-payload", "offline");
        if retain {
            device.flag("--last-will-retain");
        }
        device.start().wait_for_log("connected to");
        let connect = sandbox.wait_for_event(LONG, |event| matches!(event, Event::Connect { .. }));
        let Some(Event::Connect {
            will: Some(will), ..
        }) = connect.map(|record| record.event)
        else {
            panic!("no will");
        };
        assert_eq!(
            (will.topic.as_str(), will.qos, will.retain),
            ("state", 1, retain)
        );
    }
}
