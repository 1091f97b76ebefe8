//! A TPM 2 in software, behind its resource manager on a bus of its own, and tpm2-pkcs11 before it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{LONG, wait_for};

const PIN: &str = "s3cr3t-1234";
const MODULES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1",
    "/usr/lib/aarch64-linux-gnu/libtpm2_pkcs11.so.1",
    "/usr/lib/libtpm2_pkcs11.so.1",
];
const PROGRAMS: [&str; 4] = ["swtpm", "tpm2-abrmd", "dbus-daemon", "tpm2_ptool"];

/// With one token, `chariot`.
pub struct SoftTpm {
    dir: TempDir,
    module: PathBuf,
    port: u16,
    bus: Child,
    address: String,
    /// Resource manager and TPM.
    running: Vec<Child>,
}

impl SoftTpm {
    /// `None`, and a line that says so: the packages are missing.
    pub fn start() -> Option<SoftTpm> {
        let module = MODULES.iter().map(PathBuf::from).find(|it| it.is_file());
        let missing = PROGRAMS.iter().find(|name| {
            let places = ["/usr/bin", "/usr/sbin"];
            !places
                .iter()
                .any(|it| PathBuf::from(it).join(name).is_file())
        });
        let (Some(module), None) = (module, missing) else {
            eprintln!(
                "skipped: a TPM in software is not installed (apt install swtpm tpm2-abrmd dbus libtss2-tcti-tabrmd0 libtss2-tcti-swtpm0 libtpm2-pkcs11-1 libtpm2-pkcs11-tools)"
            );
            return None;
        };
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            // That it may not have more files is nothing to us.
            .stderr(Stdio::null())
            .spawn()
            .expect("a bus");
        let mut address = String::new();
        let mut lines = BufReader::new(bus.stdout.take().expect("its output"));
        lines.read_line(&mut address).expect("its address");
        let mut tpm = SoftTpm {
            dir: tempfile::tempdir().expect("a temporary directory"),
            module,
            port: free_ports(),
            bus,
            address: address.trim().to_owned(),
            running: Vec::new(),
        };
        for name in ["state", "store"] {
            fs::create_dir(tpm.path(name)).expect("a directory");
        }
        fs::write(tpm.path("pin"), PIN).expect("a PIN");
        fs::set_permissions(tpm.path("pin"), fs::Permissions::from_mode(0o600)).expect("its mode");
        tpm.plug_in();
        tpm.tool(&["init"]);
        tpm.tool(&[
            "addtoken",
            "--pid=1",
            "--sopin=5678",
            "--userpin",
            PIN,
            "--label=chariot",
        ]);
        Some(tpm)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the TPM, with what it had before.
    pub fn plug_in(&mut self) {
        let (tpm, control) = (self.port, self.port + 1);
        let state = format!("dir={}", self.path("state").display());
        let on = |port: u16| format!("type=tcp,port={port},bindaddr=127.0.0.1");
        let mut swtpm = Command::new("swtpm");
        swtpm.args([
            "socket",
            "--tpm2",
            "--tpmstate",
            &state,
            "--server",
            &on(tpm),
        ]);
        swtpm.args([
            "--ctrl",
            &on(control),
            "--flags",
            "not-need-init,startup-clear",
        ]);
        self.running
            .push(swtpm.stdout(Stdio::null()).spawn().expect("swtpm"));
        wait_for("the TPM listens", LONG, || {
            TcpStream::connect(("127.0.0.1", control)).is_ok()
        });
        let mut manager = Command::new("tpm2-abrmd");
        let tcti = format!("--tcti=swtpm:host=127.0.0.1,port={tpm}");
        manager
            .args(["--session", "--allow-root", &tcti])
            .stderr(Stdio::null());
        self.environment(&mut manager);
        self.running.insert(0, manager.spawn().expect("tpm2-abrmd"));
        wait_for("the resource manager is on the bus", LONG, || {
            self.names().contains("com.intel.tss2.Tabrmd")
        });
    }

    fn names(&self) -> String {
        let mut send = Command::new("dbus-send");
        send.args([
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.DBus",
            "/org/freedesktop/DBus",
        ]);
        send.arg("org.freedesktop.DBus.ListNames");
        self.environment(&mut send);
        let output = send.output().expect("dbus-send");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Ends it, as if it were pulled out.
    pub fn pull_out(&mut self) {
        for mut child in self.running.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("TPM2_PKCS11_STORE", self.path("store"))
            .env("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session")
            .env("TPM2TOOLS_TCTI", "tabrmd:bus_type=session")
    }

    fn tool(&self, arguments: &[&str]) {
        let mut tool = Command::new("tpm2_ptool");
        let output = self
            .environment(&mut tool)
            .args(arguments)
            .output()
            .expect("tpm2_ptool");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }

    /// `kind`: `ecc256`, `rsa2048`.
    pub fn make_key(&self, kind: &str, label: &str) {
        self.tool(&[
            "addkey",
            "--algorithm",
            kind,
            "--label=chariot",
            "--userpin",
            PIN,
            "--key-label",
            label,
        ]);
    }

    /// The address of a key: `attributes` go before the `?`.
    pub fn uri(&self, attributes: &str) -> String {
        format!(
            "pkcs11:{attributes}?module-path={}&pin-source=file:{}",
            self.module.display(),
            self.path("pin").display()
        )
    }
}

impl Drop for SoftTpm {
    fn drop(&mut self) {
        self.pull_out();
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

/// The first of two neighbours.
fn free_ports() -> u16 {
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port));
    let pair = || {
        let first = bind(0).ok()?;
        let port = first.local_addr().ok()?.port();
        bind(port.checked_add(1)?).ok().map(|_| port)
    };
    std::iter::repeat_with(pair)
        .flatten()
        .next()
        .expect("two ports")
}
