//! The composition root: reads certificates, makes the handles, starts the tasks, and waits for
//! the first of them to end or for a signal.

use std::ffi::OsString;

use anyhow::Context;
use log::{error, info, warn};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::certstore::{Certstore, read_credentials, starting_with};
use crate::config::Config;
use crate::exit::Exit;
use crate::identity::Endpoint;
use crate::mqtt::{self, End, Mqtt, Tls, read_roots};
use crate::publish::{Jammed, Letterhead, Publisher};

/// Runs until a signal or until a task ends.
pub fn run(config: Config) -> Exit {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Exit::Broken(anyhow::Error::new(error).context("cannot start the runtime"));
        }
    };
    let exit = match runtime.block_on(supervise(&config)) {
        Ok(exit) | Err(exit) => exit,
    };
    // A name look-up may hang in a thread of its own: do not wait for it.
    runtime.shutdown_background();
    exit
}

/// Reads everything that a start would read and returns one sentence for each problem.
pub fn check(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let mut note = |result: anyhow::Result<()>| {
        if let Err(problem) = result {
            problems.push(format!("{problem:#}"));
        }
    };
    note(read_roots(&config.roots).map(drop));
    let endpoint = endpoint(config);
    match &endpoint {
        Ok(_) => {}
        Err(problem) => note(Err(anyhow::anyhow!("{problem:#}"))),
    }
    // The certificates can be checked without an endpoint.
    let endpoint = endpoint.unwrap_or_else(|_| Endpoint {
        host: "unknown".into(),
        port: 8883,
    });
    match candidates(config) {
        Err(problem) => note(Err(problem)),
        Ok((candidates, notes)) => {
            notes
                .into_iter()
                .for_each(|text| note(Err(anyhow::anyhow!(text))));
            if candidates.is_empty() {
                note(Err(anyhow::anyhow!("{}", no_certificate(config))));
            }
            if read_roots(&config.roots).is_ok() {
                candidates
                    .iter()
                    .for_each(|one| note(one.tls(config, &endpoint).map(drop)));
            }
        }
    }
    for options in &config.messages {
        note(check_directory(&options.dir));
        if let Some(letterhead) = &options.letterhead {
            note(check_letterhead(letterhead));
        }
    }
    problems
}

fn check_directory(dir: &std::path::Path) -> anyhow::Result<()> {
    let meta = std::fs::metadata(dir)
        .with_context(|| format!("cannot use {}, create it first", dir.display()))?;
    anyhow::ensure!(meta.is_dir(), "{} is not a directory", dir.display());
    for name in ["tmp", "new", "failed"] {
        let path = dir.join(name);
        if let Ok(meta) = std::fs::metadata(&path) {
            anyhow::ensure!(meta.is_dir(), "{} is not a directory", path.display());
        }
    }
    Ok(())
}

fn check_letterhead(letterhead: &Letterhead) -> anyhow::Result<()> {
    match letterhead {
        Letterhead::File(path) => crate::publish::check_letterhead(path),
        Letterhead::Generator(command) if command.is_absolute() => {
            use std::os::unix::fs::PermissionsExt;
            let meta = std::fs::metadata(command).with_context(|| {
                format!("cannot use letterhead generator {}", command.display())
            })?;
            let executable = meta.is_file() && meta.permissions().mode() & 0o111 != 0;
            anyhow::ensure!(
                executable,
                "letterhead generator {} is not executable",
                command.display()
            );
            Ok(())
        }
        Letterhead::Generator(_) => Ok(()),
    }
}

/// A certificate that may be used, with its id in the store if it comes from there.
struct Candidate {
    id: Option<OsString>,
    certificate: std::path::PathBuf,
    key: std::path::PathBuf,
}

impl Candidate {
    fn tls(&self, config: &Config, endpoint: &Endpoint) -> anyhow::Result<Tls> {
        let credentials = read_credentials(&self.certificate, &self.key)?;
        Tls::new(&config.roots, &credentials, endpoint)
    }
}

/// The certificates in the order in which they are tried, and what is wrong with the store.
fn candidates(config: &Config) -> anyhow::Result<(Vec<Candidate>, Vec<String>)> {
    if let Some((certificate, key)) = &config.certificate.explicit {
        let explicit = Candidate {
            id: None,
            certificate: certificate.clone(),
            key: key.clone(),
        };
        return Ok((vec![explicit], Vec::new()));
    }
    let Some(dir) = &config.certificate.store else {
        return Ok((Vec::new(), Vec::new()));
    };
    let store = Certstore::new(dir);
    let contents = store.contents()?;
    let candidates = starting_with(contents.certificates, store.preferred().as_deref())
        .into_iter()
        .map(|one| Candidate {
            id: Some(one.id),
            certificate: one.certificate_file,
            key: one.key_file,
        });
    Ok((candidates.collect(), contents.problems))
}

