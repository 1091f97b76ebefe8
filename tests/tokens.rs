//! Keys in tokens (manual, KEYS IN HARDWARE): a token in software behind a module that fails when it is told to,
//! asked by the helper and, in a build with the feature, by the daemon itself.

mod common;
#[path = "../crates/chariotd-pkcs11/tests/common/mod.rs"]
mod token;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::mosquitto::Mosquitto;
use common::tokens::{WAYS, Way, helper};
use common::{Device, LONG, sandbox, wait_for};
use iotcore_sandbox::{Cut, Sandbox};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use token::{PIN, SoftToken};

/// A device whose certificate belongs to the key with this label and id, beside a store with another one.
fn device_with(way: Way, token: &SoftToken, sandbox: &Sandbox, label: &str, id: &str) -> Device {
    let mut device = Device::at(sandbox.pki(), sandbox.port());
    let certificate = device.path("token.crt");
    fs::write(
        &certificate,
        token.certificate(id, sandbox.pki().dir(), helper()),
    )
    .unwrap();
    device.option("--cert", certificate.display());
    device.option("--key", token.uri(&format!("token=chariot;object={label}")));
    device.option("--connect-attempts", 1);
    way.add(&mut device);
    device
}

fn start(device: &mut Device, token: &SoftToken) {
    let mut command = device.command();
    token.environment(&mut command);
    device.start_as(command);
}

fn wait_until_connected(sandbox: &Sandbox, device: &Device) {
    let connected = || sandbox.connected().contains(&"device-1".to_owned());
    let start = std::time::Instant::now();
    while !connected() {
        assert!(start.elapsed() < LONG, "{}", device.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn cut(sandbox: &Sandbox) {
    sandbox.cut("device-1", Cut::Close);
}

#[test]
fn each_kind_of_key_connects_by_each_version_of_tls() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    token.make_key("EC:secp384r1", "ec384", "02");
    token.make_key("rsa:2048", "rsa", "03");
    for tls in ["TLSv1.2", "TLSv1.3"] {
        let Some(mosquitto) = Mosquitto::up_to(tls) else {
            return;
        };
        let mut count = 0;
        for way in WAYS {
            for (label, id) in [("ec", "01"), ("ec384", "02"), ("rsa", "03")] {
                let mut device = Device::at(mosquitto.pki(), mosquitto.port());
                let certificate = device.path("token.crt");
                fs::write(
                    &certificate,
                    token.certificate(id, mosquitto.pki().dir(), helper()),
                )
                .unwrap();
                device.option("--cert", certificate.display());
                device.option("--key", token.uri(&format!("object={label}")));
                way.add(&mut device);
                start(&mut device, &token);
                device.drop_message("m", &format!("{tls}/{label}"), "by a key in a token");
                device.wait_until_empty();
                count += 1;
                mosquitto.wait_for(count, LONG);
                assert_eq!(device.stop(), Some(0), "{way:?} {tls} {label}");
            }
        }
        assert_eq!(speaks(&mosquitto, "-tls1_3"), tls == "TLSv1.3");
        assert!(speaks(&mosquitto, "-tls1_2"));
    }
}

fn speaks(mosquitto: &Mosquitto, version: &str) -> bool {
    let mut openssl = Command::new("openssl");
    let address = format!("127.0.0.1:{}", mosquitto.port());
    openssl.args(["s_client", "-connect", &address, version]);
    let output = openssl.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("Server certificate\n")
}

#[test]
fn the_key_file_of_a_store_may_name_a_key_in_a_token() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    for way in WAYS {
        let sandbox = sandbox();
        let mut device = Device::at(sandbox.pki(), sandbox.port());
        let mut issued = sandbox.pki().issue(iotcore_sandbox::CertificateKind::Valid);
        issued.certificate_pem = token.certificate("01", sandbox.pki().dir(), helper());
        issued.private_key_pem = format!("{}\n", token.uri("object=ec"));
        fs::remove_dir_all(device.certstore()).unwrap();
        sandbox
            .pki()
            .write_certstore(&device.certstore(), sandbox.port());
        for entry in fs::read_dir(device.certstore()).unwrap().flatten() {
            if entry.path().is_dir() {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
        sandbox.pki().add_to_certstore(&device.certstore(), &issued);
        way.add(&mut device);
        start(&mut device, &token);
        wait_until_connected(&sandbox, &device);
    }
}

#[test]
fn a_certificate_for_another_key_and_a_missing_key_end_the_start() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    token.make_key("EC:prime256v1", "other", "02");
    let sandbox = sandbox();
    for way in WAYS {
        let mut device = device_with(way, &token, &sandbox, "other", "01");
        start(&mut device, &token);
        assert_eq!(device.exit_code(), Some(100));
        device.wait_for_log(
            "the key with object 'other' in token 'chariot' does not match the certificate",
        );
        let mut device = device_with(way, &token, &sandbox, "none", "01");
        start(&mut device, &token);
        assert_eq!(device.exit_code(), Some(100));
        device.wait_for_log("no key with object 'none' in token 'chariot', it holds object '");
    }
    assert!(sandbox.connected().is_empty());
}

#[test]
fn a_wrong_pin_is_shown_once_however_often_it_connects_and_rotates_nothing() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    for way in WAYS {
        let sandbox = sandbox();
        let mut device = device_with(way, &token, &sandbox, "ec", "01");
        token.write_pin("s3cr3t-4321");
        let before = token.logins();
        start(&mut device, &token);
        device.wait_for_log("token 'chariot' refuses the PIN in");
        device.wait_for_log("(2 times in a row), next attempt");
        assert!(device.logged("key: token 'chariot' has refused the PIN") > 0);
        assert_eq!(token.logins(), before + 1);
        assert!(!device.log().contains("s3cr3t"), "{}", device.log());
        token.write_pin(PIN);
        wait_until_connected(&sandbox, &device);
        assert_eq!(device.stop(), Some(0));
        assert!(!device.log().contains("s3cr3t"), "{}", device.log());
        assert_eq!(device.logged("given up"), 0);
    }
}

#[test]
fn a_token_is_waited_for_at_the_start_and_after_it_was_removed() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    for way in WAYS {
        let sandbox = sandbox();
        let mut device = device_with(way, &token, &sandbox, "ec", "01");
        token.tell("absent");
        start(&mut device, &token);
        device.wait_for_log("key: token 'chariot' is absent, plug it in");
        device.wait_for_log("(2 times in a row), next attempt");
        token.untell("absent");
        wait_until_connected(&sandbox, &device);
        let before = device.logged("key: token 'chariot' is absent");
        token.tell("absent");
        cut(&sandbox);
        wait_for("it is missed", LONG, || {
            device.logged("key: token 'chariot' is absent") >= before + 2
        });
        token.untell("absent");
        wait_until_connected(&sandbox, &device);
        assert_eq!(device.stop(), Some(0));
    }
}

