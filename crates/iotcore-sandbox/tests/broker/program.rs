//! The sandbox as a program.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use iotcore_sandbox::{Issued, Sandbox, Version};
use serde_json::{Value, json};

use crate::common::sigv4::{Key, target};
use crate::common::web::head;
use crate::common::{ConnectPacket, Device, Seen, anonymous, config, tls};

fn command(dir: &Path) -> Command {
    let program = env!("CARGO_BIN_EXE_iotcore-sandbox");
    let mut command = Command::new(program);
    command
        .args(["--port", "0", "--dir"])
        .arg(dir)
        .stdout(Stdio::piped());
    command
}

fn start(dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = command(dir).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line
}

/// Ends it as Ctrl-C does.
fn interrupt(mut child: Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_says_where_everything_is_and_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let (child, mut output) = start(dir.path());
    let listening = line(&mut output);
    let port: u16 = listening
        .trim()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(line(&mut output).starts_with("CA certificate: "));
    assert!(line(&mut output).starts_with("certstore: "));
    assert!(line(&mut output).starts_with("claim: "));
    let shadows = dir.path().join("shadow");
    assert_eq!(
        line(&mut output),
        format!("shadows: {}\n", shadows.display())
    );
    for store in ["certstore", "claim"] {
        let endpoint = dir.path().join(store).join("endpoint.txt");
        let endpoint = std::fs::read_to_string(endpoint).unwrap();
        assert_eq!(endpoint, format!("localhost:{port}\n"));
    }

    let wss = line(&mut output);
    let wss = wss
        .strip_prefix("WebSocket and authorisers: localhost:")
        .unwrap();
    assert!(wss.trim().parse::<u16>().unwrap() > 0);
    let keys = dir.path().join("aws-credentials");
    assert_eq!(
        line(&mut output),
        format!("access key: {} for eu-west-1\n", keys.display())
    );
    assert!(
        std::fs::read_to_string(keys)
            .unwrap()
            .starts_with("[default]\naws_access_key_id = AKIA")
    );
    assert!(line(&mut output).starts_with("credential provider: https://localhost:"));

    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(line(&mut output), "connection opened [connection 1]\n");
    interrupt(child);
}

#[test]
fn it_keeps_its_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = || {
        let (child, mut output) = start(dir.path());
        let mut greeting: Vec<String> = (0..4).map(|_| line(&mut output)).collect();
        interrupt(child);
        greeting.split_off(2)
    };
    assert_eq!(certificates(), certificates());
}

#[test]
fn it_provisions_new_devices() {
    let dir = tempfile::tempdir().unwrap();
    let (child, mut output) = start(dir.path());
    let greeting: Vec<String> = (0..5).map(|_| line(&mut output)).collect();
    let port = greeting[0].trim().rsplit(':').next().unwrap();
    let id = greeting[3].trim().rsplit(' ').next().unwrap();
    let file = |end: &str| {
        let file = dir.path().join(format!("claim/{id}/{id}-{end}"));
        std::fs::read_to_string(file).unwrap()
    };
    let claim = Issued {
        id: id.to_owned(),
        certificate_pem: file("certificate.pem.crt"),
        private_key_pem: file("private.pem.key"),
    };
    // For its CA, which is the same.
    let other = Sandbox::builder().dir(dir.path()).start().unwrap();
    let config = config(&other, &claim);
    let mut device = Device::open_at(port.parse().unwrap(), Version::V5, config);
    device.send_connect(&ConnectPacket::new(Version::V5, "new"));
    assert!(matches!(device.next(), Seen::Connack { code: 0, .. }));
    let topics = [
        "$aws/certificates/create/json",
        "$aws/provisioning-templates/fleet/provision/json",
    ];
    let accepted = topics.map(|topic| format!("{topic}/accepted"));
    device.subscribe(&[(&accepted[0], 0), (&accepted[1], 0)]);
    device.publish(topics[0], b"", 0);
    let answer: Value = serde_json::from_str(&device.message().1).unwrap();
    let request = json!({
        "certificateOwnershipToken": answer["certificateOwnershipToken"],
        "parameters": { "SerialNumber": "42" },
    });
    device.publish(topics[1], request.to_string().as_bytes(), 0);
    let answer: Value = serde_json::from_str(&device.message().1).unwrap();
    assert_eq!(answer["thingName"], "device-42");

    let packet_id = device.publish("telemetry", b"", 1);
    let code = 0x87;
    assert_eq!(device.next(), Seen::Puback { packet_id, code });
    interrupt(child);
}

