//! The task of one `--subscribe-write` or `--subscribe-exec`: takes messages off the connection at
//! once, and handles them one after the other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use log::{debug, error};
use tokio::task::JoinSet;

use super::backlog::{Backlog, Waiting};
use super::losses::Losses;
use super::{HandlerOptions, Handling, write};
use crate::mqtt::{Message, Mqtt, QoS};
use crate::offload;
use crate::process;

/// Messages between the connection and this task, which takes them off whatever its handler does.
const MAILBOX: usize = 32;
/// A handler has this long for one message.
const LIMIT: Duration = Duration::from_secs(5);

/// Owns the messages of one option.
pub struct Listener {
    options: Arc<HandlerOptions>,
    mqtt: Mqtt,
    backlog: Backlog,
    losses: Losses,
    /// One message at a time.
    handling: JoinSet<Handled>,
}

struct Handled {
    topic: String,
    result: Result<()>,
}

impl Listener {
    pub fn new(options: HandlerOptions, mqtt: Mqtt) -> Listener {
        Listener {
            losses: Losses::new(label(&options)),
            options: Arc::new(options),
            mqtt,
            backlog: Backlog::default(),
            handling: JoinSet::new(),
        }
    }

    /// Handles messages until the session ends. When the future is dropped, a command that runs is
    /// left alone, and what waits is lost.
    pub async fn run(mut self) {
        let filter = self.options.filter.as_str();
        let subscribed = self.mqtt.subscribe(filter, QoS::AtLeastOnce, MAILBOX).await;
        let mut subscription = match subscribed {
            Ok(subscription) => subscription,
            Err(why) => return error!("cannot subscribe to '{filter}': {why}"),
        };
        loop {
            self.begin();
            tokio::select! {
                message = subscription.messages.recv() => match message {
                    Some(message) => self.arrived(&message),
                    None => return,
                },
                Some(ended) = self.handling.join_next() => match ended {
                    Ok(handled) => self.ended(handled),
                    Err(fault) => return error!("{} failed: {fault}", label(&self.options)),
                },
            }
        }
    }

    fn arrived(&mut self, message: &Message) {
        if !self.backlog.arrived(message) {
            self.losses.overflowed(&message.topic);
        }
    }

    fn begin(&mut self) {
        if self.handling.is_empty()
            && let Some(message) = self.backlog.next()
        {
            self.handling.spawn(handle(self.options.clone(), message));
        }
    }

    fn ended(&mut self, handled: Handled) {
        let Handled { topic, result } = handled;
        match result {
            Ok(()) => {
                debug!(
                    "{} has handled a message on '{topic}'",
                    label(&self.options)
                );
                self.losses.handled(self.backlog.is_empty());
            }
            Err(why) => self.losses.failed(&topic, &format!("{why:#}")),
        }
    }
}

/// What an option is called in the log. A command line may hold what nobody else should read.
fn label(options: &HandlerOptions) -> String {
    match &options.handling {
        Handling::Write(path) => format!("subscribe-write {}", path.display()),
        Handling::Exec(_) => format!("subscribe-exec '{}'", options.filter),
    }
}

async fn handle(options: Arc<HandlerOptions>, message: Waiting) -> Handled {
    let Waiting { topic, payload } = message;
    let result = match &options.handling {
        Handling::Write(path) => {
            let path = path.clone();
            // Its own deadline bounds the wait, but for a driver or a file system that hangs: then
            // this option waits with it, and no other.
            let written = offload::run(move || write::write(&path, &payload, LIMIT)).await;
            written.context("cannot write").and_then(|result| result)
        }
        Handling::Exec(line) => exec(&label(&options), line, &topic, payload).await,
    };
    Handled { topic, result }
}

/// Nothing of the message is part of the line: the topic is a variable, the payload is input.
async fn exec(label: &str, line: &str, topic: &str, payload: Vec<u8>) -> Result<()> {
    let task = process::shell(label, line, LIMIT)
        .variable("MESSAGE_TOPIC", topic)
        .stdin(payload);
    match task.run().await? {
        status if status.success() => Ok(()),
        status => bail!("{label} failed: {status}"),
    }
}
