//! Received messages (manual, SUBSCRIPTIONS): `--subscribe-write` and `--subscribe-exec`.

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Device, LONG, sandbox, wait_for};
use iotcore_sandbox::{Deny, Event, Sandbox};
use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

const VERSIONS: [&str; 2] = ["5", "3.1.1"];

/// A device whose log has said that all of these filters are subscribed.
fn start(device: &mut Device, filters: &[&str]) {
    device.start();
    for filter in filters {
        device.wait_for_log(&format!("subscribed to '{filter}'"));
    }
}

/// The lines that handlers have written to this file.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn wait_for_lines(device: &Device, path: &Path, expect: &[&str]) {
    wait_for("the handler has written it", LONG, || {
        lines(path).len() >= expect.len()
    });
    assert_eq!(lines(path), expect, "the log:\n{}", device.log());
}

/// A FIFO with a reader.
fn fifo(path: &Path) -> File {
    mkfifo(path, Mode::S_IRWXU).unwrap();
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .unwrap()
}

#[track_caller]
fn wait_for_bytes(reader: &mut File, expect: &[u8]) {
    let mut seen = Vec::new();
    wait_for("the FIFO has it all", LONG, || {
        let mut piece = [0; 65536];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            seen.extend_from_slice(&piece[..count]);
        }
        seen.len() >= expect.len()
    });
    assert!(
        seen == expect,
        "{} bytes, {} expected",
        seen.len(),
        expect.len()
    );
}

#[test]
fn a_command_gets_the_payload_as_input_and_the_topic_as_a_variable() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        let (copy, topics) = (device.path("copy"), device.path("topics"));
        let line = format!(
            "cat >> {}; printf '%s\\n' \"$MESSAGE_TOPIC\" >> {}",
            copy.display(),
            topics.display()
        );
        device.option("--mqtt", version);
        device.option("--subscribe-exec", format!("cmd/+:{line}"));
        start(&mut device, &["cmd/+"]);
        sandbox.publish("cmd/1", b"bytes \0\xff\n", 1);
        sandbox.publish("cmd/2", b"", 1);
        sandbox.publish("other", b"not asked for", 1);
        sandbox.publish("cmd/3", &[b'x'; 100_000], 0);
        wait_for_lines(&device, &topics, &["cmd/1", "cmd/2", "cmd/3"]);
        let copied = fs::read(copy).unwrap();
        assert!(copied.starts_with(b"bytes \0\xff\nxxx"));
        assert_eq!(copied.len(), 9 + 100_000);
    }
}

#[test]
fn no_topic_is_ever_a_path_or_a_command() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let (topics, dir) = (device.path("topics"), device.path("work"));
    fs::create_dir(&dir).unwrap();
    let line = format!("printf '%s\\n' \"$MESSAGE_TOPIC\" >> {}", topics.display());
    device.option("--subscribe-exec", format!("#:{line}"));
    device.option(
        "--subscribe-write",
        format!("#:{}", dir.join("f").display()),
    );
    let mut reader = fifo(&dir.join("f"));
    start(&mut device, &["#"]);
    let bad = device.path("bad");
    let hostile = [
        "../../../etc/passwd".to_owned(),
        "/etc/shadow".to_owned(),
        "a b/with spaces".to_owned(),
        "größe/温度".to_owned(),
        format!("x;touch {0}/$(touch {0})`touch {0}`'\"", bad.display())
            .replace(&device.path("").display().to_string(), "t"),
        "-n".to_owned(),
        "..".to_owned(),
    ];
    for topic in &hostile {
        sandbox.publish(topic, b"p", 1);
    }
    let expect: Vec<&str> = hostile.iter().map(String::as_str).collect();
    wait_for_lines(&device, &topics, &expect);
    wait_for_bytes(&mut reader, b"ppppppp");
    assert!(!bad.exists());
    assert_eq!(common::names(&dir), ["f"], "nothing else was made");
}

