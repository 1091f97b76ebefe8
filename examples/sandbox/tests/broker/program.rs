//! The program that people run.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

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
    let shadows = dir.path().join("shadow");
    assert_eq!(
        line(&mut output),
        format!("shadows: {}\n", shadows.display())
    );
    let endpoint = std::fs::read_to_string(dir.path().join("certstore/endpoint.txt")).unwrap();
    assert_eq!(endpoint, format!("localhost:{port}\n"));

    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(line(&mut output), "connection opened [connection 1]\n");
    interrupt(child);
}

#[test]
fn it_keeps_its_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let certstore = || {
        let (child, mut output) = start(dir.path());
        let last = [line(&mut output), line(&mut output), line(&mut output)][2].clone();
        interrupt(child);
        last
    };
    assert_eq!(certstore(), certstore());
}

#[test]
fn it_makes_shadows_of_files_and_complains_about_broken_ones() {
    let dir = tempfile::tempdir().unwrap();
    let shadows = dir.path().join("shadow");
    std::fs::create_dir(&shadows).unwrap();
    std::fs::write(shadows.join("t.desired.json"), "{\"a\":1}").unwrap();
    std::fs::write(shadows.join("u.desired.json"), "{a}").unwrap();
    let mut child = command(dir.path()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    (0..4).for_each(|_| drop(line(&mut output)));
    assert_eq!(
        line(&mut output),
        "shadow t: update asked, 0 in flight (for an operator)\n"
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

#[test]
fn it_explains_itself() {
    let run = |argument: &str| {
        Command::new(env!("CARGO_BIN_EXE_iotcore-sandbox"))
            .arg(argument)
            .output()
            .unwrap()
    };
    assert!(
        String::from_utf8(run("--help").stdout)
            .unwrap()
            .starts_with("usage: iotcore-sandbox")
    );
    let unknown = run("--prot");
    assert!(!unknown.status.success());
    assert!(
        String::from_utf8(unknown.stderr)
            .unwrap()
            .contains("unknown argument '--prot'")
    );
}
