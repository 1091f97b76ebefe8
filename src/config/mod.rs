//! From the command line to a configuration in which everything is typed, resolved and known to be
//! possible. All usage errors come from here, and all of them are told at once.

mod announcements;
mod directories;
mod inboxes;
mod messages;
mod shadows;
mod split;
mod subscriptions;
mod supervision;
mod tunnels;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use self::directories::Directories;
use crate::cli::Cli;
use crate::identity::Endpoint;
use crate::inbox;
use crate::mqtt::{Birth, LastWill, MOST_CONNECTIONS, Version};
use crate::publish;
use crate::shadow;
use crate::subscribe;
use crate::supervision::SupervisionOptions as Lifecycle;
use crate::tunnel;

/// Everything that the daemon needs to know. Files and directories are not looked at yet.
#[derive(Debug)]
pub struct Config {
    pub client_id: String,
    pub roots: PathBuf,
    pub certificate: CertificateSource,
    /// Where to find the broker, when it is not the store that says so.
    pub endpoint: Option<Endpoint>,
    pub version: Version,
    pub keep_alive: Duration,
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
    pub supervision: Lifecycle,
    /// The action directory of commands.
    pub commands: Option<PathBuf>,
    pub check: bool,
}

/// Where the certificate comes from. Without a store there is an explicit certificate and endpoint.
#[derive(Debug)]
pub struct CertificateSource {
    pub store: Option<PathBuf>,
    /// Certificate and key file.
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
        let config = Config {
            client_id: client_id(cli, &mut problems),
            roots: problems.mandatory(
                "cacert",
                cli.cacert.as_ref(),
                "the PEM file of the endpoint's root CA",
            ),
            certificate: certificate(cli, &mut problems),
            endpoint: problems.optional("endpoint", cli.endpoint.as_ref(), Endpoint::from_str),
            version: problems
                .optional("mqtt", cli.mqtt.as_ref(), version)
                .unwrap_or(Version::V5),
            keep_alive: problems
                .optional("keepalive", cli.keepalive.as_ref(), |text| {
                    seconds(text, 5, 65_535)
                })
                .unwrap_or(Duration::from_secs(1200)),
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

/// What is wrong with the command line, one sentence each.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, option: &str, value: &str, why: &str) {
        self.0.push(format!("--{option}={value}: {why}"));
    }

    fn missing(&mut self, option: &str, what: &str) {
        self.0.push(format!("--{option} is missing: {what}"));
    }

    fn mandatory(&mut self, option: &str, value: Option<&String>, what: &str) -> PathBuf {
        match value {
            Some(value) if value.is_empty() => self.add(option, value, "is empty"),
            Some(_) => {}
            None => self.missing(option, what),
        }
        value.map(PathBuf::from).unwrap_or_default()
    }

    fn optional<T>(
        &mut self,
        option: &str,
        value: Option<&String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value?;
        read(value)
            .map_err(|why| self.add(option, value, &why))
            .ok()
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

fn certificate(cli: &Cli, problems: &mut Problems) -> CertificateSource {
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
    let alone = explicit.is_some() && cli.endpoint.is_some();
    if cli.certstore.is_none() && !alone && cli.cert.is_some() == cli.key.is_some() {
        problems.missing(
            "certstore",
            "the certificate store, unless --cert, --key and --endpoint are all given",
        );
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

fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let wanted = if most == u32::MAX {
        format!("use a number from {least}")
    } else {
        format!("use a number from {least} to {most}")
    };
    let number: u32 = text
        .parse()
        .map_err(|_| format!("'{text}' is no such number, {wanted}"))?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("out of range, {wanted}"))
    }
}

fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let bound = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    number(text, bound(least), bound(most)).map(|count| count as usize)
}

fn seconds(text: &str, least: u32, most: u32) -> Result<Duration, String> {
    number(text, least, most)
        .map(|seconds| Duration::from_secs(seconds.into()))
        .map_err(|why| format!("{why}, in seconds"))
}

/// A path without the slashes at its end, so that `/var/mqtt/` and `/var/mqtt` are one directory.
fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() && !path.is_empty() {
        "/"
    } else {
        trimmed
    }
}

/// The same directory, whatever it is called, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
