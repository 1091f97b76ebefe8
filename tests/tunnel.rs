//! Secure tunnels (manual, SECURE TUNNELS), with a script in the place of AWS's local proxy.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Device, LONG, drop_file, names, sandbox, wait_for};
use iotcore_sandbox::{Deny, Sandbox};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};
use serde_json::{Value, json};

const THING: &str = "pump-7";
const TOKEN: &str = "AQGAAXx5gWsVerySecretIndeed0123456789";

/// Waits for its end, as a proxy that serves a tunnel.
const SERVES: &str = "exec sleep 300";
/// Ends neither by itself nor when it is asked to, and has a child.
const STUBBORN: &str = "trap '' TERM; sleep 300 & echo $! > \"$0.child\"; while :; do wait; done";

/// A device with a local proxy that records each of its starts.
struct Site {
    device: Device,
    program: PathBuf,
}

/// What a proxy has found at its start.
#[derive(Clone, Debug)]
struct Start {
    pid: i32,
    arguments: String,
    token: String,
    region: String,
}

impl Site {
    fn new(sandbox: &Sandbox, then: &str) -> Site {
        let mut device = Device::new(sandbox);
        let program = device.path("localproxy");
        device.option("--tunnelproxy", program.display());
        device.option("--tunnelmappings", format!("{THING}:SSH=22,web=8080"));
        fs::create_dir(device.path("commands")).unwrap();
        let commands = device.path("commands");
        device.option("--commands", commands.display());
        let site = Site { device, program };
        site.install(then);
        site
    }

    fn install(&self, then: &str) {
        let log = self.program.with_extension("starts");
        let text = format!(
            "#!/bin/sh\nprintf '%s|%s|%s|%s\\n' $$ \"$*\" \"$AWSIOT_TUNNEL_ACCESS_TOKEN\" \\\n  \
             \"$AWSIOT_TUNNEL_REGION\" >> {}\n{then}\n",
            log.display()
        );
        let staged = self.program.with_extension("new");
        fs::write(&staged, text).unwrap();
        fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(staged, &self.program).unwrap();
    }

    fn start(&mut self) {
        let mut command = self.device.command();
        command.env("RUST_LOG", "debug");
        self.device.start_as(command);
        self.wait_until_subscribed(1);
    }

    fn wait_until_subscribed(&self, times: usize) {
        let line = format!("subscribed to '$aws/things/{THING}/tunnels/notify'");
        wait_for("the tunnels are subscribed", LONG, || {
            self.device.logged(&line) >= times
        });
    }

    fn starts(&self) -> Vec<Start> {
        let log = fs::read_to_string(self.program.with_extension("starts")).unwrap_or_default();
        let read = |line: &str| {
            let mut parts = line.split('|').map(str::to_owned);
            let mut part = || parts.next().expect("four parts");
            Start {
                pid: part().parse().expect("a process id"),
                arguments: part(),
                token: part(),
                region: part(),
            }
        };
        log.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| read(line.trim_end()))
            .collect()
    }

    /// The n-th start, counting from 1.
    #[track_caller]
    fn wait_for_start(&self, n: usize) -> Start {
        wait_for("the proxy has started", LONG, || self.starts().len() >= n);
        self.starts()[n - 1].clone()
    }

    fn command(&self, name: &str, body: impl ToString) {
        drop_file(&self.device.path("commands"), name, body.to_string());
    }

    #[track_caller]
    fn wait_for_refusal(&self, command: &str) -> String {
        let reason = self
            .device
            .path(&format!("commands/failed/.{command}.reason"));
        let read = || fs::read_to_string(&reason).unwrap_or_default();
        wait_for("the command has failed", LONG, || read().ends_with('\n'));
        let text = read();
        fs::remove_file(reason).unwrap();
        text
    }
}

/// Proxies outlive their daemon, and a test outlives none of them.
impl Drop for Site {
    fn drop(&mut self) {
        for start in self.starts() {
            let line = fs::read(format!("/proc/{}/cmdline", start.pid)).unwrap_or_default();
            let ours = self.program.display().to_string();
            if String::from_utf8_lossy(&line).contains(&ours) || line.starts_with(b"sleep\x00300") {
                let _ = killpg(Pid::from_raw(start.pid), Signal::SIGKILL);
            }
        }
    }
}