#[test]
fn it_makes_shadows_of_files_and_reports_invalid_ones() {
    let dir = tempfile::tempdir().unwrap();
    let shadows = dir.path().join("shadow");
    std::fs::create_dir(&shadows).unwrap();
    std::fs::write(shadows.join("t.desired.json"), "{\"a\":1}").unwrap();
    std::fs::write(shadows.join("u.desired.json"), "{a}").unwrap();
    let mut child = command(dir.path()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    (0..8).for_each(|_| drop(line(&mut output)));
    assert_eq!(
        line(&mut output),
        "shadow t: update requested, 0 in flight (for an operator)\n"
    );
    let ignored = format!(
        "ignored {}: not JSON",
        shadows.join("u.desired.json").display()
    );
    assert!(line(&mut errors).starts_with(&ignored));
    interrupt(child);
    assert_eq!(
        std::fs::read_to_string(shadows.join("t.reported.json")).unwrap(),
        "{}\n"
    );
}

/// Runs it to its end: exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iotcore-sandbox"));
    let output = command.args(arguments).output().unwrap();
    let [out, errors] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, errors)
}

#[test]
fn it_explains_itself() {
    for option in ["--help", "-h"] {
        let (code, help, errors) = run(&[option]);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert!(help.starts_with("A local AWS IoT Core"), "{help}");
        assert!(
            help.contains("\nUsage: iotcore-sandbox [OPTIONS]\n"),
            "{help}"
        );
        let defaults = ["[default: 8883]", "[default: iotcore-sandbox]"];
        let options = [
            "--port <PORT>",
            "--dir <DIR>",
            "--wss-port <PORT>",
            "--credential-provider-port <PORT>",
            "--credential-lifetime <SECONDS>",
            "--authorizer <NAME[,...]>",
            "--clock-skew <SECONDS>",
            "--region <REGION>",
        ];
        for text in options.iter().chain(&defaults) {
            assert!(help.contains(text), "{text} in {help}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_named_with_the_reason_and_the_remedy() {
    let check = |arguments: &[&str], expected: &str| {
        let (code, out, errors) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(
            errors.starts_with(&format!("error: {expected}")),
            "{errors}"
        );
        assert!(errors.contains("try '--help'"), "{errors}");
    };
    check(&["--prot"], "unexpected argument '--prot' found");
    check(&["cloud"], "unexpected argument 'cloud' found");
    check(&["--port"], "a value is required for '--port <PORT>'");
    check(
        &["--port", "65536"],
        "invalid value '65536' for '--port <PORT>': 65536 is not in 0..=65535",
    );
}

#[test]
fn what_keeps_it_from_starting_is_named_with_the_reason_and_the_remedy() {
    let check = |arguments: &[&str], expected: [&str; 3]| {
        let (code, out, errors) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        for text in expected {
            assert!(errors.contains(text), "{text} in {errors}");
        }
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    check(
        &["--dir", "/dev/null/cloud"],
        [
            "--dir=/dev/null/cloud: ",
            "Not a directory",
            "; choose a directory",
        ],
    );
    check(
        &["--authorizer", "gate,token=s3cret,pasword-file=F"],
        [
            "--authorizer=gate: ",
            "unknown setting 'pasword-file'",
            ", use token-key",
        ],
    );
    let (dir, sandbox) = (tempfile::tempdir().unwrap(), Sandbox::start().unwrap());
    let port = sandbox.port().to_string();
    check(
        &["--port", &port, "--dir", dir.path().to_str().unwrap()],
        [&format!("port {port}"), "in use", "; choose another port"],
    );
}

#[test]
fn the_last_one_of_a_repeated_option_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(Path::new("/dev/null/cloud"));
    let mut child = command.arg("--dir").arg(dir.path()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert!(line(&mut output).starts_with("listening on localhost:"));
    interrupt(child);
}

#[test]
fn it_admits_by_the_access_key_that_it_keeps_and_by_authorisers() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(dir.path());
    command.args([
        "--authorizer",
        "gate,token=t",
        "--authorizer",
        "door,default",
    ]);
    command.args(["--clock-skew", "-3600"]);
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let greeting: Vec<String> = (0..8).map(|_| line(&mut output)).collect();
    let port = greeting[5]
        .trim()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let other = Sandbox::builder().dir(dir.path()).start().unwrap();

    let connack = |username: &str| {
        let config = anonymous(&other, &["mqtt"]);
        let mut device = Device::open_at(port, Version::V5, config);
        device.send_connect(&ConnectPacket::new(Version::V5, "pump").with_login(username, ""));
        match device.next() {
            Seen::Connack { code, .. } => code,
            seen => panic!("{seen:?} instead of a CONNACK"),
        }
    };
    let name = "x-amz-customauthorizer-name=gate";
    assert_eq!(connack(&format!("pump?{name}&token=t")), 0);
    assert_eq!(connack(&format!("pump?{name}&token=u")), 0x87);

    let text = std::fs::read_to_string(dir.path().join("aws-credentials")).unwrap();
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim_start_matches(" = ").to_owned()
    };
    let key = Key {
        id: value("aws_access_key_id"),
        secret: value("aws_secret_access_key"),
        token: None,
    };
    let answer = |later| {
        let request = head(&target(&key, later));
        let mut stream = tls(port, anonymous(&other, &[]));
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    assert_eq!(answer(-3600), "HTTP/1.1 101");
    assert_eq!(answer(0), "HTTP/1.1 403");
    interrupt(child);
}
