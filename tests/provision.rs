//! Fleet provisioning (manual, FLEET PROVISIONING): a device gets its first certificate, and new
//! ones while it works, and survives a power cut at any step of it.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::strange_proxy::{Behaviour, StrangeProxy};
use common::{Device, LONG, builder, drop_file, names, sandbox, wait_for};
use iotcore_sandbox::{
    CertificateKind, CertificateStatus, Deny, Event, Fault, ProvisioningFault, ProvisioningGarbage,
    ProvisioningKind, ProvisioningOperation, ProvisioningRejection, ProvisioningTrouble, Sandbox,
    Template, What, When,
};
use serde_json::{Value, json};

/// A device that has nothing but a claim certificate.
fn newborn(sandbox: &Sandbox, more: Value) -> Device {
    let mut device = Device::bare(sandbox.pki());
    fs::create_dir(device.certstore()).unwrap();
    fs::write(
        device.certstore().join("endpoint.txt"),
        format!("localhost:{}\n", sandbox.port()),
    )
    .unwrap();
    let claims = device.path("claims");
    sandbox.pki().write_claim_store(&claims, sandbox.port());
    configure(&mut device, more);
    device
}

/// Writes `fp.json` and names it.
fn configure(device: &mut Device, more: Value) {
    let mut settings = json!({
        "claimstore": device.path("claims"),
        "template": "fleet",
        "parameters": {"SerialNumber": "1234"},
    });
    for (key, value) in more.as_object().expect("an object") {
        settings[key] = value.clone();
    }
    let file = device.path("fp.json");
    fs::write(&file, settings.to_string()).unwrap();
    device
        .without("--fleetprov")
        .option("--fleetprov", file.display());
    device
        .without("--connect-attempts")
        .option("--connect-attempts", 2);
}

fn certificates(device: &Device) -> Vec<String> {
    let mut names = names(&device.certstore());
    names.retain(|name| name.len() == 64);
    names
}