fn notification(token: &str, services: Value) -> Value {
    json!({
        "clientAccessToken": token,
        "clientMode": "destination",
        "region": "eu-west-1",
        "services": services,
    })
}

fn notify(sandbox: &Sandbox, thing: &str, document: &Value) {
    notify_bytes(sandbox, thing, document.to_string().as_bytes());
}

fn notify_bytes(sandbox: &Sandbox, thing: &str, payload: &[u8]) {
    let reached = sandbox.publish(&format!("$aws/things/{thing}/tunnels/notify"), payload, 1);
    assert_eq!(reached, 1, "the daemon is subscribed");
}

fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(Pid::from_raw(pid), None).is_ok() && !stat.contains(") Z ")
}

/// The arguments of every process of this machine.
fn command_lines() -> String {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " ") + "\n")
        .collect()
}

#[test]
fn a_notification_starts_the_proxy_and_the_token_is_in_its_environment_alone() {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        let mut site = Site::new(&sandbox, SERVES);
        let roots = site.device.path("roots");
        fs::create_dir(&roots).unwrap();
        site.device.option("--mqtt", version);
        site.device.option("--tunnelcadir", roots.display());
        site.start();
        notify(&sandbox, THING, &notification(TOKEN, json!(["SSH"])));
        let start = site.wait_for_start(1);
        assert_eq!(start.arguments, format!("-d SSH=22 -c {}", roots.display()));
        assert_eq!(
            (start.token.as_str(), start.region.as_str()),
            (TOKEN, "eu-west-1")
        );
        site.device
            .wait_for_log("info: opened a tunnel to 'pump-7' for SSH=22, region eu-west-1");
        let lines = command_lines();
        assert!(
            lines.contains("--tunnelproxy="),
            "the daemon itself is seen"
        );
        assert!(!lines.contains(TOKEN), "{lines}");
        assert!(!site.device.log().contains(TOKEN), "{}", site.device.log());
    }
}

#[test]
fn only_what_is_both_asked_for_and_mapped_is_served() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.start();
    notify(
        &sandbox,
        THING,
        &notification("t1", json!(["web", "VNC", "SSH", "web"])),
    );
    assert_eq!(site.wait_for_start(1).arguments, "-d SSH=22,web=8080");
    site.device
        .wait_for_log("warn: a tunnel to 'pump-7' is opened without VNC: no port is mapped");
    notify(&sandbox, THING, &notification("t2", json!(["VNC", "ftp"])));
    site.device.wait_for_log(
        "warn: ignored a request for a tunnel to 'pump-7': no port is mapped for VNC, ftp",
    );
    assert!(
        runs(site.starts()[0].pid),
        "what cannot be opened closes nothing"
    );
    notify(&sandbox, THING, &notification("t3", json!(["web"])));
    assert_eq!(site.wait_for_start(2).arguments, "-d web=8080");
}

#[test]
fn whatever_else_comes_is_ignored_with_a_reason_and_without_the_token() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.start();
    let with = |member: &str, value: Value| {
        let mut document = notification(TOKEN, json!(["SSH"]));
        document[member] = value;
        document.to_string().into_bytes()
    };
    let table = [
        (b"\xff\x00".to_vec(), "is not JSON"),
        (b"\"".repeat(100_000), "is not JSON"),
        (
            format!("{{\"clientAccessToken\":\"{TOKEN}\"").into_bytes(),
            "is not JSON",
        ),
        (
            format!("[\"{TOKEN}\"]").into_bytes(),
            "is not a JSON object",
        ),
        (
            with("clientMode", json!("source")),
            "clientMode is \"source\"",
        ),
        (
            with("clientAccessToken", json!({"x": TOKEN})),
            "clientAccessToken is not a text",
        ),
        (
            with("clientAccessToken", json!(format!("{TOKEN}\n"))),
            "clientAccessToken is not a text",
        ),
        (with("region", json!("eu-west-1 -v 6")), "region is"),
        (
            with("region", json!(format!("{TOKEN}{TOKEN}"))),
            "region is something of",
        ),
        (with("services", json!("SSH")), "services is"),
        (
            with("services", json!(["SSH", "--config=/x"])),
            "which has other characters",
        ),
        (
            with("services", json!(["$(reboot)"])),
            "which has other characters",
        ),
        (
            with("services", json!(["SSH=1,web"])),
            "which has other characters",
        ),
    ];
    for (payload, part) in &table {
        let told = || {
            let log = site.device.log();
            log.lines()
                .filter(|line| {
                    line.starts_with("warn: ignored a request for a tunnel to 'pump-7': ")
                })
                .filter(|line| line.contains(part))
                .count()
        };
        let before = told();
        notify_bytes(&sandbox, THING, payload);
        wait_for(part, LONG, || told() > before);
    }
    notify(&sandbox, THING, &notification(TOKEN, json!(["SSH"])));
    site.wait_for_start(1);
    assert_eq!(site.starts().len(), 1);
    assert!(!site.device.log().contains(TOKEN), "{}", site.device.log());
}

