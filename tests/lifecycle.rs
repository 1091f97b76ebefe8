//! Who watches over the daemon (manual, SUPERVISION): `--events`, `--on-event`, `--notify-fd`, and
//! systemd's socket.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Device, LONG, builder, sandbox, wait_for};
use iotcore_sandbox::{Cut, Deny, Fault, Sandbox, What, When};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

/// A device that writes its events to `events`.
fn device(sandbox: &Sandbox) -> Device {
    let mut device = Device::new(sandbox);
    let file = device.path("events");
    device.option("--events", file.display());
    device
}

/// The events so far, the older file's first.
fn events(device: &Device) -> Vec<Value> {
    let read = |name| fs::read_to_string(device.path(name)).unwrap_or_default();
    let text = read("events.1") + &read("events");
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn words(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["event"].as_str().expect("a word"))
        .collect()
}

#[track_caller]
fn wait_for_event(device: &Device, word: &str) -> Value {
    wait_for(&format!("{word} is told"), LONG, || {
        words(&events(device)).contains(&word)
    });
    let mut all = events(device);
    all.retain(|event| event["event"] == word);
    all.remove(0)
}

/// The law: every attempt ends in one `connected` or `failed`, every `connected` in one `lost` or
/// `stopped`, and `ready` comes at most once in between. `stopped` is the last of a run.
fn assert_law(events: &[Value], context: &str) {
    let mut state = "idle";
    let mut attempt = Value::Null;
    for event in events {
        let word = event["event"].as_str().expect("a word");
        let allowed: &[&str] = match word {
            "connecting" => &["idle"],
            "connected" | "failed" => &["connecting"],
            "ready" => &["connected"],
            "lost" => &["connected", "ready"],
            "stopped" => &["idle", "connected", "ready"],
            other => panic!("no event {other}: {context}"),
        };
        assert!(
            allowed.contains(&state),
            "{word} after {state}: {events:#?}\n{context}"
        );
        match word {
            "connecting" => attempt = event["attempt"].clone(),
            "stopped" => assert_eq!(event.get("attempt"), None),
            _ => assert_eq!(event["attempt"], attempt, "{events:#?}\n{context}"),
        }
        state = match word {
            "failed" | "lost" => "idle",
            other => other,
        };
    }
    assert_eq!(state, "stopped", "{events:#?}\n{context}");
}

#[test]
fn a_run_is_reported_from_its_first_attempt_to_its_end() {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        sandbox.add_fault(Fault::once(When::Connection(1), What::RefuseConnection));
        let mut device = device(&sandbox);
        device.option("--mqtt", version);
        device.start();
        wait_for_event(&device, "ready");
        sandbox.cut("device-1", Cut::Close);
        wait_for("it is ready again", LONG, || {
            words(&events(&device))
                .iter()
                .filter(|word| **word == "ready")
                .count()
                == 2
        });
        assert_eq!(device.stop(), Some(0));
        let events = events(&device);
        let expect = [
            "connecting",
            "failed",
            "connecting",
            "connected",
            "ready",
            "lost",
            "connecting",
            "connected",
            "ready",
            "stopped",
        ];
        assert_eq!(words(&events), expect);
        assert_law(&events, &device.log());
        assert_eq!(events[0]["attempt"], 1);
        assert_eq!(
            (&events[2]["attempt"], &events[3]["attempt"]),
            (&2.into(), &2.into())
        );
        let failed = events[1]["reason"].as_str().unwrap();
        assert!(
            device
                .log()
                .contains(&format!("connection failed: {failed}, next attempt in"))
        );
        assert_eq!(events[3]["session_present"], false);
        let lost = &events[5];
        assert!(device.log().contains(lost["reason"].as_str().unwrap()));
        assert!(lost["next_retry_s"].as_u64().is_some());
        assert_eq!(events[9]["reason"], "stopped by SIGTERM");
        let times: Vec<f64> = events
            .iter()
            .map(|event| event["time"].as_f64().unwrap())
            .collect();
        assert!(times.is_sorted() && times[0] > 1.7e9, "{times:?}");
    }
}