fn preferred(device: &Device) -> Option<String> {
    let link = fs::read_link(device.certstore().join("preferred")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Starts it until it is connected with a certificate of its own; how often it took.
#[track_caller]
fn start_until_connected(device: &mut Device, sandbox: &Sandbox) -> u32 {
    for start in 1..=6 {
        device.start();
        let begun = Instant::now();
        let connected = || sandbox.connected().contains(&"device-1".to_owned());
        while device.runs() && !connected() {
            assert!(begun.elapsed() < LONG, "{}", device.log());
            thread::sleep(Duration::from_millis(2));
        }
        if device.runs() {
            return start;
        }
        let code = device.exit_code();
        assert!(matches!(code, Some(0 | 111)), "{code:?}: {}", device.log());
    }
    panic!("never connected: {}", device.log());
}

/// The device works with a certificate that the cloud knows as active.
#[track_caller]
fn assert_it_works(device: &Device, sandbox: &Sandbox) {
    let id = preferred(device).expect("a preferred certificate");
    assert_eq!(sandbox.certificate_status(&id), CertificateStatus::Active);
    device.drop_message("hello", "devices/1234", "born");
    device.wait_until_empty();
    assert!(device.failed().is_empty());
}

fn created(sandbox: &Sandbox) -> usize {
    let provisioning = sandbox.provisioning();
    provisioning.certificates().len()
}

#[test]
fn a_device_is_born_behind_a_proxy() {
    let sandbox = builder()
        .template(Template::new("fleet").parameter("SerialNumber"))
        .start()
        .unwrap();
    let proxy = StrangeProxy::start(Behaviour::Tunnels);
    let mut device = newborn(&sandbox, json!({}));
    device.option("--proxy", proxy.url()).start();
    assert_eq!(device.exit_code(), Some(0), "{}", device.log());
    assert_eq!(proxy.asked(), 1, "with the claim certificate");
    assert_eq!(start_until_connected(&mut device, &sandbox), 1);
    assert_eq!(proxy.asked(), 2);
}

#[test]
fn a_device_is_born_with_a_key_of_the_cloud_or_of_its_own() {
    for version in ["5", "3.1.1"] {
        for more in [
            json!({}),
            json!({"csr": true}),
            json!({"csr": true, "keytype": "rsa-2048"}),
        ] {
            let sandbox = builder()
                .template(
                    Template::new("fleet")
                        .parameter("SerialNumber")
                        .thing("pump-{SerialNumber}")
                        .configuration(json!({"Site": "north"})),
                )
                .start()
                .unwrap();
            let mut device = newborn(&sandbox, json!({}));
            let (outfile, notified) = (device.path("born.sh"), device.path("notified"));
            let mut settings = json!({
                "outfile": outfile, "outformat": "SHELL",
                "notifycmd": format!("cp {} {}", outfile.display(), notified.display()),
            });
            for (key, value) in more.as_object().unwrap() {
                settings[key] = value.clone();
            }
            configure(&mut device, settings);
            device.option("--mqtt", version).start();
            assert_eq!(device.exit_code(), Some(0), "{more}");
            let text = fs::read_to_string(&notified).unwrap();
            assert_eq!(text, "configuration_Site='north'\nthing='pump-1234'\n");
            let [id] = &certificates(&device)[..] else {
                panic!("one certificate")
            };
            assert_eq!(preferred(&device).as_ref(), Some(id));
            let dir = device.certstore().join(id);
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode(&dir), 0o700);
            assert_eq!(mode(&dir.join(format!("{id}-private.pem.key"))), 0o600);
            assert_eq!(names(&dir).len(), 2, "nothing else is left");
            assert_eq!(start_until_connected(&mut device, &sandbox), 1);
            assert_it_works(&device, &sandbox);
            let secret = fs::read_to_string(dir.join(format!("{id}-private.pem.key"))).unwrap();
            let line = secret.lines().nth(1).unwrap();
            assert!(!device.log().contains(line) && !device.log().contains("PRIVATE KEY"));
        }
    }
}

#[test]
fn without_a_certificate_and_without_provisioning_a_person_must_act() {
    let sandbox = sandbox();
    let mut device = newborn(&sandbox, json!({}));
    device.without("--fleetprov").start();
    assert_eq!(device.exit_code(), Some(100));
}

#[test]
fn a_wrong_configuration_is_reported_with_the_remedy() {
    let sandbox = sandbox();
    for (more, part) in [
        (json!({"templat": "x"}), "did you mean 'template'?"),
        (json!({"outfile": "/x"}), "needs 'outformat'"),
        (json!({"csr": 1}), "'csr' is neither"),
    ] {
        let mut device = newborn(&sandbox, more);
        device.start();
        assert_eq!(device.exit_code(), Some(100));
        assert!(device.log().contains(part), "{}", device.log());
    }
    let mut device = newborn(&sandbox, json!({"claimstore": "/nonexistent/claims"}));
    let output = device.command().arg("--check").output().unwrap();
    assert_eq!(output.status.code(), Some(100));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/claims"));
    device.start();
    assert_eq!(device.exit_code(), Some(111), "it may be mounted later");
}

#[test]
fn an_empty_claim_store_and_bad_claims_are_reported_and_the_next_claim_is_tried() {
    let sandbox = sandbox();
    let mut device = newborn(&sandbox, json!({}));
    let claims = device.path("claims");
    let good = fs::read_dir(&claims)
        .unwrap()
        .flatten()
        .find(|it| it.path().is_dir())
        .unwrap();
    let bad = sandbox.pki().issue_claim(CertificateKind::Expired);
    sandbox.pki().add_to_certstore(&claims, &bad);
    std::os::unix::fs::symlink(&bad.id, claims.join("preferred")).unwrap();
    start_until_connected(&mut device, &sandbox);
    device.wait_for_log("claim certificate skipped");
    fs::remove_dir_all(good.path()).unwrap();
    fs::remove_dir_all(claims.join(&bad.id)).unwrap();
    let mut other = newborn(&sandbox, json!({"claimstore": claims}));
    other.start();
    assert_eq!(other.exit_code(), Some(111));
    assert!(
        other.log().contains("no claim certificate in"),
        "{}",
        other.log()
    );
}

#[test]
fn what_the_cloud_refuses_or_garbles_is_reported_and_nothing_is_stored() {
    let code = |status, code: &str| {
        ProvisioningTrouble::Reject(ProvisioningRejection::new(status, code, "because"))
    };
    for (what, operation, part) in [
        (
            code(400, "InvalidX"),
            ProvisioningOperation::Create,
            "400 InvalidX: because",
        ),
        (
            ProvisioningTrouble::Reject(ProvisioningRejection::throttled()),
            ProvisioningOperation::Create,
            "the cloud refuses: 429",
        ),
        (
            code(403, "AccessDenied"),
            ProvisioningOperation::Register,
            "403 AccessDenied",
        ),
        (
            ProvisioningTrouble::Garble(ProvisioningGarbage::NotJson),
            ProvisioningOperation::Create,
            "is malformed",
        ),
        (
            ProvisioningTrouble::Garble(ProvisioningGarbage::Without("certificateId")),
            ProvisioningOperation::Create,
            "it has no 'certificateId'",
        ),
        (
            ProvisioningTrouble::Garble(ProvisioningGarbage::With(
                "certificateId",
                json!("../../etc"),
            )),
            ProvisioningOperation::Create,
            "letters and digits",
        ),
        (
            ProvisioningTrouble::Garble(ProvisioningGarbage::CutCertificate),
            ProvisioningOperation::Create,
            "is malformed",
        ),
        (
            ProvisioningTrouble::Issue(CertificateKind::OtherKey),
            ProvisioningOperation::Create,
            "does not match",
        ),
        (
            ProvisioningTrouble::Garble(ProvisioningGarbage::WrongTypes),
            ProvisioningOperation::Register,
            "is malformed",
        ),
    ] {
        let sandbox = sandbox();
        sandbox
            .provisioning()
            .fault(ProvisioningFault::once(what).on(operation));
        let mut device = newborn(&sandbox, json!({}));
        device.start();
        assert_eq!(device.exit_code(), Some(111), "{part}");
        assert!(device.log().contains(part), "{part}: {}", device.log());
        assert_eq!(certificates(&device), [""; 0], "{part}");
        start_until_connected(&mut device, &sandbox);
        assert_it_works(&device, &sandbox);
    }
}

#[test]
fn a_claim_policy_without_create_from_csr_is_named() {
    for version in ["5", "3.1.1"] {
        let sandbox = sandbox();
        sandbox.claim_policy(Deny::for_claims_without_csr());
        let mut device = newborn(&sandbox, json!({"csr": true}));
        device.option("--mqtt", version).start();
        assert_eq!(device.exit_code(), Some(111));
        assert!(
            device
                .log()
                .contains("must allow $aws/certificates/create-from-csr/json"),
            "{}",
            device.log()
        );
    }
}

/// Reads every file below a directory over and over, and remembers whether a key could ever be read by
/// others.
struct Watchman {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<Vec<String>>>,
}

impl Watchman {
    fn new(dir: PathBuf) -> Watchman {
        let stop = Arc::new(AtomicBool::new(false));
        let over = stop.clone();
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                look(&dir, &mut seen);
            }
            seen
        });
        Watchman {
            stop,
            thread: Some(thread),
        }
    }

    fn leaks(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn look(dir: &Path, seen: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        let mode = meta.permissions().mode();
        if meta.is_dir() {
            look(&path, seen);
        } else if meta.is_file() && mode & 0o077 != 0 && seen.len() < 10 {
            // Contents are looked at second: a file that is open to others at any moment counts.
            let text = fs::read_to_string(&path).unwrap_or_default();
            if text.contains("PRIVATE KEY") || text.contains("\"token\"") {
                seen.push(format!("{} {mode:o}", path.display()));
            }
        }
    }
}

