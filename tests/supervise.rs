//! The service directory `runit/chariotd`, as it is shipped, under a real supervisor: runit's
//! programs, the same with BusyBox's shell and applets, and BusyBox alone. What is not installed is
//! skipped with a line about it.

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use common::{Device, LONG, names, sandbox, wait_for};
use iotcore_sandbox::{CertificateKind, Event, Fault, Sandbox, What, When};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

/// So long that nothing here would see its end.
const AN_HOUR: &str = "3600";

/// Not a sandbox that pauses: processes that are just being started would keep its port busy.
const NOBODY_LISTENS: &str = "localhost:1";

macro_rules! under_each_supervisor {
    ($($name:ident),* $(,)?) => {
        mod under_runit {
            $(#[test] fn $name() { super::under(super::Tools::runit(), super::$name); })*
        }
        mod under_runit_with_the_shell_of_busybox {
            $(#[test] fn $name() { super::under(super::Tools::mixed(), super::$name); })*
        }
        mod under_busybox {
            $(#[test] fn $name() { super::under(super::Tools::busybox(), super::$name); })*
        }
    };
}

under_each_supervisor!(
    a_killed_daemon_comes_back_and_publishes_what_was_dropped_meanwhile,
    exit_code_100_waits_for_a_person_and_restart_ends_the_wait,
    a_service_comes_back_by_itself_after_its_wait_and_not_before,
    exit_code_111_waits_its_own_time,
    check_shows_whether_the_daemon_is_connected,
    check_shows_whether_the_daemon_is_ready_where_there_is_a_file_of_events,
    down_sends_disconnect_to_the_broker,
    down_does_not_wait_for_finish,
    a_term_to_runsv_does_not_wait_for_finish,
    a_refused_certificate_gives_way_to_a_good_one,
    a_good_certificate_stays_beside_a_refused_one,
    finish_says_why_and_how_long,
    run_says_what_is_missing,
    values_with_blanks_arrive_as_one_argument,
    the_log_is_kept_with_timestamps_and_bounded,
);

fn under(tools: Result<Tools, &str>, test: fn(Tools)) {
    match tools {
        Ok(tools) => test(tools),
        Err(missing) => eprintln!("skipped: {missing}"),
    }
}

fn a_killed_daemon_comes_back_and_publishes_what_was_dropped_meanwhile(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    service.set("WAIT_OTHER", "1").start();
    service.wait_for_log("connected to");
    kill(service.pid(), Signal::SIGKILL).expect("it runs");
    service.wait_for_log("warn: chariotd was killed by signal 9: it starts again in 1 s");
    service.device.drop_message("late", "t", "late");
    assert_eq!(sandbox.wait_for_publishes(1, LONG)[0].text(), "late");
    service.device.wait_until_empty();
}

fn exit_code_100_waits_for_a_person_and_restart_ends_the_wait(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    let roots = service.device.path("roots.pem");
    service
        .set("CACERT", roots.display())
        .set("WAIT_100", AN_HOUR)
        .start();
    service.wait_for_log(
        "error: chariotd exited with 100, a person must act: it starts again in 3600 s",
    );
    assert_eq!(service.state(), "finish");
    // sv says "ok" until runsv has noted the pid of finish.
    wait_for("sv check says that it is not up", LONG, || {
        !service.sv(&["-w", "0", "check"])
    });

    fs::copy(sandbox.pki().ca_file(), &roots).expect("the missing file");
    assert!(service.sv(&["-w", "60", "restart"]));
    service.wait_for_log("connected to");
    assert_eq!(service.logged("a person must act"), 1);
}

fn a_service_comes_back_by_itself_after_its_wait_and_not_before(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    service
        .set("CACERT", "/nowhere/roots.pem")
        .set("WAIT_100", "1")
        .start();
    wait_for("the second refusal", LONG, || {
        service.logged("a person must act") >= 2
    });
    let log = service.log();
    let (refusal, wait) = ("/nowhere/roots.pem", "it starts again in 1 s");
    let seen: Vec<&str> = log
        .lines()
        .filter_map(|line| [refusal, wait].into_iter().find(|text| line.contains(text)))
        .take(4)
        .collect();
    assert_eq!(seen, [refusal, wait, refusal, wait], "in:\n{log}");
}

fn exit_code_111_waits_its_own_time(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    service
        .set("ENDPOINT", NOBODY_LISTENS)
        .set("OPTIONS", "--connect-attempts=1")
        .set("WAIT_100", AN_HOUR)
        .set("WAIT_111", "1")
        .set("WAIT_OTHER", AN_HOUR)
        .start();
    service.wait_for_log(
        "warn: chariotd exited with 111, a temporary failure: it starts again in 1 s",
    );
    service.set("ENDPOINT", "").write_conf();
    service.wait_for_log("connected to");
}

fn a_refused_certificate_gives_way_to_a_good_one(tools: Tools) {
    // One start for each certificate before the good one.
    ends_on_the_good_certificate(tools, true, 1);
}

fn a_good_certificate_stays_beside_a_refused_one(tools: Tools) {
    ends_on_the_good_certificate(tools, false, 0);
}

fn ends_on_the_good_certificate(tools: Tools, prefer_the_bad_one: bool, restarts: usize) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    let store = service.device.certstore();
    let bad = sandbox.pki().issue(CertificateKind::Valid);
    sandbox.pki().add_to_certstore(&store, &bad);
    sandbox.revoke(&bad.id);
    let mut ids = common::names(&store);
    ids.retain(|name| name.len() == 64 && *name != bad.id);
    let first = if prefer_the_bad_one { &bad.id } else { &ids[0] };
    std::os::unix::fs::symlink(first, store.join("preferred")).expect("a link");
    service
        .set("OPTIONS", "--connect-attempts=1")
        .set("WAIT_111", "1")
        .start();
    service.wait_for_log("connected to");
    service.device.drop_message("m", "t", "x");
    service.device.wait_until_empty();
    let link = fs::read_link(store.join("preferred")).expect("a link");
    assert_eq!(link.to_string_lossy(), ids[0]);
    assert_eq!(service.logged("exited with 111"), restarts);
}

fn check_shows_whether_the_daemon_is_connected(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    service
        .set("ENDPOINT", NOBODY_LISTENS)
        .set("OPTIONS", "--connect-attempts=0")
        .start();
    service.wait_for_log("connection failed: tcp");
    assert!(!service.sv(&["-w", "1", "check"]));
    assert!(service.check().ends_with("is not connected\n"));

    service.set("ENDPOINT", "").write_conf();
    assert!(service.sv(&["-w", "60", "restart"]));
    assert!(service.sv(&["-w", "60", "check"]));
    assert_eq!(service.check(), "");

    drop(sandbox);
    wait_for("sv check notices the lost connection", LONG, || {
        !service.sv(&["-w", "0", "check"])
    });
    assert!(service.check().ends_with("is not connected\n"));
}

fn check_shows_whether_the_daemon_is_ready_where_there_is_a_file_of_events(tools: Tools) {
    let sandbox = sandbox();
    // There is a TCP connection, and a broker that never accepts it.
    sandbox.add_fault(Fault::once(When::Connection(1), What::StallConnack));
    let mut service = Service::new(tools, &sandbox);
    let events = service.device.path("events of it");
    service.set("EVENTS", events.display()).start();
    wait_for("the attempt is told", LONG, || events.exists());
    assert!(!service.sv(&["-w", "1", "check"]));
    assert!(service.check().contains("\"event\":\"connecting\""));

    assert!(
        service.sv(&["-w", "60", "restart"]),
        "waits for the ready one"
    );
    assert_eq!(service.check(), "");
    let ready = fs::read_to_string(&events).expect("events");
    kill(service.pid(), Signal::SIGKILL).expect("it runs");
    service.wait_for_log("was killed by signal 9");
    // What a process of another time has written does not count.
    sandbox.pause();
    fs::write(&events, ready).expect("events");
    assert!(!service.sv(&["-w", "2", "restart"]));
    sandbox.resume();
    assert!(service.sv(&["-w", "60", "check"]));
}

fn down_sends_disconnect_to_the_broker(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    service
        .set(
            "OPTIONS",
            "--last-will-topic=will\n--last-will-payload=gone",
        )
        .start();
    service.wait_for_log("connected to");
    assert!(service.sv(&["-w", "60", "stop"]));
    assert_eq!(service.state(), "down");
    service.wait_for_log("info: chariotd exited with 0: it stays down");
    let disconnect = sandbox.wait_for_event(LONG, |event| {
        matches!(event, Event::DisconnectReceived { .. })
    });
    assert!(disconnect.is_some(), "DISCONNECT was sent");
    let closed = sandbox.wait_for_event(LONG, |event| matches!(event, Event::Closed { .. }));
    assert!(closed.is_some());
    let will = |event: &Event| matches!(event, Event::WillPublished { .. });
    assert!(!sandbox.record().iter().any(|record| will(&record.event)));
}

fn down_does_not_wait_for_finish(tools: Tools) {
    let mut service = Service::waiting(tools, &sandbox());
    assert!(service.sv(&["-w", "60", "stop"]));
    assert_eq!(service.state(), "down");
    service.stop();
}

fn a_term_to_runsv_does_not_wait_for_finish(tools: Tools) {
    let mut service = Service::waiting(tools, &sandbox());
    service.stop();
}

fn finish_says_why_and_how_long(tools: Tools) {
    let mut service = Service::new(tools, &sandbox());
    for (name, wait) in [("WAIT_100", "0"), ("WAIT_111", "1"), ("WAIT_OTHER", "0")] {
        service.set(name, wait);
    }
    service.write_conf();
    let table: [(&[&str], &str); 7] = [
        (&["0", "0"], "info: chariotd exited with 0: it starts again"),
        (
            &["100", "0"],
            "error: chariotd exited with 100, a person must act: it starts again",
        ),
        (
            &["111", "0"],
            "warn: chariotd exited with 111, a temporary failure: it starts again in 1 s",
        ),
        (
            &[],
            "warn: chariotd ended, and the supervisor does not say how: it starts again in 1 s",
        ),
        (
            &["127", "0"],
            "warn: chariotd exited with 127: it starts again",
        ),
        (
            &["-1", "6"],
            "warn: chariotd was killed by signal 6: it starts again",
        ),
        // With a core dump.
        (
            &["-1", "134"],
            "warn: chariotd was killed by signal 6: it starts again",
        ),
    ];
    for (arguments, expect) in table {
        let output = service.script("finish", arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert_eq!(text(&output), format!("{expect}\n"), "{arguments:?}");
    }
}

fn run_says_what_is_missing(tools: Tools) {
    let service = Service::new(tools, &sandbox());
    let conf = service.dir.join("conf");
    let shipped = fs::read_to_string(&conf).expect("the shipped conf");
    let table = [
        (
            None,
            "there is no conf in DIR, which sets CLIENTID, CACERT and CERTSTORE",
        ),
        (
            Some(shipped.as_str()),
            "DIR/conf does not set CLIENTID, CACERT, CERTSTORE (or CERT, KEY and ENDPOINT)",
        ),
        (
            Some("CLIENTID=x CERT=c KEY=k ENDPOINT=e"),
            "DIR/conf does not set CACERT",
        ),
        (
            Some("CLIENTID=x CACERT=c CERTSTORE=s CHARIOTD=/etc/passwd"),
            "CHARIOTD=/etc/passwd is no program",
        ),
        // Who the device is may stand in OPTIONS.
        (
            Some("CLIENTID=x CACERT=c ENDPOINT=e CHARIOTD=/etc/passwd"),
            "CHARIOTD=/etc/passwd is no program",
        ),
        (Some("CLIENTID='x"), "DIR/conf is not a good shell fragment"),
        (
            Some("CLIENTID=x\r\nCACERT=c\r\nCERTSTORE=s\r\n"),
            "DIR/conf has the line ends of Windows (CRLF), remove them: tr -d '\\r' <conf >conf.new && mv conf.new conf",
        ),
    ];
    for (content, expect) in table {
        match content {
            Some(content) => fs::write(&conf, content).expect("conf"),
            None => fs::remove_file(&conf).expect("conf"),
        }
        let output = service.script("run", &[]);
        assert_eq!(output.status.code(), Some(100), "{expect}: {output:?}");
        let dir = service.dir.to_str().expect("a plain name");
        let expect = format!("error: run: {}", expect.replace("DIR", dir));
        assert_eq!(text(&output).lines().last(), Some(expect.as_str()));
    }
}

fn values_with_blanks_arrive_as_one_argument(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    let certstore = service.device.path("the certificates");
    fs::rename(service.device.certstore(), &certstore).expect("a new name");
    let second = service.device.path("second  *");
    fs::create_dir(&second).expect("a second directory");
    common::drop_file(&second, "x", r#"{"topic":"t","payload":"x"}"#);
    let messages = format!(
        "\n\t{}\n\n\t{}\n",
        service.device.messages().display(),
        second.display()
    );
    let prefix = format!("--message-topic-prefix={}:pre/", second.display());
    service
        .set("CERTSTORE", certstore.display())
        .set("MESSAGES", messages)
        .set(
            "OPTIONS",
            format!(
                "\n\t{prefix}\n\t--last-will-topic=will\n\t--last-will-payload=it's  $HOME `id` *\n"
            ),
        )
        .start();
    assert_eq!(sandbox.wait_for_publishes(1, LONG)[0].topic, "pre/t");
    service.device.drop_message("x", "t", "x");
    assert_eq!(sandbox.wait_for_publishes(2, LONG)[1].topic, "t");
    let will = sandbox
        .record()
        .into_iter()
        .find_map(|record| match record.event {
            Event::Connect { will, .. } => will,
            _ => None,
        });
    assert_eq!(will.expect("a will").payload, "it's  $HOME `id` *");
}

fn the_log_is_kept_with_timestamps_and_bounded(tools: Tools) {
    let sandbox = sandbox();
    let mut service = Service::new(tools, &sandbox);
    service.start();
    service.wait_for_log("connected to");
    let config = service.log_dir().join("config");
    let text = fs::read_to_string(&config).expect("config");
    assert_eq!(text, "s100000\nn4\nN1\n");
    let log = service.log();
    for line in log.lines() {
        let shape: String = line
            .chars()
            .take(19)
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000-00-00_00:00:00", "{line}");
    }
    service.stop();

    fs::write(&config, "s50000\nn2\n").expect("the administrator's own");
    service.start();
    wait_for("it is connected again", LONG, || {
        service.logged("connected to") == 2
    });
    let text = fs::read_to_string(&config).expect("config");
    assert_eq!(text, "s50000\nn2\n");
}

#[test]
fn every_script_is_clean_for_shellcheck() {
    let scripts = ["run", "finish", "check", "log/run", "conf"];
    let Some(shellcheck) = program("shellcheck") else {
        eprintln!("skipped: shellcheck is not installed (apt install shellcheck)");
        return;
    };
    let mut check = Command::new(shellcheck);
    check
        .args(["-s", "sh"])
        .args(scripts)
        .current_dir(shipped());
    let output = check.output().expect("shellcheck");
    assert!(output.status.success(), "{}", text(&output));
}

/// A supervisor's programs, the shell for its scripts, and what these find in PATH.
struct Tools {
    runsv: PathBuf,
    sv: PathBuf,
    shell: PathBuf,
    path: OsString,
    /// A link for each applet.
    _applets: Option<TempDir>,
}

impl Tools {
    fn runit() -> Result<Tools, &'static str> {
        let [runsv, sv, _] = runit_programs()?;
        Ok(Tools {
            runsv,
            sv,
            shell: "/bin/sh".into(),
            path: std::env::var_os("PATH").unwrap_or_default(),
            _applets: None,
        })
    }

    /// runit, and everything else by BusyBox.
    fn mixed() -> Result<Tools, &'static str> {
        let [runsv, sv, svlogd] = runit_programs()?;
        let mut tools = Tools::of_applets(&applets()?);
        for program in [&sv, &svlogd] {
            let name = program.file_name().expect("a program's name");
            let here = Path::new(&tools.path).join(name);
            let _ = fs::remove_file(&here);
            symlink(program, here).expect("a link");
        }
        (tools.runsv, tools.sv) = (runsv, sv);
        Ok(tools)
    }

    fn busybox() -> Result<Tools, &'static str> {
        let applets = applets()?;
        let has = |name: &str| applets.iter().any(|applet| applet == name);
        if !(has("runsv") && has("sv") && has("svlogd")) {
            return Err("this busybox was built without runsv, sv and svlogd");
        }
        Ok(Tools::of_applets(&applets))
    }

    fn of_applets(applets: &[String]) -> Tools {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let busybox = program("busybox").expect("it has just been run");
        for applet in applets {
            symlink(&busybox, dir.path().join(applet)).expect("a link");
        }
        Tools {
            runsv: dir.path().join("runsv"),
            sv: dir.path().join("sv"),
            shell: dir.path().join("sh"),
            path: dir.path().into(),
            _applets: Some(dir),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path).env_remove("RUST_LOG");
        command.env_remove("SVDIR").env_remove("SVWAIT");
        command.stdin(Stdio::null());
        command
    }
}

fn runit_programs() -> Result<[PathBuf; 3], &'static str> {
    let find = |name| program(name).ok_or("runit is not installed (apt install runit)");
    Ok([find("runsv")?, find("sv")?, find("svlogd")?])
}