#[test]
fn a_locked_token_is_named() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    let sandbox = sandbox();
    for way in WAYS {
        let mut device = device_with(way, &token, &sandbox, "ec", "01");
        token.tell("locked");
        start(&mut device, &token);
        device.wait_for_log("key: the PIN of token 'chariot' is locked after too many wrong ones");
        device.wait_for_log("(2 times in a row), next attempt");
        assert_eq!(device.stop(), Some(0));
        token.untell("locked");
    }
}

/// The helper of a daemon.
fn child(device: &Device) -> Option<Pid> {
    let own = device.pid().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find_map(|pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let running = fields.next() != Some("Z");
            (running && fields.next() == Some(&own)).then(|| Pid::from_raw(pid))
        })
}

#[test]
fn a_helper_that_was_killed_is_started_again_and_ends_with_the_daemon() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("rsa:2048", "rsa", "01");
    let sandbox = sandbox();
    let mut device = device_with(Way::Helper, &token, &sandbox, "rsa", "01");
    start(&mut device, &token);
    wait_until_connected(&sandbox, &device);
    let first = child(&device).expect("a helper");
    kill(first, Signal::SIGKILL).unwrap();
    cut(&sandbox);
    device.wait_for_log("the key helper has ended (signal: 9 (SIGKILL)), it is started again");
    wait_until_connected(&sandbox, &device);
    let second = child(&device).expect("another helper");
    assert_ne!(first, second);
    device.kill();
    wait_for("it ends as well", LONG, || kill(second, None).is_err());
}

