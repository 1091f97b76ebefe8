//! The composition root: reads certificates, makes the handles, starts the tasks, and waits for
//! the first of them to end or for a signal.

mod certificates;
mod check;
mod first_certificate;
mod hangups;
mod inboxes;
mod reaper;
mod renew;
mod renewal;
mod signals;

use std::time::Duration;

use log::info;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::clock::{now, reached};
use crate::command::{Command, Commands, PendingCommand};
use crate::config::Config;
use crate::exit::Exit;
use crate::identity::Endpoint;
use crate::mqtt::{self, Mqtt, Rates, SessionEnd};
use crate::publish::{self, Publisher};
use crate::shadow::ShadowAgent;
use crate::spool::disks::Disks;
use crate::subscribe::Listener;
use crate::supervision::{Reporter, Supervisor};
use crate::transient;
use crate::tunnel::{self, CommandKind, Tunnels};

pub use check::check;
use hangups::Hangups;
use renew::{RenewalEvent, Renewer};
use signals::{SignalRequest, Signals};

/// For acknowledgements of what is in flight when the daemon is asked to stop.
const DRAIN: Duration = Duration::from_secs(1);
/// For that and DISCONNECT together.
const DISCONNECT_LIMIT: Duration = Duration::from_millis(1400);
/// The disk has so long to remove what was acknowledged before the end.
const LAST_ORDERS: Duration = Duration::from_millis(500);
/// All of the way out, whoever does not answer; at least so long for what comes last.
const LEAVE: Duration = Duration::from_millis(1600);
const LEAST: Duration = Duration::from_millis(200);

/// Runs until a signal or until a task ends.
pub fn run(config: Config) -> Exit {
    // Before anything is opened that could have the number of its descriptor.
    let supervisor = match Supervisor::adopt(config.supervision.notify_fd) {
        Ok(supervisor) => supervisor,
        Err(error) => return Exit::Config(error),
    };
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Exit::Broken(anyhow::Error::new(error).context("cannot start the runtime"));
        }
    };
    let exit = match runtime.block_on(supervise(&config, &supervisor)) {
        Ok(exit) | Err(exit) => exit,
    };
    // A name look-up may hang in a thread of its own: do not wait for it.
    runtime.shutdown_background();
    exit
}