#[test]
fn the_same_token_starts_nothing_twice() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.start();
    for _ in 0..3 {
        notify(&sandbox, THING, &notification("t1", json!(["SSH"])));
    }
    let first = site.wait_for_start(1);
    kill(Pid::from_raw(first.pid), Signal::SIGKILL).unwrap();
    site.device
        .wait_for_log("the local proxy of 'pump-7' has ended");
    notify(&sandbox, THING, &notification("t1", json!(["SSH"])));
    notify(&sandbox, THING, &notification("t2", json!(["SSH"])));
    assert_eq!(site.wait_for_start(2).token, "t2");
    // An old notification that comes late does not end the newer tunnel.
    notify(&sandbox, THING, &notification("t1", json!(["SSH"])));
    notify(&sandbox, THING, &notification("t3", json!(["SSH"])));
    assert_eq!(site.wait_for_start(3).token, "t3");
    assert_eq!(site.starts().len(), 3);
}

#[test]
fn a_new_request_ends_the_old_proxy_first() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.start();
    notify(&sandbox, THING, &notification("t1", json!(["SSH"])));
    let old = site.wait_for_start(1);
    notify(&sandbox, THING, &notification("t2", json!(["SSH"])));
    let new = site.wait_for_start(2);
    assert!(!runs(old.pid) && runs(new.pid));
    site.device
        .wait_for_log("info: closing the tunnel to 'pump-7'");
    site.device
        .wait_for_log("info: the local proxy of 'pump-7' has ended after");
    assert!(
        !Path::new(&format!("/proc/{}", old.pid)).exists(),
        "it was waited for"
    );
}

#[test]
fn a_proxy_that_does_not_end_is_killed_with_its_children() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, STUBBORN);
    site.start();
    notify(&sandbox, THING, &notification("t1", json!(["SSH"])));
    let old = site.wait_for_start(1);
    let child = site.program.with_extension("child");
    let number = || {
        fs::read_to_string(&child)
            .unwrap_or_default()
            .trim()
            .parse::<i32>()
    };
    wait_for("its child runs", LONG, || number().is_ok());
    let child = number().unwrap();
    site.install(SERVES);
    for token in ["t2", "t3", "t4"] {
        notify(&sandbox, THING, &notification(token, json!(["SSH"])));
    }
    let new = site.wait_for_start(2);
    assert_eq!(new.token, "t4", "the newest of those that waited");
    assert!(!runs(old.pid));
    wait_for("its child is gone", LONG, || !runs(child));
    site.device
        .wait_for_log("warn: the local proxy of 'pump-7' does not end and is killed");
    site.device.wait_for_log("a newer request replaced it");
    assert_eq!(site.starts().len(), 2);
}

#[test]
fn a_proxy_that_is_missing_or_dies_at_once_is_reported() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, "exit 3");
    fs::remove_file(&site.program).unwrap();
    site.start();
    notify(&sandbox, THING, &notification(TOKEN, json!(["SSH"])));
    site.device.wait_for_log(&format!(
        "error: no tunnel to 'pump-7': cannot start {}: No such file",
        site.program.display()
    ));
    site.install("exit 3");
    notify(&sandbox, THING, &notification(TOKEN, json!(["SSH"])));
    site.wait_for_start(1);
    site.device
        .wait_for_log("warn: the local proxy of 'pump-7' has ended after 0.");
    site.device.wait_for_log(": exit status: 3");
    assert!(!site.device.log().contains(TOKEN), "{}", site.device.log());
}