fn saw(
    sandbox: &Sandbox,
    operation: Option<ProvisioningOperation>,
    kind: ProvisioningKind,
) -> bool {
    sandbox.record().iter().any(|record| match &record.event {
        Event::Provisioning(event) => {
            event.kind == kind && operation.is_none_or(|it| it == event.operation)
        }
        _ => false,
    })
}

/// A step that an observer can see: its name, and whether it has been reached.
type Step = (&'static str, fn(&Device, &Sandbox) -> bool);

fn subscribed(sandbox: &Sandbox) -> bool {
    let suback = |event: &Event| format!("{event:?}").contains("Subscribe");
    sandbox.record().iter().any(|record| suback(&record.event))
}

const STEPS: [Step; 13] = [
    ("the claim has connected", |_, sandbox| {
        sandbox.connected().contains(&"device-1-fp".to_owned())
    }),
    ("room was made", |device, _| {
        device.certstore().join(".provisioning.new").exists()
    }),
    ("the answers are subscribed", |_, sandbox| {
        subscribed(sandbox)
    }),
    ("the certificate is asked for", |_, sandbox| {
        saw(sandbox, None, ProvisioningKind::Request)
    }),
    ("it was made", |_, sandbox| {
        saw(sandbox, None, ProvisioningKind::Issued)
    }),
    ("its key is written", |device, _| {
        let staged = fs::read_dir(device.certstore().join(".provisioning.new"));
        staged
            .into_iter()
            .flatten()
            .flatten()
            .any(|it| it.file_name().to_string_lossy().ends_with(".key"))
    }),
    ("it is staged", |device, _| {
        device.certstore().join(".provisioning/state.json").exists()
    }),
    ("it is registered in the cloud", |_, sandbox| {
        saw(
            sandbox,
            Some(ProvisioningOperation::Register),
            ProvisioningKind::Registered,
        )
    }),
    ("the answer is stored", |device, _| {
        let state = device.certstore().join(".provisioning/state.json");
        fs::read_to_string(state).is_ok_and(|text| text.contains("registered"))
    }),
    ("it is in the store", |device, _| {
        !certificates(device).is_empty()
    }),
    ("it is preferred", |device, _| preferred(device).is_some()),
    ("the outfile is written", |device, _| {
        device.path("born.json").exists()
    }),
    ("the notify command runs", |device, _| {
        device.path("notified").exists()
    }),
];

/// What must hold in the end, whatever happened; how many certificates it took.
#[track_caller]
fn assert_born(device: &mut Device, sandbox: &Sandbox, what: &str) -> usize {
    start_until_connected(device, sandbox);
    assert_it_works(device, sandbox);
    let outfile = fs::read_to_string(device.path("born.json")).unwrap_or_default();
    assert_eq!(
        outfile, "{\"thing\":\"device-1234\",\"configuration\":{}}\n",
        "{what}"
    );
    assert!(device.path("notified").exists(), "{what}");
    let count = created(sandbox);
    assert!(count <= 2, "{what}: {count} certificates");
    count
}

fn newborn_with_outfile(sandbox: &Sandbox, csr: bool) -> Device {
    let mut device = newborn(sandbox, json!({}));
    let more = json!({
        "csr": csr,
        "outfile": device.path("born.json"), "outformat": "JSON",
        "notifycmd": format!("touch {}; sleep 0.2", device.path("notified").display()),
    });
    configure(&mut device, more);
    device
}

/// Kills it at this step. `false`: the step was over too soon to be seen.
#[track_caller]
fn kill_at(device: &mut Device, sandbox: &Sandbox, (name, reached): Step) -> bool {
    let begun = Instant::now();
    while !reached(device, sandbox) {
        assert!(begun.elapsed() < LONG, "{name}: {}", device.log());
        if !device.runs() {
            assert_eq!(device.exit_code(), Some(0), "{name}");
            return false;
        }
    }
    device.kill();
    true
}

#[test]
fn a_kill_at_any_step_of_the_birth_is_survived() {
    let at = |wanted: &str| STEPS.iter().position(|(step, _)| *step == wanted).unwrap();
    let mut seen = 0;
    for csr in [true, false] {
        println!("killed when, csr {csr}: certificates made in all");
        for (index, step) in STEPS.into_iter().enumerate() {
            let name = step.0;
            let sandbox = sandbox();
            // Slow answers, so that there is something between the steps.
            let slow = ProvisioningTrouble::Delay(Duration::from_millis(60));
            sandbox
                .provisioning()
                .fault(ProvisioningFault::always(slow));
            let mut device = newborn_with_outfile(&sandbox, csr);
            let watchman = Watchman::new(device.certstore());
            device.start();
            let hit = kill_at(&mut device, &sandbox, step);
            seen += usize::from(hit);
            // Registered in the cloud, and only the cloud knows.
            let state = device.certstore().join(".provisioning/state.json");
            let state = fs::read_to_string(state).unwrap_or_default();
            let lost = saw(&sandbox, None, ProvisioningKind::Registered)
                && certificates(&device).is_empty()
                && !state.contains("registered");
            let count = assert_born(&mut device, &sandbox, name);
            assert_eq!(watchman.leaks(), [""; 0], "{name}");
            println!(
                "{name:<32} {count}{}",
                if hit { "" } else { " (over too soon)" }
            );
            // Once it was staged it is continued, unless the cloud's answer was lost on its way
            // and there is an outfile that needs it.
            let staged = index >= at("it is staged");
            assert!(
                !staged || lost || count == 1,
                "{name}: {count} certificates"
            );
        }
    }
    assert!(seen >= 16, "most steps are seen: {seen}");
}

#[test]
fn a_cut_connection_at_any_step_of_the_birth_is_survived() {
    let topics = [
        ProvisioningOperation::CreateFromCsr.topic("fleet"),
        ProvisioningOperation::Register.topic("fleet"),
    ];
    for topic in topics {
        for what in [
            What::CloseBeforeAccepting,
            What::CloseBeforeAnswer,
            What::CloseBeforePuback,
            What::CloseAfterPuback,
        ] {
            let name = format!("{what:?} on {topic}");
            let sandbox = sandbox();
            sandbox.faults(vec![Fault::once(When::Topic(topic.clone()), what)]);
            let mut device = newborn_with_outfile(&sandbox, true);
            let watchman = Watchman::new(device.certstore());
            let count = assert_born(&mut device, &sandbox, &name);
            assert_eq!(watchman.leaks(), [""; 0], "{name}");
            println!("{name:<80} {count}");
        }
    }
}

#[test]
fn a_certificate_whose_registration_was_answered_into_the_void_is_used() {
    let sandbox = sandbox();
    sandbox.provisioning().fault(
        ProvisioningFault::once(ProvisioningTrouble::Withhold).on(ProvisioningOperation::Register),
    );
    let mut device = newborn(&sandbox, json!({"csr": true}));
    device.start();
    assert!(sandbox.provisioning().wait_for_registered(1, LONG).len() == 1);
    device.kill();
    start_until_connected(&mut device, &sandbox);
    assert_it_works(&device, &sandbox);
    assert_eq!(created(&sandbox), 1);
}

/// A device that works, with a claim store for the next certificate.
fn grown_up(sandbox: &Sandbox, kind: CertificateKind, more: Value) -> Device {
    let mut device = newborn(sandbox, more);
    let own = sandbox.pki().issue(kind);
    sandbox.pki().add_to_certstore(&device.certstore(), &own);
    let commands = device.path("commands");
    fs::create_dir(&commands).unwrap();
    device.option("--commands", commands.display());
    device
}

#[test]
fn a_claim_store_whose_endpoint_cannot_be_read_is_reported_by_check() {
    let sandbox = sandbox();
    let device = grown_up(&sandbox, CertificateKind::Valid, json!({}));
    let file = device.path("claims/endpoint.txt");
    fs::write(&file, "https://x.example/").unwrap();
    let check = device.command().arg("--check").output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(100), "{said}");
    assert!(
        said.contains("claims/endpoint.txt: holds an address with the scheme"),
        "{said}"
    );
    fs::remove_file(file).unwrap();
    let check = device.command().arg("--check").output().unwrap();
    assert_eq!(
        check.status.code(),
        Some(0),
        "a claim store need not have one"
    );
}

