//! Everything that runs beside the session.

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::route;
use crate::command::{Commands, PendingCommand};
use crate::config::Config;
use crate::mqtt::Mqtt;
use crate::net::Route;
use crate::publish::{self, Publisher};
use crate::shadow::ShadowAgent;
use crate::spool::disks::Disks;
use crate::subscribe::Listener;
use crate::tunnel::{CommandKind, TunnelAgent, TunnelOptions, Tunnels};

/// Everything that runs beside the session.
pub struct Tasks {
    pub publishers: JoinSet<publish::PublisherEnd>,
    /// Asks the publishers to finish what is on its way.
    pub stop: watch::Sender<bool>,
    /// Shadows, subscriptions, tunnels and commands: they end only with a fault, or because
    /// the session has ended.
    pub others: JoinSet<()>,
    shadows: usize,
    tunnels: Tunnels,
    refetch: watch::Sender<u64>,
    pub requests: mpsc::Receiver<PendingCommand>,
}

impl Tasks {
    /// # Errors
    /// A directory cannot be used.
    pub async fn start(
        config: &Config,
        route: &Route,
        mqtt: &Mqtt,
        disks: &Disks,
    ) -> anyhow::Result<Tasks> {
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
        let variables = route::variables(config, route);
        for options in &config.tunnels {
            let commands = tasks.tunnels.receiver(&options.thing);
            let options = TunnelOptions {
                variables: variables.clone(),
                ..options.clone()
            };
            let agent = TunnelAgent::new(options, mqtt.clone(), commands);
            tasks.others.spawn(agent.run());
        }
        if let Some(dir) = &config.commands {
            let commands = Commands::open(dir, commands, disks).await?;
            tasks.others.spawn(commands.run());
        }
        Ok(tasks)
    }

    /// Hands the request to the task of its tunnel, which answers in its own time.
    pub fn tunnel(&mut self, order: CommandKind, request: PendingCommand) {
        let (answer, answered) = oneshot::channel();
        let contents = request.command.arguments();
        self.tunnels.carry_out(order, contents, answer);
        self.others.spawn(async move {
            if let Ok(outcome) = answered.await {
                request.answer(outcome).await;
            }
        });
    }

    /// # Errors
    /// There is none.
    pub fn refetch(&self) -> Result<(), String> {
        if self.shadows == 0 {
            return Err("there is no shadow to fetch, none is configured".to_owned());
        }
        self.refetch.send_modify(|count| *count += 1);
        Ok(())
    }
}
