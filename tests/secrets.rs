//! Files of keys and certificates that are wrong: reported in words that help, and without any part
//! of a key.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::mosquitto::Mosquitto;
use common::{Device, drop_file, names, sandbox};
use iotcore_sandbox::{
    CertificateKind, ProvisioningFault, ProvisioningGarbage, ProvisioningOperation,
    ProvisioningTrouble, Sandbox,
};
use serde_json::json;

/// Certificate and key of the first directory of a store.
fn files(store: &Path) -> (PathBuf, PathBuf) {
    let mut ids = names(store);
    ids.retain(|id| id.len() == 64);
    let id = ids.first().expect("a certificate");
    let dir = store.join(id);
    (
        dir.join(format!("{id}-certificate.pem.crt")),
        dir.join(format!("{id}-private.pem.key")),
    )
}

/// No eight bytes in a row of the key, nor of its encoded form, stand in the output: as text, in
/// hexadecimal or in decimal.
#[track_caller]
fn keeps_secret(what: &str, output: &str, key_pem: &str) {
    let body: String = key_pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(&body).expect("a whole key");
    let joined = |bytes: &[u8], between: &str| {
        let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
        numbers.join(between)
    };
    let hex = |bytes: &[u8], between: &str| {
        let numbers: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        numbers.join(between)
    };
    let lower = output.to_lowercase();
    for bytes in body.as_bytes().windows(8) {
        let text = String::from_utf8_lossy(bytes);
        assert!(!output.contains(&*text), "{what}: {text} in {output}");
    }
    for bytes in body.as_bytes().windows(8).chain(der.windows(8)) {
        for between in [",", ", ", " "] {
            assert!(
                !output.contains(&joined(bytes, between)),
                "{what}: {output}"
            );
        }
        for between in ["", " ", ":", ", "] {
            assert!(!lower.contains(&hex(bytes, between)), "{what}: {output}");
        }
    }
}

#[test]
fn the_search_for_a_key_finds_it_in_every_form() {
    let sandbox = sandbox();
    let key = sandbox.pki().issue(CertificateKind::Valid).private_key_pem;
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(&body).expect("a whole key");
    let forms = [
        body[20..30].to_owned(),
        format!("{:?}", &body.as_bytes()[20..30]),
        format!("{:?}", &der[20..30]),
        format!("{:02x?}", &der[20..30]),
    ];
    for form in forms {
        let found = std::panic::catch_unwind(|| keeps_secret("form", &form, &key));
        assert!(found.is_err(), "{form}");
    }
    keeps_secret("none", "a log without it", &key);
}

/// What editors, scripts and shells do to a key, and what is said of it.
fn damages(key: &str) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let lines: Vec<&str> = key.lines().collect();
    let body = lines[1..lines.len() - 1].join("\n");
    let label = |new: &str| key.replace("PRIVATE KEY", new);
    let texts = [
        (
            "line breaks as two characters",
            key.replace('\n', "\\n"),
            "two characters",
        ),
        (
            "the same with returns",
            key.replace('\n', "\\r\\n"),
            "two characters",
        ),
        (
            "in quotes, as in JSON",
            format!("\"{}\"", key.replace('\n', "\\n")),
            "two characters",
        ),
        (
            "no END line",
            lines[..lines.len() - 1].join("\n"),
            "cut off",
        ),
        (
            "cut in the middle",
            key[..key.len() / 2].to_owned(),
            "cut off",
        ),
        (
            "END line of another kind",
            key.replace("END PRIVATE", "END RSA PRIVATE"),
            "cut off",
        ),
        ("no BEGIN line", lines[1..].join("\n"), "no BEGIN line"),
        ("only the base64", body.clone(), "no BEGIN line"),
        (
            "four dashes",
            key.replace("-----BEGIN", "----BEGIN"),
            "BEGIN line is damaged",
        ),
        (
            "a character that is none",
            key.replacen(&body[10..12], "!?", 1),
            "not base64",
        ),
        (
            "a typographic dash",
            key.replacen(&body[10..11], "–", 1),
            "not base64",
        ),
        (
            "a line is missing",
            key.replacen(&format!("{}\n", lines[1]), "", 1),
            "cannot be used",
        ),
        (
            "two lines exchanged",
            key.replace(&body, &format!("{}\n{}", &body[65..], &body[..64])),
            "cannot be used",
        ),
        ("another label", label("RSA PRIVATE KEY"), "cannot be used"),
        ("encrypted", label("ENCRYPTED PRIVATE KEY"), "passphrase"),
        ("OpenSSH", label("OPENSSH PRIVATE KEY"), "ssh-keygen"),
        ("a label of a certificate", label("CERTIFICATE"), "swapped"),
        ("the label of nothing", label("SECRET"), "something else"),
        ("empty", String::new(), "is empty"),
    ];
    let mut damages: Vec<_> = texts
        .into_iter()
        .map(|(what, text, words)| (what, text.into_bytes(), words))
        .collect();
    let utf_16 = [0xfeff].into_iter().chain(key.encode_utf16());
    let utf_16 = utf_16.flat_map(u16::to_le_bytes).collect();
    damages.push(("UTF-16", utf_16, "UTF-16"));
    let der = STANDARD.decode(body.replace('\n', "")).expect("base64");
    damages.push(("DER", der, "is DER, not PEM"));
    damages
}