#[test]
fn other_commands_are_answered_while_a_new_certificate_is_waited_for() {
    let sandbox = sandbox();
    let mut device = grown_up(&sandbox, CertificateKind::Valid, json!({}));
    device
        .without("--connect-attempts")
        .option("--connect-attempts", 0);
    // Nobody answers there, and the attempt goes on and on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = port.local_addr().unwrap().port();
    fs::write(
        device.path("claims/endpoint.txt"),
        format!("localhost:{port}"),
    )
    .unwrap();
    device.start();
    device.wait_for_log("connected to");
    let commands = device.path("commands");
    drop_file(&commands, "reprovision", "");
    device.wait_for_log("command 'reprovision'");
    for _ in 0..3 {
        drop_file(&commands, "refetch", "");
        let failed = commands.join("failed/refetch");
        wait_for("refetch is answered: there is no shadow", LONG, || {
            failed.exists()
        });
        fs::remove_file(failed).unwrap();
    }
    assert!(commands.join("new/reprovision").exists());
    assert_eq!(device.stop(), Some(0));
    assert!(
        commands.join("new/reprovision").exists(),
        "it stays for the next start"
    );
}

#[test]
fn a_new_certificate_is_got_while_the_old_one_keeps_working() {
    let sandbox = sandbox();
    let slow = ProvisioningTrouble::Delay(Duration::from_millis(300));
    sandbox
        .provisioning()
        .fault(ProvisioningFault::always(slow));
    let mut device = grown_up(&sandbox, CertificateKind::Valid, json!({"csr": true}));
    device.start();
    device.wait_for_log("connected to");
    let old = preferred(&device).unwrap();
    drop_file(&device.path("commands"), "reprovision", "");
    for number in 0..5 {
        device.drop_message(&format!("m{number}"), "devices/1234", "still here");
        device.wait_until_empty();
    }
    assert_eq!(device.exit_code(), Some(0));
    assert!(device.log().contains("provisioned"), "{}", device.log());
    let new = preferred(&device).unwrap();
    assert_ne!(new, old);
    assert!(
        certificates(&device).contains(&old),
        "the old one stays in the store"
    );
    assert_eq!(
        names(&device.path("commands/new")),
        [""; 0],
        "it was carried out"
    );
    assert_eq!(start_until_connected(&mut device, &sandbox), 1);
    assert_it_works(&device, &sandbox);
    assert_eq!(created(&sandbox), 1);
}