#[test]
fn each_option_gets_a_message_once_however_filters_overlap() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        let log = |name: &str| device.path(name);
        let outs = [log("a"), log("b"), log("c"), log("d")];
        let filters = ["t/#", "t/+", "t/x", "t/x"];
        device.option("--mqtt", version);
        for (filter, out) in filters.iter().zip(&outs) {
            let line = format!("cat >> {0}; echo >> {0}", out.display());
            device.option("--subscribe-exec", format!("{filter}:{line}"));
        }
        start(&mut device, &filters[..3]);
        sandbox.publish("t/x", b"one", 1);
        sandbox.publish("t/y", b"two", 1);
        sandbox.publish("t/x", b"three", 1);
        for out in &outs[..2] {
            wait_for_lines(&device, out, &["one", "two", "three"]);
        }
        for out in &outs[2..] {
            wait_for_lines(&device, out, &["one", "three"]);
        }
    }
}

#[test]
fn one_message_at_a_time_in_the_order_of_arrival() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let (out, lock) = (device.path("out"), device.path("lock"));
    let line = format!(
        "mkdir {0} || echo together >> {1}; cat >> {1}; echo >> {1}; rmdir {0}",
        lock.display(),
        out.display()
    );
    device.option("--subscribe-exec", format!("t:{line}"));
    start(&mut device, &["t"]);
    // As many as the broker may send without an acknowledgement, and so at once.
    let sent: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    for text in &sent {
        sandbox.publish("t", text.as_bytes(), 1);
    }
    let expect: Vec<&str> = sent.iter().map(String::as_str).collect();
    wait_for_lines(&device, &out, &expect);
}

#[test]
fn a_handler_that_fails_is_missing_or_ignores_its_input_costs_its_own_message_only() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let out = device.path("out");
    let done = format!("echo done >> {}", out.display());
    device.option(
        "--subscribe-exec",
        format!("fails:read x; [ \"$x\" = good ] && {done}"),
    );
    device.option("--subscribe-exec", "missing:/nonexistent/handler");
    device.option("--subscribe-exec", format!("ignores:exec 0<&-; {done}"));
    device.option("--subscribe-exec", format!("forks:sleep 30 & {done}"));
    start(&mut device, &["fails", "missing", "ignores", "forks"]);
    sandbox.publish("fails", b"bad\n", 1);
    device.wait_for_log(
        "warn: the message on 'fails' is lost: subscribe-exec 'fails' failed: exit status: 1",
    );
    sandbox.publish("fails", b"good\n", 1);
    wait_for_lines(&device, &out, &["done"]);
    sandbox.publish("missing", b"x", 1);
    device.wait_for_log("subscribe-exec 'missing' failed: exit status: 127");
    sandbox.publish("ignores", &[0; 120_000], 1);
    wait_for_lines(&device, &out, &["done"; 2]);
    // What it leaves in the background holds nothing up.
    sandbox.publish("forks", b"x", 1);
    sandbox.publish("forks", b"x", 1);
    wait_for_lines(&device, &out, &["done"; 4]);
}

#[test]
fn a_handler_that_hangs_is_killed_with_its_children_and_the_next_message_is_handled() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let (out, pids) = (device.path("out"), device.path("pids"));
    let line = format!(
        "read x; echo $x >> {}; [ $x = go ] || {{ sleep 30 & echo $! > {}; wait; }}",
        out.display(),
        pids.display()
    );
    device.option("--subscribe-exec", format!("t:{line}"));
    start(&mut device, &["t"]);
    sandbox.publish("t", b"hang\n", 1);
    sandbox.publish("t", b"go\n", 1);
    wait_for_lines(&device, &out, &["hang", "go"]);
    device.wait_for_log(
        "the message on 't' is lost: subscribe-exec 't' did not end within 5 s and was killed",
    );
    let child: i32 = fs::read_to_string(pids).unwrap().trim().parse().unwrap();
    wait_for("its child is gone", LONG, || gone(child));
}

/// Killed and, if this machine has somebody who does that, reaped.
fn gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(Pid::from_raw(pid), None).is_err() || stat.contains(") Z ")
}

