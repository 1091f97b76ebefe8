//! The second step of a start, and all of the daemon's life: the tasks run until the first of them ends
//! or a signal comes, and then leave in order.

use std::time::Duration;

use log::info;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use super::establish::Established;
use super::hangups::Hangups;
use super::renew::{RenewalEvent, Renewer};
use super::signals::{SignalRequest, Signals};
use super::tasks::Tasks;
use super::{certificates, inboxes};
use crate::clock::{now, reached};
use crate::command::Command;
use crate::config::Config;
use crate::exit::Exit;
use crate::mqtt::{Mqtt, SessionEnd};
use crate::publish::PublisherEnd;
use crate::spool::disks::Disks;
use crate::supervision::{Reporter, Supervisor};
use crate::transient;
use crate::tunnel::CommandKind;

/// For acknowledgements of what is in flight when the daemon is asked to stop.
const DRAIN: Duration = Duration::from_secs(1);
/// For that and DISCONNECT together.
const DISCONNECT_LIMIT: Duration = Duration::from_millis(1400);
/// The disk has so long to remove what was acknowledged before the end.
const LAST_ORDERS: Duration = Duration::from_millis(500);
/// All of the way out, whoever does not answer; at least so long for what comes last.
const LEAVE: Duration = Duration::from_millis(1600);
const LEAST: Duration = Duration::from_millis(200);

/// Runs everything, and ends it in order.
///
/// # Errors
/// Why the daemon ends before anything runs: a directory cannot be used.
pub async fn serve(
    config: &Config,
    established: Established,
    signals: &mut Signals,
    supervisor: &Supervisor,
) -> Result<Exit, Exit> {
    let Established {
        options,
        access,
        certificate,
        provisioning,
        completed,
    } = established;
    let renewer = Renewer::new(config, certificate.as_deref(), options.clock_floor);
    let mut renewer = renewer.with(provisioning, completed);
    let route = options.route.clone();
    let (mqtt, mut sessions) = Mqtt::new(options, access);
    // A disk that hangs keeps nobody from stopping the start.
    let (disks, working) = Disks::new();
    let start = async {
        let tasks = Tasks::start(config, &route, &mqtt, &disks).await?;
        inboxes::start(&config.inboxes, &mut sessions, &disks).await?;
        anyhow::Ok(tasks)
    };
    let mut tasks = tokio::select! {
        tasks = start => tasks.map_err(unusable)?,
        signal = signals.stop() => return Err(Exit::Stopped(signal)),
    };
    drop(disks);
    let reporter = Reporter::new(
        &config.supervision,
        supervisor.clone(),
        sessions.event_receiver(),
    );
    let reports = reporter.map(Reporter::start);
    let mut session = tokio::spawn(sessions.run());
    let exit = watch(signals, &mut tasks, &mut renewer, &mqtt, &mut session).await;
    supervisor.stopping();
    let until = now() + LEAVE;
    leave(&exit, &mqtt, tasks, session).await;
    // What was acknowledged is removed, or it would be sent again; and those who watch are notified.
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

/// Serves signals and commands until there is a reason to end.
async fn watch(
    signals: &mut Signals,
    tasks: &mut Tasks,
    renewer: &mut Renewer,
    mqtt: &Mqtt,
    session: &mut JoinHandle<SessionEnd>,
) -> Exit {
    let mut hangups = Hangups::default();
    loop {
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
            end = &mut *session => break ended(end),
            Some(request) = tasks.requests.recv() => match &request.command {
                Command::Reprovision => renewer.reprovision(request).await,
                Command::Refetch => request.answer(tasks.refetch()).await,
                Command::OpenTunnel(_) => tasks.tunnel(CommandKind::Open, request),
                Command::CloseTunnel(_) => tasks.tunnel(CommandKind::Close, request),
            },
            event = renewer.next(mqtt) => match event {
                RenewalEvent::Look => renewer.look(mqtt),
                RenewalEvent::Good => renewer.good(),
                RenewalEvent::Ended(outcome) => if renewer.ended(outcome).await {
                    break Exit::Provisioned;
                },
            },
            Some(jammed) = tasks.publishers.join_next() => break match jammed {
                Ok(PublisherEnd::Jammed(dir)) => Exit::Jammed(dir),
                Ok(PublisherEnd::Drained) => {
                    Exit::Broken(anyhow::anyhow!("a publisher ended by itself"))
                }
                Err(fault) => broken(fault),
            },
            Some(Err(fault)) = tasks.others.join_next() => break broken(fault),
        }
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