#[test]
fn ready_comes_when_every_subscription_is_answered_and_not_before() {
    let sandbox = sandbox();
    sandbox.policy("device-1", vec![Deny::Subscribe("secret".into())]);
    let mut device = device(&sandbox);
    for n in 0..20 {
        device.option("--subscribe-exec", format!("t/{n}:true"));
    }
    device.option("--subscribe-exec", "secret:true");
    device.start();
    wait_for_event(&device, "ready");
    assert_eq!(device.logged("subscribed to 't/"), 20);
    assert_eq!(device.logged("subscription to 'secret' failed"), 1);
    device.stop();
    assert_eq!(
        words(&events(&device)),
        ["connecting", "connected", "ready", "stopped"]
    );
}

#[test]
fn a_missing_suback_is_never_ready() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::always(When::Always, What::SwallowSuback));
    let mut device = device(&sandbox);
    device.option("--subscribe-exec", "t:true");
    device.start();
    wait_for_event(&device, "connected");
    device.drop_message("m", "out", "x");
    sandbox.wait_for_publishes(1, LONG);
    device.wait_until_empty();
    device.stop();
    assert_eq!(
        words(&events(&device)),
        ["connecting", "connected", "stopped"]
    );
}

#[test]
fn giving_up_is_reported_with_its_reason_and_no_next_attempt() {
    let sandbox = sandbox();
    sandbox.pause();
    let mut device = device(&sandbox);
    device.option("--connect-attempts", 1);
    device.start();
    assert_eq!(device.exit_code(), Some(111));
    let events = events(&device);
    assert_eq!(
        words(&events),
        ["connecting", "failed", "connecting", "failed", "stopped"]
    );
    assert_law(&events, &device.log());
    assert!(events[1].get("next_retry_s").is_some() && events[3].get("next_retry_s").is_none());
    assert_eq!(
        events[4]["reason"],
        "connection given up after 2 failures in a row"
    );
}

#[test]
fn a_stop_in_the_middle_of_an_attempt_fails_it() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::always(When::Always, What::StallConnack));
    let mut device = device(&sandbox);
    device.start();
    wait_for_event(&device, "connecting");
    assert_eq!(device.stop(), Some(0));
    let events = events(&device);
    assert_eq!(words(&events), ["connecting", "failed", "stopped"]);
    assert_eq!(events[1]["reason"], "stopped");
    assert_law(&events, &device.log());
}

#[test]
fn a_jam_ends_the_connection_with_stopped() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::always(When::Always, What::SwallowPuback));
    let mut device = device(&sandbox);
    device.message_option("--message-concurrency", 1);
    device.message_option("--message-jam-timeout", 1);
    device.start();
    device.drop_message("m", "t", "x");
    assert_eq!(device.exit_code(), Some(111));
    let events = events(&device);
    assert_eq!(
        words(&events),
        ["connecting", "connected", "ready", "stopped"]
    );
    assert!(events[3]["reason"].as_str().unwrap().contains("is jammed"));
}

/// Faults of every kind that ends an attempt or a connection within seconds, at random.
fn script(random: &mut fastrand::Rng) -> Vec<Fault> {
    let one = |connection: u64, random: &mut fastrand::Rng| {
        let what = match random.u8(0..11) {
            0 => What::RefuseConnection,
            1 => What::RefuseConnack(0x88),
            2 => What::RefuseConnack(0x87),
            3 => What::CloseAfterPackets(1),
            4 => What::CloseAfterPackets(random.u64(2..5)),
            5 => What::ResetAfterPackets(random.u64(1..5)),
            6 => What::RefuseFilter(0x87),
            7 => What::CloseBeforeAccepting,
            8 => What::CloseAfterPuback,
            9 => What::CloseBeforePuback,
            _ => return None,
        };
        Some(Fault::once(When::Connection(connection), what))
    };
    (1..=4)
        .filter_map(|connection| one(connection, random))
        .collect()
}

