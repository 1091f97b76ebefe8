//! From the command line to a configuration in which everything is typed, resolved and known to be
//! possible. All usage errors come from here, and all of them are reported at once.

mod access;
mod announcements;
mod directories;
mod inboxes;
mod keys;
mod messages;
mod problems;
mod proxy;
mod route;
pub mod run_time;
mod shadows;
mod split;
mod subscriptions;
mod supervision;
mod tunnels;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use self::directories::Directories;
use crate::cli::Cli;
use crate::identity::{Endpoint, Keyring, MQTTS};
use crate::inbox;
use crate::mqtt::{AccessOptions, Birth, LastWill, MOST_CONNECTIONS, Version};
use crate::net::{ProxyOptions, Route};
use crate::publish;
use crate::shadow;
use crate::subscribe;
use crate::supervision::SupervisionOptions;
use crate::tunnel;
use problems::Problems;
use values::{count, number, seconds, trimmed};

/// Everything that the daemon needs to know. Files and directories are not looked at yet.
#[derive(Debug)]
pub struct Config {
    pub client_id: String,
    pub roots: PathBuf,
    pub certificate: CertificateSource,
    /// Who holds keys in tokens.
    pub keyring: Keyring,
    /// Where to find the broker, when it is not the store that says so.
    pub endpoint: Option<Endpoint>,
    /// Where the broker is when nothing names a port.
    pub default_port: u16,
    /// How the broker learns who we are. `None`: by our certificate.
    pub access: Option<AccessOptions>,
    /// How every connection leaves the device.
    pub route: Route,
    pub proxy: ProxyOptions,
    pub version: Version,
    /// `None`: what fits the way to the broker.
    pub keep_alive: Option<Duration>,
    pub last_will: Option<LastWill>,
    pub birth: Option<Birth>,
    pub attempts: u32,
    /// What is published a second at most; 0 for any number. `None`: what fits the endpoint.
    pub publish_rate: Option<u32>,
    pub publish_bytes_rate: Option<u32>,
    /// Connections at most.
    pub connections: usize,
    /// The configuration of fleet provisioning.
    pub fleetprov: Option<PathBuf>,
    /// Renew the certificate when less time is left. `None`: never.
    pub renew_before: Option<Duration>,
    pub messages: Vec<publish::MessagesOptions>,
    pub shadows: Vec<shadow::ShadowOptions>,
    pub inboxes: Vec<inbox::InboxOptions>,
    pub subscriptions: Vec<subscribe::HandlerOptions>,
    /// One for each thing.
    pub tunnels: Vec<tunnel::TunnelOptions>,
    pub supervision: SupervisionOptions,
    /// The action directory of commands.
    pub commands: Option<PathBuf>,
    pub check: bool,
}

/// Where the certificate comes from. Without a store there is an explicit certificate and endpoint.
#[derive(Debug)]
pub struct CertificateSource {
    pub store: Option<PathBuf>,
    /// Certificate file, and the key's file or its address in a token.
    pub explicit: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// # Errors
    /// Every problem of the command line: the option, its value, what is wrong and what would be
    /// right.
    pub fn new(cli: &Cli) -> Result<Config, Vec<String>> {
        let mut problems = Problems::default();
        let connections = problems
            .optional("max-connections", cli.max_connections.as_ref(), |text| {
                count(text, 1, MOST_CONNECTIONS)
            })
            .unwrap_or(4);
        let access = access::resolve(cli, &environment, &mut problems);
        let default_port = access.as_ref().map_or(MQTTS, |_| access::HTTPS);
        let config = Config {
            client_id: client_id(cli, &mut problems),
            roots: problems.mandatory(
                "cacert",
                cli.cacert.as_ref(),
                "the PEM file of the endpoint's root CA",
            ),
            certificate: certificate(cli, access.as_ref(), &mut problems),
            keyring: keys::resolve(cli, &mut problems),
            endpoint: problems.optional("endpoint", cli.endpoint.as_ref(), |text| {
                Endpoint::read(text, default_port)
            }),
            default_port,
            access,
            route: route::resolve(cli, &mut problems),
            proxy: proxy::resolve(cli, &mut problems),
            version: problems
                .optional("mqtt", cli.mqtt.as_ref(), version)
                .unwrap_or(Version::V5),
            keep_alive: problems.optional("keepalive", cli.keepalive.as_ref(), |text| {
                seconds(text, 5, 65_535)
            }),
            last_will: announcements::last_will(cli, &mut problems),
            birth: announcements::birth(cli, &mut problems),
            attempts: problems
                .optional("connect-attempts", cli.connect_attempts.as_ref(), |text| {
                    number(text, 0, u32::MAX)
                })
                .unwrap_or(5),
            publish_rate: problems.optional("publish-rate", cli.publish_rate.as_ref(), |text| {
                number(text, 0, 1_000_000)
            }),
            publish_bytes_rate: problems.optional(
                "publish-bytes-rate",
                cli.publish_bytes_rate.as_ref(),
                |text| number(text, 0, u32::MAX),
            ),
            connections,
            fleetprov: fleetprov(cli, &mut problems),
            renew_before: renew_before(cli, &mut problems),
            messages: messages::resolve(cli, &mut problems),
            shadows: shadows::resolve(cli, &mut problems),
            inboxes: inboxes::resolve(cli, connections, &mut problems),
            subscriptions: subscriptions::resolve(cli, &mut problems),
            tunnels: tunnels::resolve(cli, &mut problems),
            supervision: supervision::resolve(cli, &mut problems),
            commands: cli.commands.as_deref().map(|dir| trimmed(dir).into()),
            check: cli.check,
        };
        config.claim_directories(&mut problems);
        let further = connections > 1 && !cli.subscribe_spool.is_empty();
        if further && config.client_id.len() > 125 {
            problems.0.push(
                "--clientid: is longer than 125 bytes, and further connections put '_N' behind it, use a shorter one or --max-connections=1"
                    .to_owned(),
            );
        }
        if problems.0.is_empty() {
            Ok(config)
        } else {
            Err(problems.0)
        }
    }
}

