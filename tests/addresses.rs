//! From the name of the endpoint to a connection: names with several addresses, resolvers and
//! addresses that do not answer, and a machine that is short of threads meanwhile.

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use common::names::{BlackHole, NameServer, with_files};
use common::{Device, LONG, is_root, sandbox, wait_for};
use iotcore_sandbox::{CertificateKind, Cut, Sandbox};

/// A file of the device's directory with these contents.
fn file(device: &Device, name: &str, contents: &str) -> PathBuf {
    let path = device.path(name);
    fs::write(&path, contents).unwrap();
    path
}

/// Starts the device with its own names for `localhost`. `false` where that is not possible.
fn start_with_hosts(device: &mut Device, hosts: &str) -> bool {
    let hosts = file(device, "hosts", hosts);
    let Some(command) = with_files(&device.command(), &[(&hosts, "/etc/hosts")]) else {
        return false;
    };
    device.start_as(command);
    true
}

/// The black hole on the IPv6 side of the sandbox's port.
fn ipv6_hole(sandbox: &Sandbox) -> Option<BlackHole> {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: there is no IPv6 here");
        return None;
    }
    let address = format!("[::1]:{}", sandbox.port());
    Some(BlackHole::at(address.parse().unwrap()))
}

#[test]
fn an_address_that_does_not_answer_does_not_hold_up_the_next_one() {
    let sandbox = sandbox();
    let Some(_hole) = ipv6_hole(&sandbox) else {
        return;
    };
    let mut device = Device::new(&sandbox);
    let started = Instant::now();
    if !start_with_hosts(&mut device, "::1 localhost\n127.0.0.1 localhost\n") {
        return;
    }
    device.wait_for_log("connected to");
    eprintln!("connected after {:?}", started.elapsed());
    assert_eq!(device.logged("connection failed"), 0, "{}", device.log());
    device.drop_message("x", "t", "x");
    sandbox.wait_for_publishes(1, LONG);
}

#[test]
fn addresses_that_do_not_answer_are_named_and_no_reason_to_rotate() {
    let sandbox = sandbox();
    let hole = BlackHole::at("127.0.0.1:0".parse().unwrap());
    let mut device = Device::new(&sandbox);
    let first = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.pki().add_to_certstore(&device.certstore(), &first);
    std::os::unix::fs::symlink(&first.id, device.certstore().join("preferred")).unwrap();
    let port = hole.address().port();
    device.option("--endpoint", format!("127.0.0.1:{port}"));
    device.option("--connect-attempts", 1);
    assert_eq!(device.start().exit_code(), Some(111));
    device.wait_for_log(&format!(
        "connection failed: tcp: no answer within 20 s: 127.0.0.1:{port}"
    ));
    let preferred = fs::read_link(device.certstore().join("preferred")).unwrap();
    assert_eq!(preferred.to_str(), Some(first.id.as_str()));
    assert_eq!(device.logged("the next start uses certificate"), 0);
}

#[test]
fn a_resolver_that_never_answers_for_ipv6_does_not_hold_up_ipv4() {
    if !is_root() {
        eprintln!("skipped: only root can listen on port 53");
        return;
    }
    let server = NameServer::start("127.0.0.53");
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let files = [
        ("hosts", "127.0.0.1 other\n", "/etc/hosts"),
        ("resolv.conf", "nameserver 127.0.0.53\n", "/etc/resolv.conf"),
        ("nsswitch.conf", "hosts: files dns\n", "/etc/nsswitch.conf"),
    ];
    let files = files.map(|(name, contents, place)| (file(&device, name, contents), place));
    let files: Vec<_> = files
        .iter()
        .map(|(file, place)| (file.as_path(), *place))
        .collect();
    let Some(command) = with_files(&device.command(), &files) else {
        return;
    };
    let started = Instant::now();
    device.start_as(command);
    device.wait_for_log("connected to");
    eprintln!("connected after {:?}", started.elapsed());
    assert_eq!(device.logged("connection failed"), 0, "{}", device.log());
    assert_eq!(server.asked_for_ipv4(), 1, "one look-up for a connection");
    assert!(server.asked_for_ipv6() >= 1, "IPv6 is asked for too");
}

#[test]
fn only_addresses_of_the_wanted_version_of_ip_are_tried() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--ip", 6).option("--connect-attempts", 1);
    if !start_with_hosts(&mut device, "127.0.0.1 localhost\n::1 localhost\n") {
        return;
    }
    device.wait_for_log("connection failed: tcp: ");
    let port = sandbox.port();
    assert_eq!(
        device.logged(&format!("[::1]:{port}")),
        1,
        "{}",
        device.log()
    );
    assert_eq!(device.logged("127.0.0.1"), 0, "{}", device.log());
    let mut device = Device::new(&sandbox);
    device.option("--ip", 6).option("--connect-attempts", 1);
    device.option("--endpoint", format!("127.0.0.1:{port}"));
    assert_eq!(device.start().exit_code(), Some(111));
    device.wait_for_log("tcp: 127.0.0.1 is not an IPv6 address, which --ip asks for");
    device.without("--ip").option("--ip", 4);
    device.start().wait_for_log("connected to");
}

#[test]
fn connections_leave_through_the_wanted_interface_and_an_absent_one_is_named() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--bind-interface", "lo");
    device.start().wait_for_log("connected to");
    device.stop();
    device.without("--bind-interface");
    device.option("--bind-interface", "absent0");
    device.start();
    device
        .wait_for_log("connection failed: tcp: interface 'absent0' cannot be used: No such device");
}

/// Sets how many threads the device's user may have, as that user may do.
fn limit_threads(device: &Device, user: u32, count: &str) {
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", device.pid()))
        .arg(format!("--nproc={count}:"))
        .uid(user)
        .gid(user)
        .status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
fn a_shortage_of_threads_is_waited_for_at_start_and_at_a_reconnect() {
    if !is_root() {
        eprintln!("skipped: only root can run the device as a user who runs nothing else");
        return;
    }
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let binary = device.path("chariotd");
    fs::copy(env!("CARGO_BIN_EXE_chariotd"), &binary).unwrap();
    let ca = device.path("ca.pem");
    fs::copy(sandbox.pki().ca_file(), &ca).unwrap();
    device.without("--cacert").option("--cacert", ca.display());
    device.option("--connect-attempts", 1);
    // An action directory has a thread of its own, from the start to the end.
    device.without("--messages");
    // Nobody else's processes count against this user's limit.
    let user = 64_000 + std::process::id() % 1000;
    let own = Command::new("chown")
        .args(["-R", &user.to_string()])
        .arg(device.path(""))
        .status();
    assert!(own.unwrap().success());
    let mut command = Command::new("prlimit");
    command.arg("--nproc=1:").arg(&binary);
    command
        .args(device.command().get_args())
        .uid(user)
        .gid(user);
    device.start_as(command);
    let short = || device.logged("connection failed: shortage: ");
    wait_for("it is short of threads", LONG, || short() >= 2);
    limit_threads(&device, user, "100");
    device.wait_for_log("connected to");

    limit_threads(&device, user, "1");
    let before = short();
    sandbox.cut("device-1", Cut::Close);
    wait_for("it is short again", LONG, || short() > before);
    limit_threads(&device, user, "100");
    wait_for("it is connected again", LONG, || {
        device.logged("connected to") == 2
    });
}