#[test]
fn the_law_holds_for_random_faults_and_ends() {
    let run = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let sandbox = builder().start().unwrap();
        let script = script(&mut random);
        sandbox.faults(script.clone());
        let mut device = device(&sandbox);
        device.option("--mqtt", random.choice(["5", "3.1.1"]).unwrap());
        device.option("--connect-attempts", random.u8(0..3));
        for n in 0..random.u8(0..3) {
            device.option("--subscribe-exec", format!("t/{n}:true"));
        }
        // Repeated losses are debug lines.
        let mut command = device.command();
        command.env("RUST_LOG", "debug");
        device.start_as(command);
        for n in 0..random.u8(0..6) {
            device.drop_message(&format!("m{n}"), "out", "x");
        }
        let end = Instant::now() + Duration::from_millis(random.u64(0..9000));
        while Instant::now() < end && device.runs() {
            if random.u8(0..200) == 0 {
                sandbox.cut("device-1", Cut::Close);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if device.runs() {
            // It may give up at this very moment.
            let _ = nix::sys::signal::kill(device.pid(), Signal::SIGTERM);
        }
        let code = device.exit_code();
        let context = format!("seed {seed}, {code:?}, {script:?}\n{}", device.log());
        let events = events(&device);
        if events.is_empty() {
            // A signal before the first attempt, or before signals are listened to.
            return 0;
        }
        assert_law(&events, &context);
        let told = |word: &str| words(&events).iter().filter(|one| **one == word).count();
        assert_eq!(
            told("connected"),
            device.logged("info: connected to"),
            "{context}"
        );
        assert_eq!(
            told("lost"),
            device.logged("connection lost: "),
            "{context}"
        );
        events.len()
    };
    let results: Vec<usize> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..16).map(|seed| scope.spawn(move || run(seed))).collect();
        runs.into_iter()
            .map(|run| run.join().expect("the law holds"))
            .collect()
    });
    assert!(
        results.iter().sum::<usize>() > 60,
        "something has happened: {results:?}"
    );
}

#[test]
fn the_file_is_bounded_and_a_new_run_goes_on_in_it() {
    let sandbox = sandbox();
    let mut device = device(&sandbox);
    let old = "{\"event\":\"stopped\"}\n".repeat(3270);
    fs::write(device.path("events"), &old).unwrap();
    device.start();
    wait_for_event(&device, "ready");
    device.stop();
    device.start();
    wait_for("the second run is ready", LONG, || {
        let all = events(&device);
        words(&all).iter().filter(|word| **word == "ready").count() == 2
    });
    device.stop();
    assert!(fs::metadata(device.path("events.1")).unwrap().len() <= 65_536);
    let (new, all) = (
        fs::read_to_string(device.path("events")).unwrap(),
        events(&device),
    );
    assert!(new.len() < 4096 && all.len() == 3270 + 8, "{new}");
    let pids: std::collections::BTreeSet<u64> = all
        .iter()
        .filter_map(|event| event["pid"].as_u64())
        .collect();
    assert_eq!(pids.len(), 2);
}

#[test]
fn a_full_disk_costs_events_only() {
    let sandbox = sandbox();
    let mut device = device(&sandbox);
    // Half a line more fits than what is there already.
    fs::write(device.path("events"), "{\"event\":\"old\"}\n".repeat(63)).unwrap();
    let mut command = Command::new("/bin/sh");
    let line = "trap '' XFSZ; ulimit -f 2 && exec \"$@\"";
    command
        .arg("-c")
        .arg(line)
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_chariotd"));
    command.args(device.command().get_args());
    device.start_as(command);
    device.wait_for_log("warn: events are not written to ");
    device.drop_message("m", "out", "x");
    assert_eq!(sandbox.wait_for_publishes(1, LONG).len(), 1);
    assert!(device.log().contains("File too large"), "{}", device.log());
    assert_eq!(device.stop(), Some(0));
    assert!(fs::metadata(device.path("events")).unwrap().len() <= 1024);
    // There is room again.
    device.start();
    wait_for("it is connected again", LONG, || {
        device.logged("info: connected to") == 2
    });
    assert_eq!(device.stop(), Some(0));
    let text = fs::read_to_string(device.path("events")).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "stopped");
}