fn applets() -> Result<Vec<String>, &'static str> {
    let busybox = program("busybox");
    let busybox = busybox.ok_or("busybox is not installed (apt install busybox-static)")?;
    let mut list = Command::new(busybox);
    list.arg("--list");
    Ok(text(&list.output().expect("its applets"))
        .lines()
        .map(str::to_owned)
        .collect())
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runit/chariotd")
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A copy of the service directory for a device, and its runsv while that runs. No process is left when it is dropped.
struct Service {
    tools: Tools,
    device: Device,
    dir: PathBuf,
    conf: Vec<(String, String)>,
    runsv: Option<Child>,
}

impl Service {
    fn new(tools: Tools, sandbox: &Sandbox) -> Service {
        let device = Device::new(sandbox);
        let dir = device.path("service");
        let mut service = Service {
            tools,
            device,
            dir,
            conf: Vec::new(),
            runsv: None,
        };
        service.copy(&shipped(), &service.dir);
        let (certstore, messages) = (service.device.certstore(), service.device.messages());
        service
            .set("CHARIOTD", env!("CARGO_BIN_EXE_chariotd"))
            .set("CLIENTID", "device-1")
            .set("CACERT", sandbox.pki().ca_file().display())
            .set("CERTSTORE", certstore.display())
            .set("MESSAGES", messages.display());
        let log_dir = service.log_dir();
        service.set("LOGDIR", log_dir.display());
        service
    }