#[test]
fn a_helper_that_is_none_is_named() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    let sandbox = sandbox();
    let with = |helper: &str| {
        let mut device = device_with(Way::Helper, &token, &sandbox, "ec", "01");
        device
            .without("--key-helper")
            .option("--key-helper", helper);
        start(&mut device, &token);
        device
    };
    let mut missing = with("/nonexistent/chariotd-pkcs11");
    assert_eq!(missing.exit_code(), Some(100));
    missing.wait_for_log("cannot start the key helper /nonexistent/chariotd-pkcs11: No such file");
    let mut wrong = with("/bin/true");
    wrong.wait_for_log(
        "key: the key helper /bin/true has ended at once; is it the program chariotd-pkcs11?",
    );
    assert_eq!(wrong.stop(), Some(0));
    let script = token.path("nonsense");
    fs::write(
        &script,
        "#!/bin/sh\nprintf '\\000\\000\\000\\001X' >&0\nsleep 60\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let mut wrong = with(&script.display().to_string());
    wrong.wait_for_log("its answer is not understood");
    assert_eq!(wrong.stop(), Some(0));
}

#[test]
fn a_token_that_hangs_holds_up_nothing_else() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    for way in WAYS {
        let sandbox = sandbox();
        let mut device = device_with(way, &token, &sandbox, "ec", "01");
        start(&mut device, &token);
        wait_until_connected(&sandbox, &device);
        token.tell("hang");
        cut(&sandbox);
        device.wait_for_log(match way {
            Way::Helper => "has not answered within 10 s and was ended",
            #[cfg(feature = "pkcs11")]
            Way::Process => "key: the token has not signed within 20 s",
        });
        // While it hangs.
        assert_eq!(device.stop(), Some(0));
        token.untell("hang");
    }
}

#[test]
fn a_check_shows_the_token_no_pin() {
    let Some(token) = SoftToken::new() else {
        return;
    };
    token.make_key("EC:prime256v1", "ec", "01");
    let sandbox = sandbox();
    for way in WAYS {
        let mut device = device_with(way, &token, &sandbox, "ec", "01");
        device.flag("--check");
        let before = token.logins();
        start(&mut device, &token);
        assert_eq!(device.exit_code(), Some(0), "{}", device.log());
        assert_eq!(token.logins(), before);
    }
}

#[test]
fn wrong_addresses_are_named_and_a_pin_in_one_is_not_repeated() {
    let sandbox = sandbox();
    for (uri, words) in [
        (
            "pkcs11:token=t?module-path=/m.so&pin-value=s3cr3t",
            "--key: the key's address has pin-value, which everybody can see",
        ),
        (
            "pkcs11:token=t",
            "--key: the key's address says nothing of the vendor's module",
        ),
        (
            "pkcs11:tken=t?module-path=/m.so",
            "has 'tken', which is not looked at",
        ),
    ] {
        let mut device = Device::new(&sandbox);
        device.option("--cert", "/c.pem").option("--key", uri);
        device.option("--key-helper", "/usr/bin/chariotd-pkcs11");
        device.start();
        assert_eq!(device.exit_code(), Some(100));
        device.wait_for_log(words);
        assert!(!device.log().contains("s3cr3t"), "{}", device.log());
    }
    for (helper, words) in [
        ("", "is empty"),
        ("bin/helper", "begins with a relative path"),
    ] {
        let mut device = Device::new(&sandbox);
        device.option("--key-helper", helper).start();
        assert_eq!(device.exit_code(), Some(100));
        device.wait_for_log(words);
    }
}

#[cfg(not(feature = "pkcs11"))]
#[test]
fn a_build_that_cannot_load_modules_says_what_to_do() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device
        .option("--cert", "/c.pem")
        .option("--key", "pkcs11:token=t?module-path=/m.so");
    device.start();
    assert_eq!(device.exit_code(), Some(100));
    device.wait_for_log("--key: this build cannot load the PKCS#11 modules of tokens: start the helper that is shipped beside it by --key-helper=");
    let mut device = Device::new(&sandbox);
    for entry in fs::read_dir(device.certstore())
        .unwrap()
        .flatten()
        .filter(|it| it.path().is_dir())
    {
        for file in fs::read_dir(entry.path()).unwrap().flatten() {
            if file.path().extension().is_some_and(|it| it == "key") {
                fs::write(file.path(), "pkcs11:token=t?module-path=/m.so\n").unwrap();
            }
        }
    }
    device.start();
    assert_eq!(device.exit_code(), Some(100));
    device.wait_for_log("this build cannot load the PKCS#11 modules of tokens");
}