#[test]
fn a_proxy_outlives_the_daemon_and_has_nothing_of_it() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.start();
    notify(&sandbox, THING, &notification("t1", json!(["SSH"])));
    let first = site.wait_for_start(1).pid;
    assert_eq!(getpgid(Some(Pid::from_raw(first))).unwrap().as_raw(), first);
    wait_for("the script has become sleep", LONG, || {
        fs::read(format!("/proc/{first}/cmdline"))
            .unwrap()
            .starts_with(b"sleep")
    });
    // Its loader opens and closes libraries for a moment.
    wait_for("nothing of ours is open", LONG, || {
        foreign(first).is_empty()
    });
    assert_eq!(site.device.stop(), Some(0));
    assert!(runs(first));
    site.start_again();
    notify(&sandbox, THING, &notification("t2", json!(["SSH"])));
    let second = site.wait_for_start(2).pid;
    site.device.kill();
    assert!(runs(first) && runs(second));
}

/// What this process has open beside `/dev/null` and what this test was started with, which everybody
/// has.
fn foreign(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open = entries.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let ours = fs::read_link(Path::new("/proc/self/fd").join(entry.file_name())).ok();
        let known = ours.as_ref() == Some(&target) || target == Path::new("/dev/null");
        (!known).then_some(target)
    });
    open.collect()
}

impl Site {
    fn start_again(&mut self) {
        self.device.start();
        self.wait_until_subscribed(2);
    }
}

#[test]
fn commands_open_and_close_a_tunnel() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.start();
    let request = json!({
        "thing": THING, "clientAccessToken": TOKEN, "region": "us-east-1", "services": ["web"],
    });
    site.command("open-tunnel", &request);
    let start = site.wait_for_start(1);
    assert_eq!(
        (start.arguments.as_str(), start.token.as_str()),
        ("-d web=8080", TOKEN)
    );
    assert_eq!(start.region, "us-east-1");
    site.device
        .wait_for_log("carried out the command 'open-tunnel'");
    site.command("open-tunnel", &request);
    assert!(
        site.wait_for_refusal("open-tunnel")
            .contains("was used already")
    );
    site.command("close-tunnel", json!({"thing": THING}));
    wait_for("the proxy has ended", LONG, || !runs(start.pid));
    site.device
        .wait_for_log("carried out the command 'close-tunnel'");
    site.device
        .wait_for_log("the local proxy of 'pump-7' has ended");
    // With one thing only it need not be named.
    site.command("close-tunnel", "");
    assert!(
        site.wait_for_refusal("close-tunnel")
            .contains("there is no tunnel to 'pump-7'")
    );
    assert!(!site.device.log().contains(TOKEN), "{}", site.device.log());
    assert_eq!(names(&site.device.path("commands/new")), [""; 0]);
}

#[test]
fn a_command_that_cannot_be_carried_out_says_why_and_never_the_token() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.device.option("--tunnelmappings", "valve-1:SSH=2222");
    site.start();
    let body = |thing: Value, more: Value| {
        let mut body = notification(TOKEN, json!(["SSH"]));
        body["thing"] = thing;
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    let table = [
        (
            "open-tunnel",
            format!("{{\"clientAccessToken\":\"{TOKEN}\""),
            "is not JSON",
        ),
        (
            "open-tunnel",
            String::new(),
            "thing is missing, name one of 'pump-7', 'valve-1'",
        ),
        ("close-tunnel", String::new(), "thing is missing"),
        (
            "open-tunnel",
            body(json!("other"), json!({})),
            "has no --tunnelmappings",
        ),
        (
            "open-tunnel",
            body(json!(TOKEN), json!({})),
            "has no --tunnelmappings",
        ),
        (
            "open-tunnel",
            body(json!(THING), json!({"clientMode": "source"})),
            "clientMode",
        ),
        (
            "open-tunnel",
            body(json!(THING), json!({"region": "EU"})),
            "region is \"EU\"",
        ),
        (
            "open-tunnel",
            body(json!("valve-1"), json!({"services": ["web"]})),
            "for web",
        ),
        (
            "close-tunnel",
            r#"{"thing":"valve-1"}"#.to_owned(),
            "no tunnel to 'valve-1'",
        ),
    ];
    for (command, body, part) in table {
        site.command(command, &body);
        let reason = site.wait_for_refusal(command);
        assert!(reason.contains(part), "{body}: {reason}");
        assert!(!reason.contains(TOKEN), "{reason}");
    }
    fs::remove_file(&site.program).unwrap();
    site.command("open-tunnel", body(json!("valve-1"), json!({})));
    assert!(
        site.wait_for_refusal("open-tunnel")
            .contains("cannot start")
    );
    assert!(!site.device.log().contains(TOKEN), "{}", site.device.log());
    assert!(site.starts().is_empty());
}