async fn supervise(config: &Config, supervisor: &Supervisor) -> Result<Exit, Exit> {
    let mut signals = Signals::new().map_err(Exit::Broken)?;
    tokio::spawn(reaper::run());
    let settings = first_certificate::settings(config).map_err(Exit::Config)?;
    let completed = match &settings {
        None => None,
        Some(settings) => tokio::select! {
            completed = first_certificate::complete(config, settings) => completed,
            signal = signals.stop() => return Ok(Exit::Stopped(signal)),
        },
    };
    let endpoint = certificates::endpoint(config).map_err(Exit::Config)?;
    let options = connection(config, endpoint);
    let (tls, certificate) = match certificates::choose(config, &options.endpoint) {
        Ok(chosen) => chosen,
        Err(none @ Exit::NoCertificate(_)) => {
            let job = settings
                .and_then(|settings| first_certificate::job(config, settings, options, false));
            return match job {
                None => Err(none),
                Some(job) => tokio::select! {
                    exit = first_certificate::first(job) => Ok(exit),
                    signal = signals.stop() => Ok(Exit::Stopped(signal)),
                },
            };
        }
        Err(exit) => return Err(exit),
    };
    let job = settings
        .and_then(|settings| first_certificate::job(config, settings, options.clone(), true));
    let renewer = Renewer::new(config, certificate.as_deref(), options.clock_floor);
    let mut renewer = renewer.with(job, completed);
    let (mqtt, mut sessions) = Mqtt::new(options, tls);
    // A disk that hangs keeps nobody from stopping the start.
    let (disks, working) = Disks::new();
    let start = async {
        let tasks = Tasks::start(config, &mqtt, &disks).await?;
        inboxes::start(&config.inboxes, &mut sessions, &disks).await?;
        anyhow::Ok(tasks)
    };
    let mut tasks = tokio::select! {
        tasks = start => tasks.map_err(unusable)?,
        signal = signals.stop() => return Ok(Exit::Stopped(signal)),
    };
    drop(disks);
    let reporter = Reporter::new(
        &config.supervision,
        supervisor.clone(),
        sessions.event_receiver(),
    );
    let reports = reporter.map(Reporter::start);
    let mut session = tokio::spawn(sessions.run());
    let mut hangups = Hangups::default();
    let exit = loop {
        tokio::select! {
            told = signals.next() => match told {
                SignalRequest::Stop(signal) => break Exit::Stopped(signal),
                SignalRequest::Refetch => hangups.came(),
            },
            () = reached(hangups.due(now())) => match (hangups.take(now()), tasks.refetch()) {
                (1, Ok(())) => info!("SIGHUP: fetching every shadow again"),
                (count, Ok(())) => info!("SIGHUP ({count} times): fetching every shadow again"),
                (_, Err(why)) => info!("SIGHUP: {why}"),
            },
            end = &mut session => break ended(end),
            Some(request) = tasks.requests.recv() => match &request.command {
                Command::Reprovision => renewer.reprovision(request).await,
                Command::Refetch => request.answer(tasks.refetch()).await,
                Command::OpenTunnel(_) => tasks.tunnel(CommandKind::Open, request),
                Command::CloseTunnel(_) => tasks.tunnel(CommandKind::Close, request),
            },
            event = renewer.next(&mqtt) => match event {
                RenewalEvent::Look => renewer.look(&mqtt),
                RenewalEvent::Good => renewer.good(),
                RenewalEvent::Ended(outcome) => if renewer.ended(outcome).await {
                    break Exit::Provisioned;
                },
            },
            Some(jammed) = tasks.publishers.join_next() => break match jammed {
                Ok(publish::PublisherEnd::Jammed(dir)) => Exit::Jammed(dir),
                Ok(publish::PublisherEnd::Drained) => {
                    Exit::Broken(anyhow::anyhow!("a publisher ended by itself"))
                }
                Err(fault) => broken(fault),
            },
            Some(Err(fault)) = tasks.others.join_next() => break broken(fault),
        }
    };
    supervisor.stopping();
    let until = now() + LEAVE;
    leave(&exit, &mqtt, tasks, session).await;
    // What was acknowledged is removed, or it would be sent again; and those who watch are
    // notified.
    let left = until.saturating_duration_since(now()).max(LEAST);
    let told = async {
        if let Some(reports) = reports {
            let _ = timeout(left, reports.stopped(exit.to_string())).await;
        }
    };
    tokio::join!(working.ended(LAST_ORDERS.min(left)), told);
    if exit.rotates() {
        certificates::rotate(config, certificate);
    }
    Ok(exit)
}

/// What the options say, else what AWS takes, if it is AWS.
fn rates(config: &Config, endpoint: &Endpoint) -> Rates {
    let defaults = if endpoint.is_aws() {
        Rates::AWS
    } else {
        Rates::default()
    };
    Rates {
        messages: config.publish_rate.or(defaults.messages),
        bytes: config.publish_bytes_rate.or(defaults.bytes),
    }
}

fn connection(config: &Config, endpoint: Endpoint) -> mqtt::ConnectionOptions {
    mqtt::ConnectionOptions {
        rates: rates(config, &endpoint),
        client_id: config.client_id.clone(),
        endpoint,
        version: config.version,
        keep_alive: config.keep_alive,
        session_expiry: Duration::ZERO,
        last_will: config.last_will.clone(),
        birth: config.birth.clone(),
        connections: config.connections,
        attempts: config.attempts,
        clock_floor: first_certificate::clock_floor(config),
    }
}

/// Everything that runs beside the session.
struct Tasks {
    publishers: JoinSet<publish::PublisherEnd>,
    /// Asks the publishers to finish what is on its way.
    stop: watch::Sender<bool>,
    /// Shadows, subscriptions, tunnels and commands: they end only with a fault, or because
    /// the session has ended.
    others: JoinSet<()>,
    shadows: usize,
    tunnels: Tunnels,
    refetch: watch::Sender<u64>,
    requests: mpsc::Receiver<PendingCommand>,
}