#[test]
fn a_certificate_that_does_not_work_never_takes_the_place_of_one_that_does() {
    let sandbox = builder()
        .template(
            Template::new("fleet")
                .parameter("SerialNumber")
                .leaves_inactive(),
        )
        .start()
        .unwrap();
    let mut device = grown_up(&sandbox, CertificateKind::Valid, json!({"csr": true}));
    device.start();
    device.wait_for_log("connected to");
    let old = preferred(&device);
    drop_file(&device.path("commands"), "reprovision", "");
    let reason = device.path("commands/failed/.reprovision.reason");
    wait_for("the command has failed", Duration::from_secs(150), || {
        fs::read_to_string(&reason)
            .is_ok_and(|text| text.contains("the new certificate does not work"))
    });
    assert_eq!(preferred(&device), old);
    assert!(device.runs());
}

/// Starts it again until the command is carried out.
#[track_caller]
fn finish_renewal(device: &mut Device) {
    for _ in 0..4 {
        device.start();
        let begun = Instant::now();
        while device.runs() {
            if device.logged("was carried out when the certificate of the last start") > 0 {
                device.stop();
                return;
            }
            assert!(begun.elapsed() < LONG, "{}", device.log());
            thread::sleep(Duration::from_millis(2));
        }
        match device.exit_code() {
            Some(0) => return,
            code => assert_eq!(code, Some(111)),
        }
    }
    panic!("never renewed: {}", device.log());
}