#[test]
fn a_path_that_cannot_be_written_is_reported_and_found_by_check() {
    let sandbox = sandbox();
    let fifo = |device: &Device| {
        mkfifo(&device.path("fifo"), Mode::S_IRWXU).unwrap();
        device.path("fifo")
    };
    type Place = fn(&Device) -> PathBuf;
    let places: [(Place, &str); 4] = [
        (|device| device.messages(), "no regular file"),
        (
            |device| device.path("no/such/events"),
            "No such file or directory",
        ),
        (|_| "/dev/null".into(), "no regular file"),
        (fifo, "no regular file"),
    ];
    for (place, part) in places {
        let mut device = Device::new(&sandbox);
        let path = place(&device);
        device.option("--events", path.display());
        let check = device.command().arg("--check").output().unwrap();
        assert_eq!(check.status.code(), Some(100), "{}", path.display());
        device.start();
        device.wait_for_log("connected to");
        device.wait_for_log(&format!(
            "warn: events are not written to {}: ",
            path.display()
        ));
        if !part.starts_with("no regular") || path.ends_with("fifo") {
            device.wait_for_log(part);
        }
        assert_eq!(device.stop(), Some(0));
    }
}

/// What a command has found in its environment, one line for each event.
const RECORD: &str = "printf '%s|%s|%s|%s|%s\\n' \"$EVENT\" \"$REASON\" \"$ATTEMPT\" \"$NEXT_RETRY_S\" \"$SESSION_PRESENT\"";

#[test]
fn a_command_is_run_for_each_event_in_order() {
    let sandbox = sandbox();
    sandbox.add_fault(Fault::once(When::Connection(1), What::RefuseConnection));
    let mut device = device(&sandbox);
    let out = device.path("out");
    device.option("--on-event", format!("{RECORD} >> {}", out.display()));
    let lines = || fs::read_to_string(&out).unwrap_or_default();
    device.start();
    wait_for("it is ready", LONG, || lines().contains("ready"));
    sandbox.cut("device-1", Cut::Close);
    wait_for("it is lost", LONG, || lines().contains("lost"));
    assert_eq!(device.stop(), Some(0));
    let expect: String = events(&device)
        .iter()
        .map(|event| {
            let text = |name: &str| match event.get(name) {
                None => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(present)) => u8::from(*present).to_string(),
                Some(other) => other.to_string(),
            };
            let parts = [
                "event",
                "reason",
                "attempt",
                "next_retry_s",
                "session_present",
            ];
            parts.map(text).join("|") + "\n"
        })
        .collect();
    wait_for("the last one is recorded", LONG, || {
        lines().contains("stopped")
    });
    assert_eq!(lines(), expect);
    let began = [
        "connecting||1||\n",
        "connected||2||0\n",
        "|stopped by SIGTERM|||\n",
    ];
    assert!(began.iter().all(|part| expect.contains(part)), "{expect}");
}

#[test]
fn a_command_that_hangs_or_fails_holds_up_nothing() {
    let sandbox = sandbox();
    let mut device = device(&sandbox);
    let out = device.path("out");
    let line = format!(
        "[ $EVENT = connecting ] && sleep 30; echo $EVENT >> {}; exit 3",
        out.display()
    );
    device.option("--on-event", line);
    let start = Instant::now();
    device.start();
    wait_for_event(&device, "ready");
    device.drop_message("m", "out", "x");
    assert_eq!(sandbox.wait_for_publishes(1, LONG).len(), 1);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "the command has 5 s"
    );
    device.wait_for_log("warn: on-event did not end within 5 s and was killed");
    device.wait_for_log("warn: on-event failed for 'connected': exit status: 3");
    wait_for("the others are run", LONG, || {
        fs::read_to_string(&out).is_ok_and(|text| text == "connected\nready\n")
    });
    device.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_command_that_hangs() {
    let sandbox = sandbox();
    let mut device = device(&sandbox);
    device.option("--on-event", "sleep 30");
    device.start();
    wait_for_event(&device, "ready");
    let start = Instant::now();
    assert_eq!(device.stop(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2));
    wait_for_event(&device, "stopped");
}

