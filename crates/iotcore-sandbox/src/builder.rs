//! The settings of a sandbox before its start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::access::{Access, AccessSettings};
use crate::broker::{Broker, Clock, Moment, Service};
use crate::cloud::provisioning::{Provisioner, Provisioning, Registrar, Template};
use crate::cloud::shadow::{FileSync, Shadows};
use crate::journal::Journal;
use crate::limits::Limits;
use crate::net::{Hub, Ports, Rules, Server, Tls};
use crate::pki::{Pki, ServerCertificate};
use crate::policy::Policies;
use crate::sandbox::Sandbox;

/// Configures a [`Sandbox`]. The defaults are those of AWS, on any free port.
#[must_use = "a sandbox begins with start()"]
pub struct Builder {
    ports: Ports,
    dir: Option<PathBuf>,
    shadow_dir: Option<PathBuf>,
    limits: Limits,
    speed: f64,
    keep: usize,
    rules: Rules,
    certificate: ServerCertificate,
    templates: Vec<Template>,
    services: Vec<Box<dyn Service>>,
    pub(crate) access: AccessSettings,
    largest_frame: usize,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            ports: Ports::default(),
            dir: None,
            shadow_dir: None,
            limits: Limits::default(),
            speed: 1.0,
            keep: usize::MAX,
            rules: Rules::default(),
            certificate: ServerCertificate::Valid,
            templates: vec![Template::default()],
            services: Vec::new(),
            access: AccessSettings::default(),
            largest_frame: 64 * 1024,
        }
    }
}

impl Builder {
    /// The port to listen on; 0, the default, for any that is free.
    pub fn port(mut self, port: u16) -> Builder {
        self.ports.mqtt = port;
        self
    }

    /// The port that is as AWS's 443; 0, the default, for any that is free. ALPN decides what is spoken there:
    /// `x-amzn-mqtt-ca` MQTT with a client certificate, `mqtt` MQTT with a custom authoriser, `http/1.1` or nothing MQTT
    /// over WebSocket.
    pub fn wss_port(mut self, port: u16) -> Builder {
        self.ports.web = port;
        self
    }

    /// The directory of the CA. An existing CA is used again. Default: a temporary directory.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Builder {
        self.dir = Some(dir.as_ref().to_path_buf());
        self
    }

    /// Keeps the shadows as files in this directory, which is created if necessary: `THING.desired.json` and
    /// `THING.reported.json`, for named shadows `THING~NAME.desired.json` and so on, replaced after each change. To change
    /// what is desired as an operator, edit a `.desired.json` in place or by renaming: within a second exactly the
    /// content of the file is desired. A new file creates a new shadow. A file that is not a JSON object is recorded as
    /// [`Event::ShadowFile`](crate::Event::ShadowFile) and ignored until it is corrected. Files that exist at the start
    /// are shadows from the start, with versions from 1. Default: no files.
    pub fn shadow_dir(mut self, dir: impl AsRef<Path>) -> Builder {
        self.shadow_dir = Some(dir.as_ref().to_path_buf());
        self
    }

    pub fn limits(mut self, limits: Limits) -> Builder {
        self.limits = limits;
        self
    }

    /// Changes single limits: `.limit(|limits| limits.connect_interval = Duration::ZERO)`.
    pub fn limit(mut self, change: impl FnOnce(&mut Limits)) -> Builder {
        change(&mut self.limits);
        self
    }

    /// How many times faster than this machine's clock the cloud's clock runs: keep-alives, session and message expiry,
    /// the pace of stored messages and the interval of CONNECTs shrink accordingly, and timestamps run ahead.
    ///
    /// # Panics
    /// When `speed` is not a positive number.
    pub fn clock_speed(mut self, speed: f64) -> Builder {
        assert!(speed.is_finite() && speed > 0.0, "a clock runs forwards");
        self.speed = speed;
        self
    }

    /// Keeps at least this many records, and removes the oldest ones. Default: keeps all.
    pub fn keep_records(mut self, count: usize) -> Builder {
        self.keep = count;
        self
    }

    /// Requires ALPN `x-amzn-mqtt-ca`, as AWS does on port 443.
    pub fn require_alpn(mut self) -> Builder {
        self.rules.alpn = true;
        self
    }

    /// Requires a server name in the TLS handshake.
    pub fn require_sni(mut self) -> Builder {
        self.rules.sni = true;
        self
    }

    /// The server's certificate.
    pub fn server_certificate(mut self, certificate: ServerCertificate) -> Builder {
        self.certificate = certificate;
        self
    }

    /// Adds a template of fleet provisioning, or replaces the one of the same name. The default template always exists.
    pub fn template(mut self, template: Template) -> Builder {
        self.templates.push(template);
        self
    }

    /// Adds a service of the cloud; several see each publish in the order in which they were added.
    pub fn service(mut self, service: impl Service + 'static) -> Builder {
        self.services.push(Box::new(service));
        self
    }

    /// The port of the credential provider; 0, the default, for any that is free.
    pub fn credential_port(mut self, port: u16) -> Builder {
        self.ports.credentials = port;
        self
    }

    /// Most bytes of one WebSocket message that is sent; several packets may share one. With 1, every byte has a message
    /// of its own.
    ///
    /// # Panics
    /// When it is 0.
    pub fn largest_frame(mut self, bytes: usize) -> Builder {
        assert!(bytes > 0, "a message has a byte at least");
        self.largest_frame = bytes;
        self
    }

    /// Starts the sandbox, which listens on the loopback interface.
    pub fn start(self) -> anyhow::Result<Sandbox> {
        let pki = Arc::new(Pki::open(self.dir.as_deref())?);
        let (certificate, key) = pki.server(self.certificate)?;
        let tls = Tls::new(self.rules, pki.ca_certificate_pem(), &certificate, &key)?;
        let journal = Arc::new(Journal::new(self.keep));
        let largest = self.limits.packet;
        let clock = Clock::new(moment(), self.speed);
        let shadows = Shadows::new(self.limits.shadow.clone(), Arc::clone(&journal));
        let limits = self.limits.provisioning.clone();
        let registrar = Registrar::new(Arc::clone(&pki), clock, limits, self.templates);
        let provisioner = Provisioner::new(registrar, Arc::clone(&journal));
        let provisioning = Provisioning::new(provisioner.clone(), Arc::clone(&journal));
        let mut services: Vec<Box<dyn Service>> =
            vec![Box::new(shadows.clone()), Box::new(provisioner)];
        services.extend(self.services);
        let policies = Policies::new(pki.claims().clone());
        let access = Arc::new(Access::new(self.access));
        let broker = Broker::new(
            self.limits,
            clock,
            Arc::clone(&access),
            services,
            policies,
            Arc::clone(&journal),
        );
        let statuses = pki.statuses().clone();
        let sizes = (largest, self.largest_frame);
        let hub = Arc::new(Hub::new(broker, journal, tls, statuses, access, sizes));
        let file_sync = match &self.shadow_dir {
            Some(dir) => Some(FileSync::start(dir, Arc::clone(&hub), shadows.clone())?),
            None => None,
        };
        let server = Server::start(self.ports, Arc::clone(&hub))?;
        Ok(Sandbox::new(
            server,
            hub,
            pki,
            shadows,
            provisioning,
            file_sync,
        ))
    }
}

/// The cloud's clock starts at this machine's time.
fn moment() -> Moment {
    let epoch = SystemTime::UNIX_EPOCH;
    // A clock before the epoch counts as one at the epoch.
    let cloud = epoch.elapsed().unwrap_or(Duration::ZERO);
    Moment {
        now: Instant::now(),
        cloud,
    }
}