fn output(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    (output.status.code(), text.concat())
}

#[test]
fn a_damaged_key_is_reported_and_never_shown() {
    let sandbox = sandbox();
    let device = Device::new(&sandbox);
    let (_, key_file) = files(&device.certstore());
    let key = fs::read_to_string(&key_file).unwrap();
    for (what, contents, words) in damages(&key) {
        fs::write(&key_file, contents).unwrap();
        for check in [true, false] {
            let mut command = device.command();
            command.env("RUST_LOG", "trace");
            command.args(check.then_some("--check"));
            let (code, said) = output(&mut command);
            keeps_secret(what, &said, &key);
            assert_eq!(code, Some(100), "{what}: {said}");
            assert!(said.contains(words), "{what}: {words:?} is not in {said}");
        }
    }
}

/// Line lengths, blanks and a byte order mark are no damages.
#[test]
fn what_other_programs_write_is_read() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let (certificate_file, key_file) = files(&device.certstore());
    for file in [&certificate_file, &key_file] {
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let body: String = lines[1..lines.len() - 1].concat();
        let wide: Vec<_> = body
            .as_bytes()
            .chunks(76)
            .map(String::from_utf8_lossy)
            .collect();
        let wide = format!(
            "\u{feff}{} \r\n{} \r\n{}\r\n",
            lines[0],
            wide.join(" \r\n"),
            lines[lines.len() - 1]
        );
        fs::write(file, wide).unwrap();
    }
    device.start().wait_for_log("connected to");
    assert_eq!(device.stop(), Some(0));
    let text = fs::read_to_string(&certificate_file).unwrap();
    fs::write(&certificate_file, text.replace("\r\n", "")).unwrap();
    let (code, said) = output(device.command().arg("--check"));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("nobody is warned"), "{said}");
}

/// As some programs write them: lines of 76 characters, blanks at their ends, or all in one line.
#[test]
fn the_end_of_a_certificate_is_seen_whatever_its_lines_look_like() {
    let sandbox = sandbox();
    let days = std::time::Duration::from_secs(5 * 86_400 + 3600);
    let issued = sandbox.pki().issue(CertificateKind::ValidFor(days));
    let lines: Vec<&str> = issued.certificate_pem.lines().collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    let body = lines[1..lines.len() - 1].concat();
    let wide: Vec<_> = body
        .as_bytes()
        .chunks(76)
        .map(String::from_utf8_lossy)
        .collect();
    for text in [
        format!("{first}\n{}\n{last}\n", wide.join("\n")),
        format!("{first} \n{} \n{last} \n", wide.join(" \n")),
        format!("{first}\n{body}\n{last}\n"),
    ] {
        let mut device = Device::new(&sandbox);
        let (certificate_file, key_file) = files(&device.certstore());
        fs::write(certificate_file, text).unwrap();
        fs::write(key_file, &issued.private_key_pem).unwrap();
        device.start().wait_for_log("connected to");
        device.wait_for_log("the certificate expires in 5 days");
        assert_eq!(device.stop(), Some(0));
    }
}