impl Config {
    fn claim_directories(&self, problems: &mut Problems) {
        let mut directories = Directories::default();
        for messages in &self.messages {
            directories.claim("messages", &messages.dir, problems);
        }
        for dir in self.shadows.iter().flat_map(|shadow| &shadow.updates) {
            directories.claim("updates", dir, problems);
        }
        for inbox in &self.inboxes {
            directories.claim("subscribe-spool", &inbox.dir, problems);
        }
        if let Some(dir) = &self.commands {
            directories.claim("commands", dir, problems);
        }
    }
}

fn client_id(cli: &Cli, problems: &mut Problems) -> String {
    let what = "the MQTT client id, unique for each device, such as its serial number";
    match &cli.clientid {
        None => problems.missing("clientid", what),
        Some(id) if id.is_empty() => problems.add("clientid", id, "is empty"),
        Some(id) if id.len() > 128 => problems.add("clientid", id, "is longer than 128 bytes"),
        Some(id) if id.starts_with('$') => {
            problems.add("clientid", id, "begins with '$', which AWS reserves")
        }
        Some(id) if id.chars().any(char::is_control) => {
            problems.add(
                "clientid",
                &id.escape_default().to_string(),
                "contains a control character",
            );
        }
        Some(_) => {}
    }
    cli.clientid.clone().unwrap_or_default()
}

/// A variable that is set to something.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn certificate(
    cli: &Cli,
    access: Option<&AccessOptions>,
    problems: &mut Problems,
) -> CertificateSource {
    let explicit = match (&cli.cert, &cli.key) {
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        (None, None) => None,
        (Some(_), None) => {
            problems.missing("key", "--cert needs the private key that belongs to it");
            None
        }
        (None, Some(_)) => {
            problems.missing("cert", "--key needs the certificate that belongs to it");
            None
        }
    };
    let needed = access.is_none_or(AccessOptions::needs_certificate);
    let alone = (explicit.is_some() || !needed) && cli.endpoint.is_some();
    if cli.certstore.is_none() && !alone && cli.cert.is_some() == cli.key.is_some() {
        let what = if needed {
            "the certificate store, unless --cert, --key and --endpoint are all given"
        } else {
            "the directory with endpoint.txt, unless --endpoint is given"
        };
        problems.missing("certstore", what);
    }
    CertificateSource {
        store: cli.certstore.as_ref().map(PathBuf::from),
        explicit,
    }
}

fn fleetprov(cli: &Cli, problems: &mut Problems) -> Option<PathBuf> {
    let file = cli.fleetprov.as_ref()?;
    if file.is_empty() {
        problems.add("fleetprov", file, "is empty, name the configuration file");
    }
    if cli.certstore.is_none() {
        problems.missing("certstore", "--fleetprov puts the new certificate there");
    }
    if cli.cert.is_some() {
        problems
            .0
            .push("--cert: is used instead of what --fleetprov gets, use one of them".to_owned());
    }
    if cli.clientid.as_ref().is_some_and(|id| id.len() > 125) {
        problems.0.push(
            "--clientid: is longer than 125 bytes, and --fleetprov puts '-fp' behind it".to_owned(),
        );
    }
    Some(file.into())
}

fn renew_before(cli: &Cli, problems: &mut Problems) -> Option<Duration> {
    let text = cli.renew_before.as_ref();
    let days = problems.optional("renew-before", text, |text| {
        number(text, 0, 36_500).map_err(|why| format!("{why}, in days"))
    })?;
    if days > 0 && cli.fleetprov.is_none() {
        problems.missing("fleetprov", "--renew-before renews by fleet provisioning");
    }
    (days > 0).then(|| Duration::from_secs(86_400 * u64::from(days)))
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "5" => Ok(Version::V5),
        "3.1.1" => Ok(Version::V311),
        _ => Err("unknown protocol version, use 5 or 3.1.1".into()),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