#[test]
fn the_connection_and_the_messages_go_on_while_every_handler_hangs() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    // Nobody reads from it, and no message fits into it.
    let path = device.path("fifo");
    let _reader = fifo(&path);
    // MQTT 5 would use the broker's own keep-alive, which is not below 30 s.
    device.option("--mqtt", "3.1.1").option("--keepalive", 5);
    device.option("--subscribe-write", format!("t:{}", path.display()));
    for _ in 0..4 {
        device.option("--subscribe-exec", "t:sleep 30");
    }
    start(&mut device, &["t"]);
    for _ in 0..40 {
        sandbox.publish("t", &[b'x'; 100_000], 1);
    }
    let pings = || {
        let record = sandbox.record();
        record
            .iter()
            .filter(|one| one.event == Event::PingResponse)
            .count()
    };
    let (start, mut published) = (Instant::now(), 0);
    while pings() < 2 {
        assert!(start.elapsed() < LONG, "the keep-alive stands still");
        published += 1;
        let began = Instant::now();
        device.drop_message("m", "out", "x");
        let seen = sandbox.wait_for_publishes(published, LONG).len();
        assert!(seen >= published && began.elapsed() < Duration::from_secs(2));
        device.wait_until_empty();
    }
    assert!(
        !device.log().contains("connection lost"),
        "{}",
        device.log()
    );
    device.wait_for_log("subscribe-exec 't' already has");
    device.wait_for_log("its reader is too slow");
    let began = Instant::now();
    assert_eq!(device.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn losses_are_counted_and_logged_when_they_end() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let path = device.path("fifo");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    device.option("--subscribe-write", format!("t:{}", path.display()));
    start(&mut device, &["t"]);
    for _ in 0..20 {
        sandbox.publish("t", b"x", 1);
    }
    device.wait_for_log("no process has the FIFO open for reading (16 times in a row)");
    let told = device.logged("no process has the FIFO open");
    assert_eq!(told, 5, "at 1, 2, 4, 8 and 16:\n{}", device.log());
    let mut reader = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(&path)
        .unwrap();
    wait_for("a message arrives again", LONG, || {
        sandbox.publish("t", b"y", 1);
        device.logged("works again") == 1
    });
    let mut seen = Vec::new();
    let _ = reader.read_to_end(&mut seen);
    assert!(seen.ends_with(b"y"), "{seen:?}");
}

#[test]
fn a_fifo_gets_small_and_large_messages_as_they_are() {
    for version in VERSIONS {
        let sandbox = sandbox();
        let mut device = Device::new(&sandbox);
        let path = device.path("fifo");
        let mut reader = fifo(&path);
        device.option("--mqtt", version);
        device.option("--subscribe-write", format!("led/+:{}", path.display()));
        start(&mut device, &["led/+"]);
        sandbox.publish("led/1", b"on\n", 1);
        wait_for_bytes(&mut reader, b"on\n");
        let large: Vec<u8> = (0..130_000u32).map(|n| (n % 253) as u8).collect();
        sandbox.publish("led/2", &large, 1);
        wait_for_bytes(&mut reader, &large);
    }
}

#[test]
fn whatever_is_wrong_with_the_path_costs_that_message_only() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let (missing, dir) = (device.path("missing"), device.path("dir"));
    fs::create_dir(&dir).unwrap();
    let table: [(PathBuf, &str); 3] = [
        (missing.clone(), "there is no such file; make it first"),
        (dir, "Is a directory"),
        ("/dev/full".into(), "No space left on device"),
    ];
    for (path, _) in &table {
        device.option("--subscribe-write", format!("t:{}", path.display()));
    }
    start(&mut device, &["t"]);
    sandbox.publish("t", b"first", 1);
    for (path, part) in &table {
        device.wait_for_log(&format!(
            "warn: the message on 't' is lost: cannot write to {}: ",
            path.display()
        ));
        device.wait_for_log(part);
    }
    fs::write(&missing, "").unwrap();
    sandbox.publish("t", b"second", 1);
    wait_for("the file has it", LONG, || {
        fs::read(&missing).is_ok_and(|contents| contents == b"second")
    });
    sandbox.publish("t", b"3rd", 1);
    wait_for("the file has nothing but it", LONG, || {
        fs::read(&missing).is_ok_and(|contents| contents == b"3rd")
    });
}