fn endpoint(config: &Config) -> anyhow::Result<Endpoint> {
    match (&config.endpoint, &config.certificate.store) {
        (Some(endpoint), _) => Ok(endpoint.clone()),
        (None, Some(store)) => Certstore::new(store).endpoint(),
        (None, None) => anyhow::bail!("--endpoint is missing"),
    }
}

fn no_certificate(config: &Config) -> Exit {
    Exit::NoCertificate(config.certificate.store.clone().unwrap_or_default())
}

/// The first certificate that can be used. `preferred` then points at it.
fn identity(config: &Config, endpoint: &Endpoint) -> Result<(Tls, Option<OsString>), Exit> {
    read_roots(&config.roots).map_err(Exit::Config)?;
    let (candidates, notes) = candidates(config).map_err(Exit::Config)?;
    for note in notes {
        warn!("{note}");
    }
    for candidate in candidates {
        match candidate.tls(config, endpoint) {
            Ok(tls) => {
                if let (Some(store), Some(id)) = (&config.certificate.store, &candidate.id)
                    && let Err(problem) = Certstore::new(store).prefer(id)
                {
                    warn!("{problem:#}");
                }
                return Ok((tls, candidate.id));
            }
            Err(problem) if candidate.id.is_none() => return Err(Exit::Config(problem)),
            Err(problem) => error!("certificate skipped: {problem:#}"),
        }
    }
    Err(no_certificate(config))
}

async fn supervise(config: &Config) -> Result<Exit, Exit> {
    let endpoint = endpoint(config).map_err(Exit::Config)?;
    let (tls, certificate) = identity(config, &endpoint)?;
    let options = mqtt::Options {
        client_id: config.client_id.clone(),
        endpoint,
        version: config.version,
        keep_alive: config.keep_alive,
        session_expiry: std::time::Duration::ZERO,
        last_will: config.last_will.clone(),
        attempts: config.attempts,
    };
    let (mqtt, session) = Mqtt::new(options, tls);
    let mut publishers = JoinSet::new();
    for options in &config.messages {
        let publisher = Publisher::new(options.clone(), mqtt.clone()).map_err(Exit::Config)?;
        publishers.spawn(publisher.run());
    }
    let mut signals = Signals::new().map_err(Exit::Broken)?;
    let mut session = tokio::spawn(session.run());
    let exit = tokio::select! {
        exit = signals.stop() => exit,
        end = &mut session => ended(end),
        Some(jammed) = publishers.join_next() => match jammed {
            Ok(Jammed(dir)) => Exit::Jammed(dir),
            Err(fault) => broken(fault),
        },
    };
    leave(&exit, &mqtt, publishers, session).await;
    if exit.rotates() {
        rotate(config, certificate);
    }
    Ok(exit)
}

fn ended(end: Result<End, JoinError>) -> Exit {
    match end {
        Ok(End::GivenUp { failures, rotate }) => Exit::LinkLost { failures, rotate },
        Ok(End::Stopped) => Exit::Broken(anyhow::anyhow!("the session ended by itself")),
        Err(fault) => broken(fault),
    }
}

fn broken(fault: JoinError) -> Exit {
    Exit::Broken(anyhow::Error::new(fault).context("a task failed"))
}

/// Stops taking requests; then says goodbye, or leaves the will to the broker.
async fn leave(
    exit: &Exit,
    mqtt: &Mqtt,
    mut publishers: JoinSet<Jammed>,
    session: JoinHandle<End>,
) {
    publishers.abort_all();
    if exit.says_goodbye() {
        mqtt.disconnect().await;
    }
    session.abort();
}

fn rotate(config: &Config, in_use: Option<OsString>) {
    let (Some(dir), Some(in_use)) = (&config.certificate.store, in_use) else {
        return;
    };
    match Certstore::new(dir).rotate(&in_use) {
        Ok(Some(next)) => info!("the next start uses certificate {}", next.to_string_lossy()),
        Ok(None) => {}
        Err(problem) => error!("{problem:#}"),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Resolves when asked to stop.
    async fn stop(&mut self) -> Exit {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Exit::Stopped("SIGTERM"),
                _ = self.interrupt.recv() => return Exit::Stopped("SIGINT"),
                _ = self.hang_up.recv() => info!("SIGHUP: no shadow to fetch again"),
            }
        }
    }
}
