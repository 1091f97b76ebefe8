//! A mosquitto with mutual TLS, and what connects to it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use iotcore_sandbox::{CertificateKind, Pki, Sandbox, ServerCertificate};
use tempfile::TempDir;

use crate::wait::wait_for;

/// Where mosquitto is, also for users who have no `sbin` in theirs.
pub const PATH: &str = "/usr/sbin:/usr/local/sbin:/usr/bin:/bin";

/// Ends with the value.
pub struct Broker {
    /// Only its certificates are used.
    sandbox: Sandbox,
    dir: TempDir,
    port: u16,
    process: Child,
}

impl Broker {
    /// # Errors
    /// mosquitto is not installed, or does not start.
    pub fn start() -> Result<Broker> {
        let sandbox = Sandbox::start()?;
        let dir = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        configure(sandbox.pki(), dir.path(), port)?;
        let process = Command::new("mosquitto")
            .env("PATH", PATH)
            .arg("-c")
            .arg(dir.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start mosquitto, install it with: apt install mosquitto")?;
        let broker = Broker {
            sandbox,
            dir,
            port,
            process,
        };
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        if !wait_for(Duration::from_secs(10), listens) {
            bail!("mosquitto does not listen");
        }
        Ok(broker)
    }

    pub fn pki(&self) -> &Pki {
        self.sandbox.pki()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client of mosquitto's, with all that it takes to connect. Each line that it prints comes at once.
    pub fn client(&self, program: &str) -> Command {
        let file = |name: &str| self.dir.path().join(name);
        let mut command = Command::new("stdbuf");
        command
            .args(["-oL", program])
            .args(["-h", "localhost", "-p", &self.port.to_string()])
            .arg("--cafile")
            .arg(self.pki().ca_file())
            .arg("--cert")
            .arg(file("client.crt"))
            .arg("--key")
            .arg(file("client.key"));
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configure(pki: &Pki, dir: &Path, port: u16) -> Result<()> {
    let (certificate, key) = pki.server(ServerCertificate::Valid)?;
    let client = pki.issue(CertificateKind::Valid);
    for (name, text) in [
        ("server.crt", &certificate),
        ("server.key", &key),
        ("client.crt", &client.certificate_pem),
        ("client.key", &client.private_key_pem),
    ] {
        fs::write(dir.join(name), text)?;
    }
    let (here, ca) = (dir.display(), pki.ca_file().display());
    let text = format!(
        "listener {port} 127.0.0.1\ncafile {ca}\ncertfile {here}/server.crt\nkeyfile {here}/server.key\n\
         require_certificate true\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n\
         user root\nset_tcp_nodelay true\n"
    );
    fs::write(dir.join("mosquitto.conf"), text)?;
    Ok(())
}
