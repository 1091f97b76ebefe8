//! Proxies: real ones, and one of our own that can be told to misbehave.

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use iotcore_sandbox::{Pki, ServerCertificate};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{LONG, wait_for};

/// How long a proxy may take to end.
const TIDYING: Duration = Duration::from_secs(5);

/// Whom the real ones know, when they want to know anybody.
pub const USER: &str = "dev";
pub const PASSWORD: &str = "s3cr3t";

/// A proxy in a process of its own, on a port of 127.0.0.1. Ends with its value.
pub struct ProxyProcess {
    child: Option<Child>,
    dir: TempDir,
    command: fn(&Path) -> Command,
    pub port: u16,
}

impl ProxyProcess {
    /// `None`, and a line about it, where the program is not installed.
    fn start(
        package: &str,
        command: fn(&Path) -> Command,
        prepare: impl FnOnce(&Path, u16),
    ) -> Option<ProxyProcess> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Some go on as another user.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("its mode");
        let port = free_port();
        prepare(dir.path(), port);
        let mut proxy = ProxyProcess {
            child: None,
            dir,
            command,
            port,
        };
        proxy.resume(package).then_some(proxy)
    }

    /// Starts it again after [`ProxyProcess::stop`].
    pub fn resume(&mut self, package: &str) -> bool {
        let mut command = (self.command)(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let Ok(child) = command.stderr(Stdio::null()).spawn() else {
            eprintln!("skipped: {package} is not installed (apt install {package})");
            return false;
        };
        self.child = Some(child);
        let port = self.port;
        wait_for(&format!("{package} listens"), LONG, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        true
    }

    /// Ends it, and with it every tunnel. It may tidy up: squid has files in `/dev/shm`.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let id = i32::try_from(child.id()).expect("a process id");
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        let asked = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && asked.elapsed() < TIDYING {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Its address, without a user.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }

    pub fn url_with_user(&self, scheme: &str) -> String {
        format!("{scheme}://{USER}@localhost:{}", self.port)
    }
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tunnels to `target` only; `login`: for [`USER`] only.
pub fn tinyproxy(target: u16, login: bool) -> Option<ProxyProcess> {
    let command = |dir: &Path| {
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(dir.join("conf"));
        command
    };
    ProxyProcess::start("tinyproxy", command, |dir, port| {
        let login = match login {
            true => format!("BasicAuth {USER} {PASSWORD}\n"),
            false => String::new(),
        };
        let text = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 50\nTimeout 600\n\
             LogLevel Critical\nConnectPort {target}\n{login}"
        );
        fs::write(dir.join("conf"), text).expect("a configuration");
    })
}

/// For [`USER`] only, and to `target` only. `tls`: with a certificate of the broker's CA.
pub fn squid(target: u16, tls: Option<&Pki>) -> Option<ProxyProcess> {
    let command = |dir: &Path| {
        let mut command = Command::new("squid");
        // Debian keeps it from the path of other users.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        // Its files in /dev/shm have this name, and it has letters and digits.
        let name = dir.file_name().expect("a name").to_string_lossy();
        command.arg("-n").arg(name.trim_matches('.'));
        command.arg("-N").arg("-f").arg(dir.join("conf"));
        command
    };
    ProxyProcess::start("squid-openssl", command, |dir, port| {
        let shown = dir.display();
        let listen = match tls {
            None => format!("http_port 127.0.0.1:{port}"),
            Some(pki) => {
                write_certificate(pki, dir);
                format!("https_port 127.0.0.1:{port} tls-cert={shown}/both.pem")
            }
        };
        let hashed = Command::new("openssl")
            .args(["passwd", "-apr1", PASSWORD])
            .output()
            .expect("openssl");
        let hashed = String::from_utf8_lossy(&hashed.stdout).into_owned();
        fs::write(dir.join("users"), format!("{USER}:{hashed}")).expect("a file of users");
        let text = format!(
            "{listen}\n\
             auth_param basic program /usr/lib/squid/basic_ncsa_auth {shown}/users\n\
             acl authed proxy_auth REQUIRED\nacl ok port {target}\nacl CONNECT method CONNECT\n\
             http_access deny CONNECT !ok\nhttp_access allow authed\nhttp_access deny all\n\
             pid_filename none\naccess_log none\ncache_log /dev/null\ncache deny all\n\
             pinger_enable off\nsslproxy_session_cache_size 0 MB\nvisible_hostname localhost\nshutdown_lifetime 0 seconds\n"
        );
        fs::write(dir.join("conf"), text).expect("a configuration");
    })
}

/// TLS, with a certificate of the broker's CA, before something else on 127.0.0.1.
pub fn stunnel(pki: &Pki, behind: u16) -> Option<ProxyProcess> {
    let command = |dir: &Path| {
        let mut command = Command::new("stunnel");
        command.arg(dir.join("conf"));
        command
    };
    ProxyProcess::start("stunnel4", command, |dir, port| {
        write_certificate(pki, dir);
        let text = format!(
            "foreground = yes\npid =\ndebug = 3\n[p]\naccept = 127.0.0.1:{port}\n\
             connect = 127.0.0.1:{behind}\ncert = {}/both.pem\n",
            dir.display()
        );
        fs::write(dir.join("conf"), text).expect("a configuration");
    })
}

/// SOCKS5; `login`: for [`USER`] only.
pub fn microsocks(login: bool) -> Option<ProxyProcess> {
    let command = |dir: &Path| {
        let options = fs::read_to_string(dir.join("options")).expect("its options");
        let mut command = Command::new("microsocks");
        command.args(options.split_whitespace());
        command
    };
    ProxyProcess::start("microsocks", command, |dir, port| {
        let login = match login {
            true => format!("-u {USER} -P {PASSWORD}"),
            false => String::new(),
        };
        let text = format!("-i 127.0.0.1 -p {port} {login}");
        fs::write(dir.join("options"), text).expect("a file");
    })
}

/// Certificate and key in one file.
fn write_certificate(pki: &Pki, dir: &Path) {
    let (certificate, key) = pki
        .server(ServerCertificate::Valid)
        .expect("a certificate for a server");
    let file = dir.join("both.pem");
    fs::write(&file, certificate + &key).expect("a file");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("its mode");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}
