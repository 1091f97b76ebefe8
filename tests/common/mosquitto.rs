//! A real mosquitto with mutual TLS, and a subscriber that sees everything.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use iotcore_sandbox::{CertificateKind, Pki, Sandbox, ServerCertificate};
use tempfile::TempDir;

use super::broker::Delivery;
use super::{LONG, wait_for};

pub struct Mosquitto {
    /// Only its certificates are used.
    sandbox: Sandbox,
    dir: TempDir,
    port: u16,
    websockets: u16,
    broker: Option<Child>,
    subscriber: Option<Child>,
    seen: Arc<Mutex<Vec<Delivery>>>,
}

impl Mosquitto {
    /// `None`, and a line about it, where mosquitto is not installed.
    pub fn start() -> Option<Mosquitto> {
        Mosquitto::start_with(None, "TLSv1.3")
    }

    /// The same with a highest version of TLS, as OpenSSL calls it.
    pub fn up_to(tls: &str) -> Option<Mosquitto> {
        Mosquitto::start_with(None, tls)
    }

    /// The same with a second port, for WebSockets and a user's password instead of certificates.
    pub fn with_websockets(user: &str, password: &str) -> Option<Mosquitto> {
        Mosquitto::start_with(Some((user, password)), "TLSv1.3")
    }

    fn start_with(user: Option<(&str, &str)>, tls: &str) -> Option<Mosquitto> {
        let Some(program) = program() else {
            eprintln!(
                "skipped: mosquitto is not installed (apt install mosquitto mosquitto-clients)"
            );
            return None;
        };
        let mut mosquitto = Mosquitto {
            sandbox: Sandbox::start().expect("the sandbox's certificates"),
            dir: tempfile::tempdir().expect("a temporary directory"),
            port: free_port(),
            websockets: free_port(),
            broker: None,
            subscriber: None,
            seen: Arc::default(),
        };
        mosquitto.configure(user, tls);
        mosquitto.start_broker(&program);
        mosquitto.start_subscriber();
        Some(mosquitto)
    }

    pub fn pki(&self) -> &Pki {
        self.sandbox.pki()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn websockets(&self) -> u16 {
        self.websockets
    }

    fn configure(&self, user: Option<(&str, &str)>, tls: &str) {
        let (certificate, key) = self
            .pki()
            .server(ServerCertificate::Valid)
            .expect("a server certificate");
        let own = self.pki().issue(CertificateKind::Valid);
        for (name, text) in [
            ("server.crt", &certificate),
            ("server.key", &key),
            ("client.crt", &own.certificate_pem),
            ("client.key", &own.private_key_pem),
        ] {
            fs::write(self.dir.path().join(name), text).expect("a file");
        }
        let dir = self.dir.path().display();
        let mut text = format!(
            "per_listener_settings {apart}\nlistener {port} 127.0.0.1\ncafile {ca}\ncertfile {dir}/server.crt\nkeyfile {dir}/server.key\n\
             require_certificate true\nallow_anonymous true\npersistence true\npersistence_location {dir}/\n\
             max_queued_messages 0\nuser root\nlog_type all\nlog_dest file {dir}/log\n",
            apart = user.is_some(),
            port = self.port,
            ca = self.pki().ca_file().display(),
        );
        if let Some((user, password)) = user {
            let _ = write!(
                text,
                "listener {} 127.0.0.1\nprotocol websockets\ncafile {}\ncertfile {dir}/server.crt\n\
                 keyfile {dir}/server.key\nallow_anonymous false\npassword_file {dir}/users\n",
                self.websockets,
                self.pki().ca_file().display(),
            );
            let made = Command::new("mosquitto_passwd")
                .args(["-b", "-c", &format!("{dir}/users"), user, password])
                .status();
            assert!(made.is_ok_and(|status| status.success()), "a password file");
        }
        fs::write(self.dir.path().join("mosquitto.conf"), text).expect("a configuration");
        // It has an option for the lowest version only.
        let text = format!(
            "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = {tls}\n"
        );
        fs::write(self.dir.path().join("openssl.cnf"), text).expect("a configuration");
    }

    fn start_broker(&mut self, program: &PathBuf) {
        let broker = Command::new(program)
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .env("OPENSSL_CONF", self.dir.path().join("openssl.cnf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        self.broker = Some(broker);
        wait_for("mosquitto listens", LONG, || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn start_subscriber(&mut self) {
        let file = |name: &str| self.dir.path().join(name);
        // Its output is a pipe, which it would fill before it writes a line.
        let mut subscriber = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub"])
            .args([
                "-h",
                "localhost",
                "-p",
                &self.port.to_string(),
                "-i",
                "subscriber",
                "-q",
                "1",
                "-c",
            ])
            .args(["-V", "mqttv311", "-t", "#", "-F", "%t %x", "-d"])
            .arg("--cafile")
            .arg(self.pki().ca_file())
            .arg("--cert")
            .arg(file("client.crt"))
            .arg("--key")
            .arg(file("client.key"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub starts");
        let lines = BufReader::new(subscriber.stdout.take().expect("its output"));
        let (seen, (ready, subscribed)) = (self.seen.clone(), std::sync::mpsc::channel());
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if line.starts_with("Subscribed") {
                    let _ = ready.send(());
                }
                if let Some(delivery) = delivery(&line) {
                    seen.lock().expect("the deliveries").push(delivery);
                }
            }
        });
        self.subscriber = Some(subscriber);
        subscribed
            .recv_timeout(LONG)
            .expect("the subscriber subscribes");
    }

    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Delivery> {
        let come = || self.seen.lock().expect("the deliveries").len();
        wait_for(&format!("{count} messages came"), limit, || come() >= count);
        self.seen.lock().expect("the deliveries").clone()
    }

    /// The topics of all that devices published, from the broker's own log. Its subscriber's session
    /// does not survive every restart whole.
    pub fn received_topics(&self) -> Vec<String> {
        let log = fs::read(self.dir.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines = log
            .lines()
            .filter(|line| line.contains("Received PUBLISH from device-"));
        lines
            .filter_map(|line| Some(line.split('\'').nth(1)?.to_owned()))
            .collect()
    }

    /// SIGTERM, so that it saves its sessions; then a new one on the same port.
    pub fn restart(&mut self, pause: Duration) {
        if let Some(mut broker) = self.broker.take() {
            let id = i32::try_from(broker.id()).expect("a process id");
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(id),
                nix::sys::signal::Signal::SIGTERM,
            );
            let _ = broker.wait();
        }
        thread::sleep(pause);
        self.start_broker(&program().expect("it was there before"));
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        for mut child in [self.subscriber.take(), self.broker.take()]
            .into_iter()
            .flatten()
        {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `topic hex` from the subscriber's format; its other lines are debug output.
fn delivery(line: &str) -> Option<Delivery> {
    let (topic, hex) = line.rsplit_once(' ')?;
    let digits = hex.len() % 2 == 0 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits || topic.contains(' ') {
        return None;
    }
    let payload = (0..hex.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok());
    Some(Delivery {
        topic: topic.to_owned(),
        payload: payload.collect(),
    })
}

fn program() -> Option<PathBuf> {
    let places = [
        "/usr/sbin/mosquitto",
        "/usr/local/sbin/mosquitto",
        "/usr/bin/mosquitto",
    ];
    places.iter().map(PathBuf::from).find(|path| path.exists())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}