/// The daemon with this FIFO on descriptor 3.
fn start_with_descriptor(device: &mut Device, fifo: &std::path::Path) -> File {
    mkfifo(fifo, Mode::S_IRWXU).unwrap();
    let reader = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(fifo)
        .unwrap();
    let mut command = Command::new("/bin/sh");
    let line = format!("exec \"$@\" 3> {}", fifo.display());
    command
        .arg("-c")
        .arg(line)
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_chariotd"));
    command.args(device.command().get_args());
    device.start_as(command);
    reader
}

#[test]
fn a_descriptor_gets_one_newline_when_ready_and_is_closed() {
    let sandbox = sandbox();
    sandbox.pause();
    let mut device = device(&sandbox);
    device.option("--notify-fd", 3);
    device.option("--subscribe-exec", "t:true");
    let fifo = device.path("fifo");
    let mut reader = start_with_descriptor(&mut device, &fifo);
    wait_for_event(&device, "failed");
    let mut piece = [0; 16];
    let read = reader.read(&mut piece).map_err(|error| error.kind());
    assert_eq!(
        read,
        Err(std::io::ErrorKind::WouldBlock),
        "open, and nothing yet"
    );
    sandbox.resume();
    wait_for_event(&device, "ready");
    let mut seen = Vec::new();
    wait_for("the newline and the end", LONG, || {
        match reader.read(&mut piece) {
            Ok(0) => true,
            Ok(count) => {
                seen.extend_from_slice(&piece[..count]);
                false
            }
            Err(_) => false,
        }
    });
    assert_eq!(seen, b"\n");
    assert!(device.runs(), "{}", device.log());
    device.wait_for_log("info: wrote a newline to descriptor 3");
    assert!(fs::symlink_metadata(format!("/proc/{}/fd/3", device.pid())).is_err());
    sandbox.restart();
    wait_for("it is ready again", LONG, || {
        device.logged("info: connected to") == 2
    });
    assert_eq!(device.stop(), Some(0));
    assert_eq!(device.logged("wrote a newline"), 1);
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    let sandbox = sandbox();
    let mut device = Device::new(&sandbox);
    device.option("--notify-fd", 9);
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("exec \"$@\" 9>&-")
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_chariotd"));
    command.args(device.command().get_args());
    device.start_as(command);
    assert_eq!(device.exit_code(), Some(100));
    assert!(
        device
            .log()
            .contains("--notify-fd=9: the supervisor has not opened"),
        "{}",
        device.log()
    );
    let check = device.command().arg("--check").status().unwrap();
    assert_eq!(
        check.code(),
        Some(0),
        "a check is not started by the supervisor"
    );
}

/// Datagrams that have come so far.
fn datagrams(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 256];
    std::iter::from_fn(|| {
        socket
            .recv(&mut buffer)
            .ok()
            .map(|count| String::from_utf8_lossy(&buffer[..count]).into_owned())
    })
    .collect()
}