#[test]
fn each_thing_has_a_tunnel_of_its_own() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.device.option("--tunnelmappings", "valve-1:SSH=2222");
    site.start();
    site.device
        .wait_for_log("subscribed to '$aws/things/valve-1/tunnels/notify'");
    notify(&sandbox, THING, &notification("t1", json!(["SSH"])));
    let pump = site.wait_for_start(1);
    notify(&sandbox, "valve-1", &notification("t2", json!(["SSH"])));
    let valve = site.wait_for_start(2);
    assert_eq!(
        (pump.arguments.as_str(), valve.arguments.as_str()),
        ("-d SSH=22", "-d SSH=2222")
    );
    assert!(runs(pump.pid) && runs(valve.pid));
    site.command("close-tunnel", json!({"thing": "valve-1"}));
    wait_for("the proxy has ended", LONG, || !runs(valve.pid));
    assert!(runs(pump.pid));
}

#[test]
fn a_refused_filter_disables_the_notifications_of_its_thing_and_no_command() {
    let sandbox = sandbox();
    let filter = format!("$aws/things/{THING}/tunnels/notify");
    sandbox.policy("device-1", vec![Deny::Subscribe(filter.clone())]);
    let mut site = Site::new(&sandbox, SERVES);
    site.device.start();
    site.device
        .wait_for_log(&format!("warn: subscription to '{filter}' failed: "));
    let request = notification("t1", json!(["SSH"]));
    site.command("open-tunnel", &request);
    site.wait_for_start(1);
    site.device.drop_message("m", "out", "x");
    assert_eq!(sandbox.wait_for_publishes(1, LONG).len(), 1);
}

#[test]
fn a_flood_of_notifications_has_one_proxy_at_a_time_and_few_lines() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    site.device.start();
    site.wait_until_subscribed(1);
    for _ in 0..64 {
        notify(&sandbox, THING, &notification("t", json!(["nothing"])));
    }
    for n in 0..40 {
        notify(
            &sandbox,
            THING,
            &notification(&format!("t{n}"), json!(["SSH"])),
        );
    }
    wait_for("the last one is served", LONG, || {
        site.starts()
            .last()
            .is_some_and(|start| start.token == "t39")
    });
    let running = site.starts().iter().filter(|start| runs(start.pid)).count();
    assert_eq!(running, 1);
    let told = site.device.logged("no port is mapped for nothing");
    assert!(told <= 7, "at 1, 2, 4, ... times, {told}");
}

#[test]
fn check_looks_at_the_proxy_and_its_certificates() {
    let sandbox = sandbox();
    let mut site = Site::new(&sandbox, SERVES);
    let check = |site: &Site| {
        let output = site.device.command().arg("--check").output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(check(&site).0, Some(0), "{}", check(&site).1);
    let missing = site.device.path("missing");
    site.device.option("--tunnelcadir", missing.display());
    fs::set_permissions(&site.program, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, log) = check(&site);
    assert_eq!(code, Some(100));
    assert!(log.contains("is not executable"), "{log}");
    assert!(log.contains("cannot read the CA certificates in"), "{log}");
    assert!(site.starts().is_empty(), "nothing was run");
}