#[test]
fn a_refused_filter_is_reported_and_disables_only_its_option() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Subscribe("secret".into())]);
    let mut device = Device::new(&sandbox);
    let out = device.path("out");
    device.option("--subscribe-exec", "secret:exit 1");
    device.option(
        "--subscribe-exec",
        format!("open:echo heard >> {}", out.display()),
    );
    start(&mut device, &["open"]);
    device.wait_for_log("warn: subscription to 'secret' failed: ");
    sandbox.publish("open", b"x", 1);
    wait_for_lines(&device, &out, &["heard"]);
}

#[test]
fn handlers_hear_again_after_a_lost_session() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let out = device.path("out");
    device.option(
        "--subscribe-exec",
        format!("t:cat >> {0}; echo >> {0}", out.display()),
    );
    start(&mut device, &["t"]);
    sandbox.publish("t", b"before", 1);
    wait_for_lines(&device, &out, &["before"]);
    sandbox.restart();
    wait_for("it is subscribed again", LONG, || {
        device.logged("subscribed to 't'") == 2
    });
    sandbox.publish("t", b"after", 1);
    wait_for_lines(&device, &out, &["before", "after"]);
}

#[test]
fn stopping_leaves_a_running_command_alone() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let (began, out) = (device.path("began"), device.path("out"));
    let line = format!(
        "touch {}; while ! [ -e {} ]; do sleep 0.1; done; echo done >> {}",
        began.display(),
        device.path("go").display(),
        out.display()
    );
    device.option("--subscribe-exec", format!("t:{line}"));
    start(&mut device, &["t"]);
    sandbox.publish("t", b"x", 1);
    wait_for("the command runs", LONG, || began.exists());
    assert_eq!(device.stop(), Some(0));
    fs::write(device.path("go"), "").unwrap();
    wait_for_lines(&device, &out, &["done"]);
}

#[test]
fn a_command_sees_nothing_of_the_daemon_but_its_environment() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    let out = device.path("out");
    let line = format!("ls /proc/$$/fd >> {}", out.display());
    device.option("--subscribe-exec", format!("t:{line}"));
    start(&mut device, &["t"]);
    sandbox.publish("t", b"x", 1);
    wait_for("it has looked", LONG, || lines(&out).len() >= 3);
    let open: BTreeSet<u32> = lines(&out).iter().map(|fd| fd.parse().unwrap()).collect();
    // What this test was started with, everybody has; the shell itself uses 10 and more.
    let ours = |fd: &u32| fs::exists(format!("/proc/self/fd/{fd}")).unwrap();
    assert!(
        open.iter().all(|fd| *fd <= 2 || *fd >= 10 || ours(fd)),
        "{open:?}"
    );
}

/// What `--check` says.
fn check(device: &Device) -> (Option<i32>, String) {
    let output = device.command().arg("--check").output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn check_finds_a_directory_in_the_place_of_a_file() {
    let sandbox: Sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option(
        "--subscribe-write",
        format!("t:{}", device.path("later").display()),
    );
    device.option("--subscribe-exec", "t:/bin/true");
    assert_eq!(check(&device).0, Some(0));
    let dir = device.messages();
    device.option("--subscribe-write", format!("t:{}", dir.display()));
    let (code, log) = check(&device);
    assert_eq!(code, Some(100), "{log}");
    assert!(log.contains("is a directory"), "{log}");
}

/// The processes that have ended and whose parent has not taken note of it.
fn ended_children(parent: &str) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            rest.starts_with(&format!("Z {parent} "))
        })
        .count()
}

#[test]
fn as_the_first_process_it_takes_note_of_what_commands_leave_behind() {
    if !common::is_root() {
        println!("skipped: only root can make a name space of processes");
        return;
    }
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--subscribe-exec", "t:setsid sh -c 'sleep 0.3' &");
    let daemon = device.command();
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.arg(daemon.get_program()).args(daemon.get_args());
    device.start_as(command);
    device.wait_for_log("connected to");
    let outer = device.pid();
    let children = format!("/proc/{outer}/task/{outer}/children");
    let first = fs::read_to_string(children).expect("its child");
    let first = first.trim();
    common::wait_for("the command has left something behind", LONG, || {
        sandbox.publish("t", b"x", 0);
        std::thread::sleep(std::time::Duration::from_millis(100));
        ended_children(first) > 0
    });
    common::wait_for("nothing of it is left", LONG, || ended_children(first) == 0);
}
