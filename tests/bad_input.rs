//! What is wrong in `new/`, in a letterhead or in the store costs itself and nothing else: a clear
//! reason, and everything beside it goes on.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use common::{Device, LONG, builder, sandbox, wait_for};
use iotcore_sandbox::{CertificateKind, Fault, KeyKind, Sandbox, ServerCertificate, What, When};

/// A connected device with a message that must arrive whatever else happens.
fn connected(sandbox: &Sandbox) -> Device {
    let mut device = Device::new(sandbox);
    device.start().wait_for_log("connected to");
    device
}

/// The bad file goes to `failed/` with this reason, a good one beside it is published, and the wire
/// saw nothing of the bad one.
fn refused(name: &str, contents: &[u8], reason: &str) {
    let sandbox = sandbox();
    let device = connected(&sandbox);
    device.drop_file(name, contents);
    device.drop_message("zz-good", "good", "x");
    let told = device.wait_for_failure(name);
    assert!(told.contains(reason), "{told}");
    device.wait_for_log(told.trim());
    device.wait_until_empty();
    let published = sandbox.wait_for_publishes(1, LONG);
    assert_eq!(
        published
            .iter()
            .map(|one| one.topic.as_str())
            .collect::<Vec<_>>(),
        ["good"]
    );
}

#[test]
fn a_malformed_message() {
    refused(
        "bad",
        b"{\"topic\": }",
        "is not JSON: expected value at line 1 column 11",
    );
}

#[test]
fn an_empty_message() {
    refused("bad", b"", "is empty");
}

#[test]
fn a_huge_message() {
    refused("bad", &vec![b' '; 1024 * 1024 + 1], "more than 1 MiB");
}

#[test]
fn a_message_that_is_not_utf_8() {
    refused("bad", b"{\"topic\":\"\xff\",\"payload\":1}", "is not JSON");
}