#[test]
fn a_kill_at_any_step_of_a_renewal_leaves_a_device_that_works() {
    let steps: [Step; 6] = [STEPS[3], STEPS[4], STEPS[6], STEPS[7], STEPS[8], STEPS[12]];
    println!("killed when: certificates made in all");
    for (name, reached) in steps {
        let sandbox = sandbox();
        let slow = ProvisioningTrouble::Delay(Duration::from_millis(60));
        sandbox
            .provisioning()
            .fault(ProvisioningFault::always(slow));
        let mut device = grown_up(&sandbox, CertificateKind::Valid, json!({}));
        let notify = format!("touch {}; sleep 0.2", device.path("notified").display());
        configure(&mut device, json!({"csr": true, "notifycmd": notify}));
        let watchman = Watchman::new(device.certstore());
        device.start();
        device.wait_for_log("connected to");
        let old = preferred(&device).unwrap();
        drop_file(&device.path("commands"), "reprovision", "");
        let hit = kill_at(&mut device, &sandbox, (name, reached));
        if hit {
            finish_renewal(&mut device);
        }
        start_until_connected(&mut device, &sandbox);
        assert_it_works(&device, &sandbox);
        assert_ne!(preferred(&device).unwrap(), old, "{name}");
        assert_eq!(watchman.leaks(), [""; 0], "{name}");
        let count = created(&sandbox);
        println!("{name:<32} {count}");
        assert!(count <= 2, "{name}: {count}");
        let staged = [
            "it is staged",
            "the answer is stored",
            "the notify command runs",
        ];
        assert!(!staged.contains(&name) || count == 1, "{name}: {count}");
    }
}