fn fleet(device: &mut Device, sandbox: &Sandbox) -> PathBuf {
    let claims = device.path("claims");
    sandbox.pki().write_claim_store(&claims, sandbox.port());
    let settings =
        json!({"claimstore": claims, "template": "fleet", "parameters": {"SerialNumber": "1"}});
    let file = device.path("fp.json");
    fs::write(&file, format!("\u{feff}{settings}")).unwrap();
    device.option("--fleetprov", file.display());
    claims
}

#[test]
fn a_damaged_claim_key_is_in_no_log_and_in_no_reason() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let claims = fleet(&mut device, &sandbox);
    let commands = device.path("commands");
    fs::create_dir(&commands).unwrap();
    device.option("--commands", commands.display());
    let (_, key_file) = files(&claims);
    let key = fs::read_to_string(&key_file).unwrap();
    fs::write(&key_file, key.replace('\n', "\\n")).unwrap();
    let mut command = device.command();
    command.env("RUST_LOG", "trace");
    device.start_as(command);
    device.wait_for_log("connected to");
    drop_file(&commands, "reprovision", "");
    let reason = commands.join("failed/.reprovision.reason");
    common::wait_for("the command has failed", common::LONG, || {
        fs::read_to_string(&reason).is_ok_and(|text| text.ends_with('\n'))
    });
    let reason = fs::read_to_string(&reason).unwrap();
    keeps_secret("reason", &reason, &key);
    keeps_secret("log", &device.log(), &key);
    assert!(reason.contains("two characters"), "{reason}");
}

#[test]
fn a_damaged_key_from_the_cloud_is_in_no_log() {
    let sandbox = sandbox();
    let other = sandbox.pki().issue(CertificateKind::Valid).private_key_pem;
    let damaged = other.replace('\n', "\\n");
    let garbage = ProvisioningGarbage::With("privateKey", json!(damaged));
    let fault = ProvisioningFault::always(ProvisioningTrouble::Garble(garbage));
    sandbox
        .provisioning()
        .fault(fault.on(ProvisioningOperation::Create));
    let mut device = Device::bare(sandbox.pki());
    fs::create_dir(device.certstore()).unwrap();
    let endpoint = format!("\u{feff}localhost:{}\n", sandbox.port());
    fs::write(device.certstore().join("endpoint.txt"), endpoint).unwrap();
    fleet(&mut device, &sandbox);
    let mut command = device.command();
    command.env("RUST_LOG", "trace");
    let (code, said) = output(&mut command);
    keeps_secret("log", &said, &other);
    assert_eq!(code, Some(111), "{said}");
    assert!(said.contains("two characters"), "{said}");
}

#[track_caller]
fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("openssl runs");
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What AWS's own page on certificates of one's own CA makes.
#[test]
fn a_certificate_of_version_1_connects() {
    let Some(broker) = Mosquitto::start() else {
        println!("skipped: mosquitto is not installed");
        return;
    };
    let mut device = Device::at(broker.pki(), broker.port());
    let dir = device.path("");
    let ca = broker.pki().ca_file();
    openssl(
        &dir,
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out v1.key",
    );
    openssl(&dir, "req -new -key v1.key -subj /CN=v1 -out v1.csr");
    openssl(
        &dir,
        &format!(
            "x509 -req -in v1.csr -CA {} -CAkey {} -CAcreateserial -CAserial v1.srl -days 9 -out v1.crt",
            ca.display(),
            ca.with_extension("key").display()
        ),
    );
    let text = Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(device.path("v1.crt"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).contains("Version: 1 "));
    let (cert, key) = (device.path("v1.crt"), device.path("v1.key"));
    device
        .option("--cert", cert.display())
        .option("--key", key.display());
    device.start().wait_for_log("connected to");
}

