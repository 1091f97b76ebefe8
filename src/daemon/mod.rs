//! The composition root: reads certificates, makes the handles, starts the tasks, and waits for
//! the first of them to end or for a signal.

mod certificates;
mod check;

use std::time::Duration;

use anyhow::Context;
use log::info;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::config::Config;
use crate::exit::Exit;
use crate::mqtt::{self, End, Mqtt};
use crate::publish::{Jammed, Publisher};
use crate::shortage;

pub use check::check;

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

async fn supervise(config: &Config) -> Result<Exit, Exit> {
    let endpoint = certificates::endpoint(config).map_err(Exit::Config)?;
    let (tls, certificate) = certificates::choose(config, &endpoint)?;
    let options = mqtt::Options {
        client_id: config.client_id.clone(),
        endpoint,
        version: config.version,
        keep_alive: config.keep_alive,
        session_expiry: Duration::ZERO,
        last_will: config.last_will.clone(),
        attempts: config.attempts,
    };
    let (mqtt, session) = Mqtt::new(options, tls);
    let mut publishers = JoinSet::new();
    for options in &config.messages {
        let publisher = Publisher::new(options.clone(), mqtt.clone()).map_err(unusable)?;
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
        certificates::rotate(config, certificate);
    }
    Ok(exit)
}

/// A directory that cannot be used: a person must act, or the machine has to recover.
fn unusable(problem: anyhow::Error) -> Exit {
    let passing = shortage::is_in(&problem) || shortage::is_of_disk(&problem);
    if passing {
        Exit::Unready(problem)
    } else {
        Exit::Config(problem)
    }
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