#[test]
fn systemd_is_reported_ready_alive_and_stopping_and_commands_are_not_asked() {
    for place in ["path", "abstract"] {
        let sandbox = sandbox();
        let mut device = device(&sandbox);
        let out = device.path("out");
        let line = format!(
            "echo \"got $NOTIFY_SOCKET$WATCHDOG_USEC$WATCHDOG_PID.\" >> {}",
            out.display()
        );
        device.option("--subscribe-exec", format!("t:{line}"));
        let (socket, name) = if place == "path" {
            let path = device.path("notify");
            (
                UnixDatagram::bind(&path).unwrap(),
                path.display().to_string(),
            )
        } else {
            let name = format!("chariotd-test-{}", std::process::id());
            let address = SocketAddr::from_abstract_name(&name).unwrap();
            (
                UnixDatagram::bind_addr(&address).unwrap(),
                format!("@{name}"),
            )
        };
        let mut command = device.command();
        command
            .env("NOTIFY_SOCKET", name)
            .env("WATCHDOG_USEC", "200000");
        device.start_as(command);
        wait_for_event(&device, "ready");
        let mut told = Vec::new();
        wait_for("the watchdog is fed", LONG, || {
            told.extend(datagrams(&socket));
            told.iter().filter(|text| *text == "WATCHDOG=1").count() >= 3
        });
        sandbox.publish("t", b"x", 1);
        // The shell makes the file before it writes to it.
        let said = || fs::read_to_string(&out).unwrap_or_default();
        wait_for("the command has run", LONG, || said().ends_with('\n'));
        assert_eq!(said(), "got .\n");
        assert_eq!(device.stop(), Some(0));
        told.extend(datagrams(&socket));
        let count = |text: &str| told.iter().filter(|one| *one == text).count();
        assert_eq!((count("READY=1"), count("STOPPING=1")), (1, 1), "{told:?}");
    }
}

#[test]
fn a_watchdog_of_another_process_and_a_socket_that_is_gone_do_not_matter() {
    let sandbox = sandbox();
    for (socket, part) in [
        (
            "vsock:2:1234",
            "warn: NOTIFY_SOCKET cannot be used: neither a path",
        ),
        (
            "/nonexistent/notify",
            "warn: cannot notify systemd that the daemon is ready: No such file",
        ),
    ] {
        let mut device = device(&sandbox);
        let mut command = device.command();
        command
            .env("NOTIFY_SOCKET", socket)
            .env("WATCHDOG_USEC", "x")
            .env("WATCHDOG_PID", "1");
        device.start_as(command);
        wait_for_event(&device, "ready");
        device.wait_for_log(part);
        assert_eq!(device.stop(), Some(0));
    }
}

/// s6-supervise on a service directory, ended when dropped.
struct S6(std::process::Child);

impl Drop for S6 {
    fn drop(&mut self) {
        let id = nix::unistd::Pid::from_raw(self.0.id().try_into().expect("a process id"));
        // It ends its service first.
        let _ = nix::sys::signal::kill(id, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

#[test]
fn s6_learns_when_it_is_ready() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|dir| dir.join("s6-supervise").exists()) {
        eprintln!("skipped: s6 is not installed (apt install s6)");
        return;
    }
    let sandbox = sandbox();
    sandbox.pause();
    let mut device = device(&sandbox);
    device
        .option("--notify-fd", 3)
        .option("--connect-attempts", 0);
    let dir = device.path("service");
    fs::create_dir(&dir).unwrap();
    let quoted: Vec<String> = device
        .command()
        .get_args()
        .map(|argument| format!("'{}'", argument.to_string_lossy()))
        .collect();
    let run = format!(
        "#!/bin/sh\nexec {} {}\n",
        env!("CARGO_BIN_EXE_chariotd"),
        quoted.join(" ")
    );
    fs::write(dir.join("run"), run).unwrap();
    fs::set_permissions(
        dir.join("run"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    fs::write(dir.join("notification-fd"), "3\n").unwrap();
    let _supervise = S6(Command::new("s6-supervise").arg(&dir).spawn().unwrap());
    wait_for_event(&device, "failed");
    let wait = |flag: &str, limit: &str| {
        let wait = Command::new("s6-svwait")
            .args([flag, "-t", limit])
            .arg(&dir)
            .status();
        wait.unwrap().success()
    };
    assert!(wait("-u", "60000"), "it is up");
    assert!(!wait("-U", "500"), "and not ready");
    sandbox.resume();
    assert!(wait("-U", "60000"), "now it is ready");
    wait_for_event(&device, "ready");
}