#[test]
fn a_certificate_that_ends_soon_is_renewed_by_itself() {
    let sandbox = sandbox();
    let day = Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    let old = CertificateKind::Between(now - day * 300, now + day * 20);
    let mut device = grown_up(&sandbox, old, json!({"csr": true}));
    device.option("--renew-before", 30).start();
    let old = wait_for_preferred(&device);
    assert_eq!(device.exit_code(), Some(0));
    assert!(
        device.log().contains("the certificate expires in 19 days"),
        "{}",
        device.log()
    );
    assert_ne!(preferred(&device).unwrap(), old);
    device.start();
    device.wait_for_log("connected to");
    assert_it_works(&device, &sandbox);
    assert_eq!(created(&sandbox), 1, "and not again");
}

#[track_caller]
fn wait_for_preferred(device: &Device) -> String {
    wait_for("preferred is made", LONG, || preferred(device).is_some());
    preferred(device).unwrap()
}

#[test]
fn the_log_says_in_words_that_a_certificate_ends_has_ended_or_is_not_valid_yet() {
    let day = Duration::from_secs(86_400);
    for (kind, part) in [
        (
            CertificateKind::ValidFor(day * 6),
            "the certificate expires in 5 days, on 20",
        ),
        (
            CertificateKind::Expired,
            "the certificate has expired on 2001",
        ),
        (
            CertificateKind::NotYetValid,
            "the certificate is not valid before 2090",
        ),
    ] {
        let sandbox = sandbox();
        let mut device = grown_up(&sandbox, kind, json!({}));
        device.start();
        device.wait_for_log(part);
    }
}

#[test]
fn a_store_that_cannot_be_written_asks_the_cloud_for_nothing() {
    let sandbox = sandbox();
    let mut device = newborn(&sandbox, json!({}));
    let Some(disk) = common::tmpfs::Tmpfs::mount(&device.certstore(), "64k") else {
        return;
    };
    fs::write(
        device.certstore().join("endpoint.txt"),
        format!("localhost:{}\n", sandbox.port()),
    )
    .unwrap();
    for read_only in [true, false] {
        if read_only {
            disk.read_only(true);
        } else {
            disk.fill();
        }
        device.start();
        assert_eq!(device.exit_code(), Some(111));
        assert_eq!(created(&sandbox), 0);
        if read_only {
            disk.read_only(false);
        } else {
            disk.empty();
        }
    }
    assert!(
        device.log().contains("cannot make room for a certificate"),
        "{}",
        device.log()
    );
    start_until_connected(&mut device, &sandbox);
    assert_it_works(&device, &sandbox);
    device.stop();
}