impl Tasks {
    async fn start(config: &Config, mqtt: &Mqtt, disks: &Disks) -> anyhow::Result<Tasks> {
        let (refetch, refetched) = watch::channel(0);
        // Commands are handed over one after the other, and wait for their answers elsewhere.
        let (commands, requests) = mpsc::channel(1);
        let mut tasks = Tasks {
            publishers: JoinSet::new(),
            stop: watch::Sender::new(false),
            others: JoinSet::new(),
            shadows: config
                .shadows
                .iter()
                .filter(|it| !it.is_updates_only())
                .count(),
            tunnels: Tunnels::default(),
            refetch,
            requests,
        };
        for options in &config.messages {
            let publisher = Publisher::new(options.clone(), mqtt.clone(), disks).await?;
            tasks
                .publishers
                .spawn(publisher.run(tasks.stop.subscribe()));
        }
        for options in &config.shadows {
            let (mqtt, refetched) = (mqtt.clone(), refetched.clone());
            let agent = ShadowAgent::new(options.clone(), mqtt, refetched, disks).await?;
            tasks.others.spawn(agent.run());
        }
        for options in &config.subscriptions {
            let listener = Listener::new(options.clone(), mqtt.clone());
            tasks.others.spawn(listener.run());
        }
        for options in &config.tunnels {
            let commands = tasks.tunnels.receiver(&options.thing);
            let agent = tunnel::TunnelAgent::new(options.clone(), mqtt.clone(), commands);
            tasks.others.spawn(agent.run());
        }
        if let Some(dir) = &config.commands {
            let commands = Commands::open(dir, commands, disks).await?;
            tasks.others.spawn(commands.run());
        }
        Ok(tasks)
    }

    /// Hands the request to the task of its tunnel, which answers in its own time.
    fn tunnel(&mut self, order: CommandKind, request: PendingCommand) {
        let (answer, answered) = oneshot::channel();
        let contents = request.command.arguments();
        self.tunnels.carry_out(order, contents, answer);
        self.others.spawn(async move {
            if let Ok(outcome) = answered.await {
                request.answer(outcome).await;
            }
        });
    }

    fn refetch(&self) -> Result<(), String> {
        if self.shadows == 0 {
            return Err("there is no shadow to fetch, none is configured".to_owned());
        }
        self.refetch.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// A directory that cannot be used: a person must act, or the machine has to recover.
fn unusable(problem: anyhow::Error) -> Exit {
    let passing =
        transient::chain_is_transient(&problem) || transient::chain_is_disk_error(&problem);
    if passing {
        Exit::Unready(problem)
    } else {
        Exit::Config(problem)
    }
}

fn ended(end: Result<SessionEnd, JoinError>) -> Exit {
    match end {
        Ok(SessionEnd::GivenUp { failures, rotate }) => Exit::LinkLost { failures, rotate },
        Ok(SessionEnd::Stopped) => Exit::Broken(anyhow::anyhow!("the session ended by itself")),
        Err(fault) => broken(fault),
    }
}

fn broken(fault: JoinError) -> Exit {
    Exit::Broken(anyhow::Error::new(fault).context("a task failed"))
}

/// Stops taking requests; then sends DISCONNECT, or leaves the will to the broker. What is on its way has some
/// time to be acknowledged before that, or the next start would publish it again.
async fn leave(exit: &Exit, mqtt: &Mqtt, mut tasks: Tasks, session: JoinHandle<SessionEnd>) {
    tasks.others.abort_all();
    if exit.sends_disconnect() {
        tasks.stop.send_replace(true);
        let disconnect = async {
            let drained = async { while tasks.publishers.join_next().await.is_some() {} };
            let _ = timeout(DRAIN, drained).await;
            tasks.publishers.abort_all();
            mqtt.disconnect().await;
        };
        let _ = timeout(DISCONNECT_LIMIT, disconnect).await;
    }
    tasks.publishers.abort_all();
    session.abort();
    if !session.is_finished() {
        // What becomes of its connection is reported when it has ended.
        let _ = session.await;
    }
}