#[test]
fn a_message_without_topic() {
    refused("bad", br#"{"payload":1}"#, "member \"topic\" is missing");
}

#[test]
fn a_message_without_payload() {
    refused("bad", br#"{"topic":"t"}"#, "member \"payload\" is missing");
}

#[test]
fn a_message_with_a_wildcard_topic() {
    refused("bad", br#"{"topic":"a/+/b","payload":1}"#, "contains '+'");
}

#[test]
fn a_message_with_too_deep_a_topic() {
    refused(
        "bad",
        br#"{"topic":"1/2/3/4/5/6/7/8/9","payload":1}"#,
        "8 slashes",
    );
}

#[test]
fn a_message_with_too_long_a_topic() {
    let file = format!(r#"{{"topic":"{}","payload":1}}"#, "t".repeat(257));
    refused("bad", file.as_bytes(), "257 bytes");
}

#[test]
fn a_message_with_qos_2() {
    refused(
        "bad",
        br#"{"topic":"t","payload":1,"qos":2}"#,
        "\"qos\" is 2",
    );
}

#[test]
fn a_message_with_129_kib_of_payload() {
    let file = format!(r#"{{"topic":"t","payload":"{}"}}"#, "x".repeat(129 * 1024));
    refused("bad", file.as_bytes(), "132096 bytes");
}

#[test]
fn a_message_whose_properties_are_larger_than_the_broker_takes() {
    // 128 KiB of payload pass alone; this broker's largest packet has no room for the rest.
    let sandbox = builder()
        .limit(|limits| limits.packet = 1000)
        .start()
        .unwrap();
    let device = connected(&sandbox);
    device.drop_message("bad", "t", &"x".repeat(2000));
    device.drop_message("good", "good", "x");
    assert!(
        device
            .wait_for_failure("bad")
            .contains("larger than the 1000 bytes")
    );
    assert_eq!(sandbox.wait_for_publishes(1, LONG)[0].topic, "good");
    device.wait_until_empty();
}

#[test]
fn names_that_are_no_text_or_would_forge_a_log_line() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = sandbox();
    let device = connected(&sandbox);
    wait_for("new/ is made", LONG, || device.new_dir().is_dir());
    let odd: [&[u8]; 3] = [b"\xff\xfe", b"x\nerror: forged", "söme name'".as_bytes()];
    for name in odd {
        let tmp = device.messages().join("tmp/x");
        fs::write(&tmp, r#"{"topic":"t","payload":1}"#).unwrap();
        fs::rename(
            tmp,
            device.new_dir().join(std::ffi::OsStr::from_bytes(name)),
        )
        .unwrap();
    }
    sandbox.wait_for_publishes(3, LONG);
    wait_for("all are removed", LONG, || {
        fs::read_dir(device.new_dir()).unwrap().count() == 0
    });
    assert!(
        !device.log().lines().any(|line| line.starts_with("error:")),
        "{}",
        device.log()
    );
    device.wait_for_log("published 'x\\nerror: forged' to t");
}

#[test]
fn a_name_as_long_as_the_file_system_takes() {
    let sandbox = sandbox();
    let device = connected(&sandbox);
    let long = "x".repeat(255);
    device.drop_file(&long, "{");
    wait_for("it failed", LONG, || device.failed() == [long.clone()]);
    device.drop_file(&long, r#"{"topic":"t","payload":1}"#);
    sandbox.wait_for_publishes(1, LONG);
    device.wait_until_empty();
}

#[test]
fn a_fifo_a_symbolic_link_a_directory_and_a_hidden_file() {
    let sandbox = sandbox();
    let device = connected(&sandbox);
    wait_for("new/ is made", LONG, || device.new_dir().is_dir());
    let new = device.new_dir();
    let secret = device.path("secret");
    fs::write(&secret, r#"{"topic":"secret","payload":1}"#).unwrap();
    nix::unistd::mkfifo(&new.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink(&secret, new.join("link")).unwrap();
    fs::create_dir(new.join("sub")).unwrap();
    fs::write(new.join("sub/inner"), r#"{"topic":"inner","payload":1}"#).unwrap();
    fs::write(new.join(".hidden"), r#"{"topic":"hidden","payload":1}"#).unwrap();
    device.drop_message("good", "good", "x");

    assert!(device.wait_for_failure("fifo").contains("FIFO"));
    assert!(device.wait_for_failure("link").contains("symbolic link"));
    assert_eq!(sandbox.wait_for_publishes(1, LONG)[0].topic, "good");
    wait_for("only what is skipped stays", LONG, || {
        device.waiting() == ["sub"]
    });
    assert!(new.join(".hidden").exists() && secret.exists());
    assert_eq!(sandbox.published().len(), 1);
}

/// The daemon with nobody's rights, on files that this user may read.
fn as_nobody(device: &Device, sandbox: &Sandbox) -> Command {
    let binary = device.path("chariotd");
    fs::copy(env!("CARGO_BIN_EXE_chariotd"), &binary).unwrap();
    fs::copy(sandbox.pki().ca_file(), device.path("ca.pem")).unwrap();
    let _ = Command::new("chown")
        .arg("-R")
        .arg("65534:65534")
        .arg(device.path(""))
        .status()
        .unwrap();
    let mut command = Command::new(binary);
    command
        .arg("--clientid=device-1")
        .arg(format!("--cacert={}", device.path("ca.pem").display()))
        .arg(format!("--certstore={}", device.certstore().display()))
        .arg(format!("--messages={}", device.messages().display()))
        .uid(65534)
        .gid(65534);
    command
}

/// A connected device whose daemon has nobody's rights. `None`, which is said, when the test itself
/// has no more rights than that.
fn connected_as_nobody(sandbox: &Sandbox) -> Option<Device> {
    if !common::is_root() {
        eprintln!("skipped: only root can own what the daemon's user may not touch");
        return None;
    }
    let mut device = Device::new(sandbox);
    device.start_as(as_nobody(&device, sandbox));
    device.wait_for_log("connected to");
    Some(device)
}

#[test]
fn an_unreadable_file() {
    let sandbox = sandbox();
    let Some(device) = connected_as_nobody(&sandbox) else {
        return;
    };
    device.drop_message("zz-good", "good", "x");
    let tmp = device.messages().join("tmp/secret");
    fs::write(&tmp, r#"{"topic":"secret","payload":1}"#).unwrap();
    chown(&tmp, Some(0), Some(0)).unwrap();
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(tmp, device.new_dir().join("secret")).unwrap();
    assert!(
        device
            .wait_for_failure("secret")
            .contains("Permission denied")
    );
    assert_eq!(sandbox.wait_for_publishes(1, LONG)[0].topic, "good");
}

#[test]
fn a_directory_that_cannot_be_written_sets_requests_aside_and_the_daemon_goes_on() {
    let sandbox = sandbox();
    let Some(mut device) = connected_as_nobody(&sandbox) else {
        return;
    };
    // As on a file system that has become read-only: nothing can leave new/ any more.
    chown(device.new_dir(), Some(0), Some(0)).unwrap();
    fs::set_permissions(device.new_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    device.drop_message("published", "t", "x");
    device.drop_file("bad", "{");
    device.wait_for_log("cannot remove 'published'");
    device.wait_for_log("cannot remove 'bad'");
    // A scan finds both again and must not repeat them.
    sandbox.cut("device-1", iotcore_sandbox::Cut::Close);
    wait_for("it is connected again", LONG, || {
        device.logged("connected to") == 2
    });
    device.drop_message("another", "another", "x");
    wait_for("the other one arrives", LONG, || {
        sandbox.published().iter().any(|one| one.topic == "another")
    });
    assert_eq!(
        sandbox
            .published()
            .iter()
            .filter(|one| one.topic == "t")
            .count(),
        1
    );
    assert_eq!(device.logged("cannot remove 'bad'"), 1);
    assert!(device.runs());
}

#[test]
fn a_failed_directory_that_cannot_be_written_costs_the_bad_file_only() {
    let sandbox = sandbox();
    let Some(device) = connected_as_nobody(&sandbox) else {
        return;
    };
    let failed = device.messages().join("failed");
    chown(&failed, Some(0), Some(0)).unwrap();
    device.drop_file("bad", "{");
    device.wait_for_log("error: deleted 'bad', it cannot be moved to failed/");
    device.wait_until_empty();
    device.drop_message("good", "good", "x");
    sandbox.wait_for_publishes(1, LONG);
}

#[test]
fn a_file_that_another_user_is_still_writing() {
    if !common::is_root() {
        eprintln!("skipped: only root can write as another user than the daemon's");
        return;
    }
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    fs::create_dir(device.new_dir()).unwrap();
    // Open at the start already: no event will report its creation.
    let mut slow = fs::File::create(device.new_dir().join("slow")).unwrap();
    slow.write_all(br#"{"topic":"slow","#).unwrap();
    device.start_as(as_nobody(&device, &sandbox));
    chown(device.new_dir().join("slow"), Some(0), Some(0)).unwrap();
    fs::set_permissions(
        device.new_dir().join("slow"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    device.wait_for_log("connected to");
    for n in 0..20 {
        device.drop_message(&format!("other-{n}"), "other", "x");
        sandbox.wait_for_publishes(n + 1, LONG);
        slow.write_all(b" ").unwrap();
        slow.flush().unwrap();
    }
    slow.write_all(br#""payload":"whole"}"#).unwrap();
    drop(slow);
    let seen = sandbox.wait_for_publishes(21, LONG);
    assert_eq!(seen[20].text(), "whole");
    assert_eq!(device.failed(), [""; 0]);
}

#[test]
fn a_file_that_vanishes_before_it_is_read() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::once(
        When::Topic("first".into()),
        What::DelayPuback(Duration::from_millis(500)),
    ));
    let mut device = Device::new(&sandbox);
    device.message_option("--message-concurrency", 1);
    device.drop_message("a", "first", "x");
    device.drop_message("b", "vanished", "x");
    device.drop_message("c", "third", "x");
    device.start();
    sandbox.wait_for_publishes(1, LONG);
    fs::remove_file(device.new_dir().join("b")).unwrap();
    let topics: Vec<String> = sandbox
        .wait_for_publishes(2, LONG)
        .into_iter()
        .map(|one| one.topic)
        .collect();
    assert_eq!(topics, ["first", "third"]);
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0]);
}

#[test]
fn a_file_replaced_while_the_older_one_is_in_flight() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::once(
        When::Publish(1),
        What::DelayPuback(Duration::from_millis(500)),
    ));
    let device = connected(&sandbox);
    device.drop_message("same", "t", "older");
    sandbox.wait_for_publishes(1, LONG);
    device.drop_message("same", "t", "newer");
    let texts: Vec<String> = sandbox
        .wait_for_publishes(2, LONG)
        .iter()
        .map(|one| one.text())
        .collect();
    assert_eq!(texts, ["older", "newer"]);
    device.wait_until_empty();
}

#[test]
fn a_file_rewritten_in_place_while_the_older_one_is_in_flight() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::once(
        When::Publish(1),
        What::DelayPuback(Duration::from_millis(300)),
    ));
    let mut device = Device::new(&sandbox);
    let mut command = device.command();
    command.env("RUST_LOG", "debug");
    device.start_as(command);
    device.wait_for_log("connected to");
    device.drop_message("same", "t", "older");
    sandbox.wait_for_publishes(1, LONG);
    let mut slow = fs::File::create(device.new_dir().join("same")).unwrap();
    slow.write_all(br#"{"topic":"t","#).unwrap();
    device.wait_for_log("'same' was replaced by a newer file");
    // Longer than the daemon doubts: what it takes for complete would be taken by then.
    let doubt = std::time::Instant::now();
    wait_for("the doubt is over", LONG, || {
        doubt.elapsed() > Duration::from_millis(400)
    });
    slow.write_all(br#""payload":"newer"}"#).unwrap();
    drop(slow);
    let texts: Vec<String> = sandbox
        .wait_for_publishes(2, LONG)
        .iter()
        .map(|one| one.text())
        .collect();
    assert_eq!(texts, ["older", "newer"]);
    device.wait_until_empty();
    assert_eq!(device.failed(), [""; 0]);
}

#[test]
fn a_missing_new_is_made_again_while_it_runs() {
    let sandbox = sandbox();
    let device = connected(&sandbox);
    wait_for("new/ is made", LONG, || device.new_dir().is_dir());
    fs::remove_dir_all(device.new_dir()).unwrap();
    wait_for("new/ is made again", LONG, || device.new_dir().is_dir());
    device.drop_message("after", "t", "x");
    sandbox.wait_for_publishes(1, LONG);
    device.wait_until_empty();
    device.wait_for_log("was missing and is made again");
}

#[test]
fn a_new_that_is_no_directory_is_reported_at_the_start() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    fs::write(device.new_dir(), "a file").unwrap();
    assert_eq!(device.start().exit_code(), Some(100));
    device.wait_for_log("new is not a directory");
}

#[test]
fn a_messages_directory_that_is_not_there_is_reported_at_the_start() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--messages", device.path("absent").display());
    assert_eq!(device.start().exit_code(), Some(100));
    device.wait_for_log("absent, create it first");
}

/// Exit code and log of a device whose store was spoilt.
fn started(spoil: impl FnOnce(&mut Device, &Sandbox)) -> (Option<i32>, String) {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--connect-attempts", 1);
    spoil(&mut device, &sandbox);
    let code = device.start().exit_code();
    (code, device.log())
}

#[track_caller]
fn told(result: (Option<i32>, String), code: i32, part: &str) {
    assert_eq!(result.0, Some(code), "{}", result.1);
    assert!(result.1.contains(part), "{part:?} is not in:\n{}", result.1);
}

/// The only certificate's files.
fn certificate_files(device: &Device) -> (std::path::PathBuf, std::path::PathBuf) {
    let id = common::names(&device.certstore())
        .into_iter()
        .find(|name| name.len() == 64)
        .expect("a certificate");
    let dir = device.certstore().join(&id);
    (
        dir.join(format!("{id}-certificate.pem.crt")),
        dir.join(format!("{id}-private.pem.key")),
    )
}

#[test]
fn an_endpoint_file_that_is_missing_or_empty() {
    let spoilt =
        started(|device, _| fs::remove_file(device.certstore().join("endpoint.txt")).unwrap());
    told(spoilt, 100, "cannot read endpoint from");
    let spoilt =
        started(|device, _| fs::write(device.certstore().join("endpoint.txt"), "\n").unwrap());
    told(
        spoilt,
        100,
        "endpoint.txt: no host name, write HOST or HOST:PORT",
    );
}

#[test]
fn an_endpoint_file_with_crlf_is_fine() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    fs::write(
        device.certstore().join("endpoint.txt"),
        format!("localhost:{}\r\n", sandbox.port()),
    )
    .unwrap();
    device.start().wait_for_log("connected to localhost:");
}

#[test]
fn a_certificate_without_key() {
    let spoilt = started(|device, _| fs::remove_file(certificate_files(device).1).unwrap());
    told(spoilt, 100, "no usable certificate in");
}

#[test]
fn a_key_that_does_not_match() {
    let spoilt = started(|device, sandbox| {
        let other = sandbox.pki().issue(CertificateKind::Valid);
        fs::write(certificate_files(device).1, other.private_key_pem).unwrap();
    });
    told(spoilt, 100, "does not match the certificate");
}

#[test]
fn garbage_instead_of_certificate_key_or_root() {
    let spoilt = started(|device, _| fs::write(certificate_files(device).0, "garbage").unwrap());
    told(spoilt, 100, "holds no PEM certificate");
    let spoilt = started(|device, _| fs::write(certificate_files(device).1, "garbage").unwrap());
    told(spoilt, 100, "holds no PEM private key");
    let spoilt = started(|device, _| {
        let roots = device.path("roots.pem");
        fs::write(&roots, "garbage").unwrap();
        device
            .without("--cacert")
            .option("--cacert", roots.display());
    });
    told(
        spoilt,
        100,
        "holds no PEM certificate; there is no BEGIN line in it; --cacert needs the root CA",
    );
}

#[test]
fn a_bad_root_does_not_stop_a_good_one() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let good = fs::read_to_string(sandbox.pki().ca_file()).unwrap();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let roots = device.path("roots.pem");
    fs::write(&roots, format!("{bad}{good}")).unwrap();
    device
        .without("--cacert")
        .option("--cacert", roots.display());
    device.start().wait_for_log("connected to");
    device.wait_for_log("roots.pem: certificate 1 is skipped");
}

#[test]
fn a_bad_certificate_does_not_stop_a_good_one() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let good = fs::read_link(device.certstore().join("preferred")).ok();
    assert_eq!(good, None, "the store has no link yet");
    let bad = device.certstore().join("bad");
    fs::create_dir(&bad).unwrap();
    fs::write(bad.join("bad-certificate.pem.crt"), "garbage").unwrap();
    fs::write(bad.join("bad-private.pem.key"), "garbage").unwrap();
    symlink("bad", device.certstore().join("preferred")).unwrap();
    device.start().wait_for_log("connected to");
    device.wait_for_log("certificate skipped");
    assert_ne!(
        fs::read_link(device.certstore().join("preferred")).unwrap(),
        std::path::Path::new("bad")
    );
}

/// A device whose only certificate is of this kind.
fn with_certificate(kind: CertificateKind) -> (Option<i32>, String) {
    started(|device, sandbox| {
        fs::remove_dir_all(device.certstore()).unwrap();
        sandbox
            .pki()
            .write_certstore(&device.certstore(), sandbox.port());
        let id = certificate_files(device).0.parent().unwrap().to_owned();
        fs::remove_dir_all(id).unwrap();
        sandbox
            .pki()
            .add_to_certstore(&device.certstore(), &sandbox.pki().issue(kind));
    })
}

#[test]
fn an_expired_certificate_is_named_as_that() {
    told(
        with_certificate(CertificateKind::Expired),
        111,
        "tls-cert: the broker says that our certificate has expired",
    );
}

#[test]
fn a_certificate_of_an_unknown_ca_is_named_as_that() {
    told(
        with_certificate(CertificateKind::OtherCa),
        111,
        "tls-cert: the broker",
    );
}

#[test]
fn a_revoked_certificate_is_reported() {
    let sandbox = sandbox();
    let mut device = Device::bare(sandbox.pki());
    let issued = sandbox
        .pki()
        .write_certstore(&device.certstore(), sandbox.port());
    sandbox.revoke(&issued.id);
    device.option("--connect-attempts", 1);
    assert_eq!(device.start().exit_code(), Some(111));
    device.wait_for_log("refused: closed before CONNACK, the certificate may be inactive");
}

#[test]
fn a_wrong_root_ca_is_named_as_that() {
    let spoilt = started(|device, sandbox| {
        device
            .without("--cacert")
            .option("--cacert", sandbox.pki().other_ca_file().display());
    });
    told(
        spoilt,
        111,
        "tls-ca: the broker's certificate is not signed by a CA in --cacert",
    );
}

#[test]
fn a_wrong_server_certificate_has_a_reason_of_its_own() {
    for (certificate, part) in [
        (
            ServerCertificate::Expired,
            "tls-ca: the broker's certificate has expired",
        ),
        (
            ServerCertificate::NotYetValid,
            "tls-clock: the broker's certificate is not valid yet",
        ),
        (
            ServerCertificate::OtherName,
            "tls-ca: the broker's certificate is not accepted",
        ),
    ] {
        let sandbox = builder().server_certificate(certificate).start().unwrap();
        let mut device = Device::new(&sandbox);
        device.option("--connect-attempts", 1);
        device.start().wait_for_log(part);
        if certificate == ServerCertificate::NotYetValid {
            // The clock is waited for.
            assert_eq!(device.stop(), Some(0));
        } else {
            assert_eq!(device.exit_code(), Some(111));
        }
    }
}

#[test]
fn keys_of_every_form_work() {
    for kind in [
        KeyKind::EcPkcs8,
        KeyKind::EcSec1,
        KeyKind::RsaPkcs8,
        KeyKind::RsaPkcs1,
    ] {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        let issued = sandbox.pki().issue_with(CertificateKind::Valid, kind);
        let (certificate, key) = (device.path("c.pem"), device.path("k.pem"));
        fs::write(&certificate, issued.certificate_pem).unwrap();
        fs::write(&key, issued.private_key_pem).unwrap();
        device.without("--certstore");
        device
            .option("--cert", certificate.display())
            .option("--key", key.display());
        device.option("--endpoint", format!("localhost:{}", sandbox.port()));
        device.start().wait_for_log("connected to");
        assert_eq!(device.stop(), Some(0), "{kind:?}");
    }
}

/// A message whose letterhead is spoilt goes to `failed/` with this reason.
fn letterhead(option: &str, contents: &str, reason: &str) {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let path = device.path("letterhead");
    fs::write(&path, contents).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    device.message_option(option, path.display());
    let other = device.path("other");
    fs::create_dir(&other).unwrap();
    device.option("--messages", other.display());
    device.start();
    device.drop_message("bad", "t", "x");
    common::drop_file(&other, "good", r#"{"topic":"good","payload":1}"#);
    let told = device.wait_for_failure("bad");
    assert!(told.contains(reason), "{told}");
    let topics: Vec<String> = sandbox
        .wait_for_publishes(1, LONG)
        .into_iter()
        .map(|one| one.topic)
        .collect();
    assert_eq!(topics, ["good"], "no letterhead, no publish");
}

#[test]
fn a_letterhead_that_is_malformed() {
    letterhead("--letterhead-file", "[]", "is an array, not a JSON object");
    letterhead(
        "--letterhead-generator",
        "#!/bin/sh\necho '{'",
        "is not JSON",
    );
}

#[test]
fn a_letterhead_generator_that_fails() {
    letterhead(
        "--letterhead-generator",
        "#!/bin/sh\nexit 7",
        "exit status: 7",
    );
}

#[test]
fn a_letterhead_generator_that_hangs() {
    letterhead(
        "--letterhead-generator",
        "#!/bin/sh\nsleep 1000",
        "did not end within 5 s",
    );
}

#[test]
fn a_letterhead_generator_that_prints_100_mb() {
    letterhead(
        "--letterhead-generator",
        "#!/bin/sh\nexec head -c 100000000 /dev/zero",
        "printed more than 1048576 bytes",
    );
}

#[test]
fn a_letterhead_that_is_missing() {
    let sandbox = sandbox();
    for option in ["--letterhead-file", "--letterhead-generator"] {
        let mut device = Device::new(&sandbox);
        device.message_option(option, device.path("absent").display());
        device.start();
        device.drop_message("bad", "t", "x");
        let told = device.wait_for_failure("bad");
        assert!(
            told.contains("absent") && told.contains("No such file"),
            "{told}"
        );
    }
    assert_eq!(sandbox.published().len(), 0);
}

#[test]
fn wrong_options_end_with_100_and_every_problem() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device
        .option("--mqtt", "4")
        .option("--keepalive", "x")
        .message_option("--message-order", "newest");
    assert_eq!(device.start().exit_code(), Some(100));
    for part in [
        "--mqtt=4: unknown",
        "--keepalive=x: 'x' is not a valid number",
        "unknown order 'newest', use lexical",
    ] {
        device.wait_for_log(part);
    }
    assert_eq!(sandbox.record().len(), 0, "nothing was connected");
}

#[test]
fn an_unknown_option_ends_with_100() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--mesages", "/x");
    assert_eq!(device.start().exit_code(), Some(100));
    device.wait_for_log("--mesages");
}

#[test]
fn one_directory_given_twice_ends_with_100() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--messages", format!("{}/", device.messages().display()));
    assert_eq!(device.start().exit_code(), Some(100));
    device.wait_for_log("given twice");
}
