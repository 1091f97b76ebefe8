//! A token in software: SoftHSM in a directory of its own, behind a module that fails when it is told to.
#![allow(dead_code, reason = "every test file uses another part of this")]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chariotd_pkcs11::protocol::{Answer, Request, read_frame, write_frame};

use tempfile::TempDir;

pub const PIN: &str = "s3cr3t-1234";
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];

/// With the label `chariot`, and without a key.
pub struct SoftToken {
    dir: TempDir,
    softhsm: PathBuf,
}

impl SoftToken {
    /// `None`, and a line that says so: the packages are missing.
    pub fn new() -> Option<SoftToken> {
        let softhsm = MODULES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file());
        let tool = Command::new("pkcs11-tool").arg("--help").output();
        let (Some(softhsm), Ok(_)) = (softhsm, tool) else {
            eprintln!("skipped: SoftHSM or OpenSC is not installed (apt install softhsm2 opensc)");
            return None;
        };
        let token = SoftToken {
            dir: tempfile::tempdir().unwrap(),
            softhsm,
        };
        fs::create_dir(token.path("tokens")).unwrap();
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            token.path("tokens").display()
        );
        fs::write(token.path("softhsm2.conf"), configuration).unwrap();
        token.write_pin(PIN);
        let source = Path::new(file!()).with_file_name("unsteady.c");
        let source = ["", "../.."].map(|above| {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(above)
                .join(&source)
        });
        let source = source.into_iter().find(|path| path.is_file()).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-w", "-o"])
            .arg(token.module())
            .arg(source)
            .arg("-ldl");
        run(&mut compiler);
        token.add("chariot");
        Some(token)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The one that can be told to fail.
    pub fn module(&self) -> PathBuf {
        self.path("libunsteady.so")
    }

    /// Another token behind the same module.
    pub fn add(&self, label: &str) {
        let mut tool = Command::new("softhsm2-util");
        tool.args([
            "--init-token",
            "--free",
            "--so-pin",
            "5678",
            "--pin",
            PIN,
            "--label",
            label,
        ]);
        run(self.environment(&mut tool));
    }

    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .env("SOFTHSM", &self.softhsm)
            .env("UNSTEADY", self.dir.path())
    }

    /// The command that starts a program in this environment.
    pub fn with_environment(&self, program: &Path) -> String {
        let mut command = Command::new(program);
        let variables = self.environment(&mut command).get_envs();
        let shown = variables.map(|(name, value)| {
            format!("{}={}", name.display(), value.unwrap_or_default().display())
        });
        format!(
            "/usr/bin/env {} {}",
            shown.collect::<Vec<_>>().join(" "),
            program.display()
        )
    }

    /// `kind` as pkcs11-tool has it: `EC:prime256v1`, `EC:secp384r1`, `rsa:2048`.
    pub fn make_key(&self, kind: &str, label: &str, id: &str) {
        self.tool(&[
            "--keypairgen",
            "--key-type",
            kind,
            "--label",
            label,
            "--id",
            id,
        ]);
    }

    /// What pkcs11-tool says.
    pub fn tool(&self, arguments: &[&str]) -> String {
        let mut tool = Command::new("pkcs11-tool");
        tool.arg("--module").arg(&self.softhsm);
        tool.args(["--token-label", "chariot", "--login", "--pin", PIN]);
        run(self.environment(&mut tool).args(arguments))
    }

    /// A certificate for the key with this id, by the CA in `ca.pem` and `ca.key` of a directory. `helper`: the
    /// program, which tells the public key.
    pub fn certificate(&self, id: &str, ca: &Path, helper: &Path) -> String {
        let uri = self.uri(&format!("token=chariot;id=%{id}"));
        let mut helper = Command::new(helper);
        self.environment(&mut helper);
        certificate(&uri, ca, helper)
    }

    pub fn write_pin(&self, pin: &str) {
        let path = self.path("pin");
        fs::write(&path, format!("{pin}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The address of a key: `attributes` go before the `?`.
    pub fn uri(&self, attributes: &str) -> String {
        format!(
            "pkcs11:{attributes}?module-path={}&pin-source=file:{}",
            self.module().display(),
            self.path("pin").display()
        )
    }

    /// Tells the module to fail: `absent`, `locked`, `last`, `hang`.
    pub fn tell(&self, what: &str) {
        fs::write(self.path(what), "").unwrap();
    }

    pub fn untell(&self, what: &str) {
        fs::remove_file(self.path(what)).unwrap();
    }

    /// How often somebody has shown a PIN to it.
    pub fn logins(&self) -> usize {
        fs::read_to_string(self.path("logins"))
            .unwrap_or_default()
            .lines()
            .count()
    }
}

/// What it prints.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A certificate for the key at this address, by the CA in `ca.pem` and `ca.key` of a directory.
pub fn certificate(uri: &str, ca: &Path, helper: Command) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::write(file("der"), public_key(uri, helper)).unwrap();
    fs::write(file("ext"), "basicConstraints=CA:FALSE\n").unwrap();
    let mut openssl = Command::new("openssl");
    openssl
        .args(["pkey", "-pubin", "-inform", "DER", "-in"])
        .arg(file("der"));
    run(openssl.arg("-out").arg(file("pem")));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "x509",
        "-new",
        "-subj",
        "/CN=device",
        "-days",
        "3650",
        "-force_pubkey",
    ]);
    openssl.arg(file("pem")).arg("-CA").arg(ca.join("ca.pem"));
    openssl
        .arg("-CAkey")
        .arg(ca.join("ca.key"))
        .arg("-extfile")
        .arg(file("ext"));
    run(openssl.arg("-out").arg(file("crt")));
    fs::read_to_string(file("crt")).unwrap()
}

fn public_key(uri: &str, mut helper: Command) -> Vec<u8> {
    let (mut socket, stdin) = UnixStream::pair().unwrap();
    let mut child = helper
        .stdin(Stdio::from(OwnedFd::from(stdin)))
        .spawn()
        .unwrap();
    drop(helper);
    let uri = uri.parse().unwrap();
    let request = Request::Identity { uri, hint: None };
    write_frame(&mut socket, &request.encode()).unwrap();
    let body = read_frame(&mut socket).unwrap().expect("an answer");
    drop(socket);
    child.wait().unwrap();
    match Answer::decode(&body).unwrap() {
        Answer::Identity(identity) => identity.public_key,
        other => panic!("{other:?}"),
    }
}