#[test]
fn what_is_wrong_with_a_certificate_or_its_key_is_said() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let dir = device.path("");
    let issued = sandbox.pki().issue(CertificateKind::Valid);
    let other = sandbox.pki().issue(CertificateKind::Valid);
    let ca = fs::read_to_string(sandbox.pki().ca_file()).unwrap();
    openssl(
        &dir,
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out p521.key",
    );
    openssl(
        &dir,
        "req -x509 -key p521.key -subj /CN=x -days 9 -out p521.crt",
    );
    fs::write(dir.join("good.crt"), &issued.certificate_pem).unwrap();
    fs::write(dir.join("good.key"), &issued.private_key_pem).unwrap();
    fs::write(dir.join("other.key"), &other.private_key_pem).unwrap();
    fs::write(
        dir.join("wrong-order.crt"),
        format!("{ca}{}", issued.certificate_pem),
    )
    .unwrap();
    fs::write(
        dir.join("right-order.crt"),
        format!("{}{ca}", issued.certificate_pem),
    )
    .unwrap();
    openssl(&dir, "x509 -in good.crt -outform der -out der.crt");
    device.option("--cert", "").option("--key", "");
    for (cert, key, code, words) in [
        ("good.crt", "good.key", 0, "valid"),
        ("right-order.crt", "good.key", 0, "valid"),
        (
            "wrong-order.crt",
            "good.key",
            100,
            "is number 2 in it, it must be the first",
        ),
        (
            "good.key",
            "good.crt",
            100,
            "are the files of certificate and key swapped?",
        ),
        (
            "der.crt",
            "good.key",
            100,
            "is DER, not PEM; convert it with 'openssl x509 -inform der'",
        ),
        (
            "good.crt",
            "other.key",
            100,
            "does not match the certificate",
        ),
        (
            "p521.crt",
            "p521.key",
            100,
            "P-521, which is not supported; supported are EC P-256 and P-384",
        ),
    ] {
        let mut command = device.command();
        command.arg(format!("--cert={}", dir.join(cert).display()));
        command.arg(format!("--key={}", dir.join(key).display()));
        command.arg("--check");
        let (ended, said) = output(&mut command);
        assert_eq!(ended, Some(code), "{cert} {key}: {said}");
        if code != 0 {
            assert!(said.contains(words), "{cert} {key}: {said}");
        }
    }
}

/// Answers one TLS handshake after the other with this certificate, until it is dropped.
struct Server(std::process::Child);

impl Server {
    fn start(dir: &Path, cert: &str, key: &str, port: u16) -> Server {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &port.to_string()]);
        command.args(["-cert", cert, "-key", key]).current_dir(dir);
        let child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("openssl runs");
        Server(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_broker_s_certificate_that_can_be_no_server_s_is_reported_in_a_sentence() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let dir = device.path("");
    let ca = sandbox.pki().ca_file().to_owned();
    let ca_key = ca.with_extension("key");
    openssl(
        &dir,
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out v1.key",
    );
    openssl(&dir, "req -new -key v1.key -subj /CN=localhost -out v1.csr");
    let (ca, ca_key) = (ca.display().to_string(), ca_key.display().to_string());
    let sign = format!(
        "x509 -req -in v1.csr -CA {ca} -CAkey {ca_key} -CAserial v1.srl -CAcreateserial -days 9 -out v1.crt"
    );
    openssl(&dir, &sign);
    for (cert, key, words) in [
        (
            "v1.crt",
            "v1.key",
            "is of X.509 version 1, which TLS does not take from a server",
        ),
        (&ca, &ca_key, "is one of a CA, which cannot be a server's"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let _server = Server::start(&dir, cert, key, port);
        device
            .without("--endpoint")
            .option("--endpoint", format!("localhost:{port}"));
        device.start();
        device.wait_for_log(&format!(
            "connection failed: tls-ca: the broker's certificate {words}"
        ));
        device.kill();
    }
}