    /// One that has exited with 100 and waits for a person.
    fn waiting(tools: Tools, sandbox: &Sandbox) -> Service {
        let mut service = Service::new(tools, sandbox);
        service
            .set("CACERT", "/nowhere/roots.pem")
            .set("WAIT_100", AN_HOUR)
            .start();
        service.wait_for_log("it starts again in 3600 s");
        service
    }

    /// The scripts are given the shell of these tools.
    fn copy(&self, from: &Path, to: &Path) {
        fs::create_dir(to).expect("a directory");
        for name in names(from) {
            let (from, to) = (from.join(&name), to.join(&name));
            if from.is_dir() {
                self.copy(&from, &to);
                continue;
            }
            let content = fs::read_to_string(&from).expect("a shipped file");
            let shell = format!("#!{}\n", self.tools.shell.display());
            fs::copy(&from, &to).expect("a copy with its mode");
            fs::write(&to, content.replacen("#!/bin/sh\n", &shell, 1)).expect("the copy");
        }
    }

    /// Sets a variable in conf, in single quotes.
    fn set(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Service {
        self.conf.retain(|(known, _)| known != name);
        self.conf.push((name.to_owned(), value.to_string()));
        self
    }

    fn write_conf(&self) {
        let lines: String = self
            .conf
            .iter()
            .map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', r"'\''")))
            .collect();
        fs::write(self.dir.join("conf"), lines).expect("conf");
    }

    /// Starts runsv, in a process group of its own, and waits until it can be controlled.
    fn start(&mut self) {
        self.write_conf();
        let complaints = fs::File::create(self.device.path("runsv.log")).expect("a file");
        let mut runsv = self.tools.command(&self.tools.runsv);
        runsv
            .arg(&self.dir)
            .stdout(Stdio::null())
            .stderr(complaints)
            .process_group(0);
        self.runsv = Some(runsv.spawn().expect("runsv starts"));
        wait_for("runsv can be controlled", LONG, || self.sv(&["status"]));
    }

    /// TERM to runsv: it and all that it started end.
    fn stop(&mut self) {
        let runsv = self.runsv.as_mut().expect("it runs");
        let group = Group::of(runsv);
        group.terminate();
        wait_for("runsv ends", LONG, || ended(runsv));
        wait_for("nothing is left of it", LONG, || group.is_empty());
        self.runsv = None;
    }

    /// Whether `sv ARGUMENTS DIR` exits with 0.
    fn sv(&self, arguments: &[&str]) -> bool {
        let mut sv = self.tools.command(&self.tools.sv);
        sv.args(arguments).arg(&self.dir);
        sv.output().expect("sv").status.success()
    }

    /// Why the service is not up; empty when it is.
    fn check(&self) -> String {
        let output = self.script("check", &["-v"]);
        assert_eq!(output.status.success(), text(&output).is_empty());
        text(&output)
    }

    /// Runs one of the scripts as runsv does.
    fn script(&self, name: &str, arguments: &[&str]) -> Output {
        let mut script = self.tools.command(&self.dir.join(name));
        script.args(arguments).current_dir(&self.dir);
        script.output().expect("the script starts")
    }

    fn state(&self) -> String {
        let state = fs::read_to_string(self.dir.join("supervise/stat")).expect("the state");
        state.trim_end().to_owned()
    }

    fn pid(&self) -> Pid {
        let pid = fs::read_to_string(self.dir.join("supervise/pid")).expect("the pid");
        Pid::from_raw(pid.trim_end().parse().expect("a number"))
    }

    fn log_dir(&self) -> PathBuf {
        self.device.path("the log")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_dir().join("current")).unwrap_or_default()
    }

    fn logged(&self, text: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    #[track_caller]
    fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the log says {text:?}"), LONG, || {
            self.logged(text) > 0
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if thread::panicking() {
            let complaints = fs::read_to_string(self.device.path("runsv.log"));
            let complaints = complaints.unwrap_or_default();
            eprintln!("runsv says:\n{complaints}the log:\n{}", self.log());
        }
        let Some(mut runsv) = self.runsv.take() else {
            return;
        };
        let group = Group::of(&runsv);
        group.terminate();
        let start = std::time::Instant::now();
        while !ended(&mut runsv) && start.elapsed() < LONG / 4 {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        group.kill();
        let _ = runsv.wait();
    }
}

/// runsv and all that it has started: none of them leaves its process group.
struct Group(Pid);

impl Group {
    fn of(leader: &Child) -> Group {
        Group(Pid::from_raw(
            i32::try_from(leader.id()).expect("a process id"),
        ))
    }

    /// TERM to the leader alone.
    fn terminate(&self) {
        let _ = kill(self.0, Signal::SIGTERM);
    }

    fn kill(&self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }

    fn is_empty(&self) -> bool {
        killpg(self.0, None).is_err()
    }
}

fn ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)) | Err(_))
}
