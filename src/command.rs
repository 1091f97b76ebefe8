//! `--commands`: a file's name is a command, its contents are the arguments.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use log::info;
use tokio::sync::{mpsc, oneshot};

use crate::clock::reached;
use crate::spool::Name;
use crate::spool::desk::{Desk, Taken, without_priority};
use crate::spool::maildir::Opened;
use crate::spool::order::Order;
use crate::spool::outcome::{Outcome, Readiness};
use crate::spool::queue;

/// Requests that were given up and are kept.
const KEEP_FAILED: usize = 10;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Fetch every shadow again.
    Refetch,
    /// Get a new certificate.
    Reprovision,
    /// Open a tunnel; the arguments are still to be read.
    OpenTunnel(Vec<u8>),
    /// Close a tunnel; the arguments are still to be read.
    CloseTunnel(Vec<u8>),
}

/// A command that waits to be carried out. Without an answer it stays for the next start.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    /// When its file was last written.
    pub modified: SystemTime,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
struct Answer {
    /// `Err` says why it cannot be carried out.
    outcome: Result<(), String>,
    settled: oneshot::Sender<()>,
}

impl Request {
    /// Tells what became of it. Resolves when its file has been disposed of.
    pub async fn answer(self, outcome: Result<(), String>) {
        let (settled, done) = oneshot::channel();
        if self.answer.send(Answer { outcome, settled }).is_ok() {
            let _ = done.await;
        }
    }
}

/// Owns the directory of commands.
pub struct Commands {
    desk: Desk,
    requests: mpsc::Sender<Request>,
}

impl Command {
    /// The contents of the command's file, where they matter.
    pub fn arguments(&self) -> &[u8] {
        match self {
            Command::Refetch | Command::Reprovision => &[],
            Command::OpenTunnel(contents) | Command::CloseTunnel(contents) => contents,
        }
    }

    /// # Errors
    /// There is no such command.
    fn named(name: &Name, contents: Vec<u8>) -> Result<Command, String> {
        match name.as_os_str().as_encoded_bytes() {
            b"refetch" => Ok(Command::Refetch),
            b"reprovision" => Ok(Command::Reprovision),
            b"open-tunnel" => Ok(Command::OpenTunnel(contents)),
            b"close-tunnel" => Ok(Command::CloseTunnel(contents)),
            _ => Err(
                "unknown command, use refetch, reprovision, open-tunnel or close-tunnel".to_owned(),
            ),
        }
    }
}

impl Commands {
    /// Prepares the directory. Must be called within the runtime.
    pub fn open(dir: &Path, requests: mpsc::Sender<Request>) -> Result<Commands> {
        let options = queue::Options {
            order: Order::Lexical,
            window: 1,
            retries: 0,
            jam: Duration::from_secs(u32::MAX.into()),
        };
        let desk = Desk::open(dir, KEEP_FAILED, options, without_priority)?;
        Ok(Commands { desk, requests })
    }

    /// Hands out one command after the other.
    pub async fn run(mut self) {
        loop {
            while self.desk.readiness() != Readiness::Nothing {
                if let Some(taken) = self.desk.take() {
                    self.carry_out(taken).await;
                }
            }
            let deadline = self.desk.deadline();
            tokio::select! {
                notice = self.desk.notice() => self.desk.noticed(notice).await,
                () = reached(deadline) => {}
            }
        }
    }

    async fn carry_out(&mut self, taken: Taken) {
        let Taken { name, opened, .. } = taken;
        let (outcome, settled) = match self.answer(&name, &opened).await {
            Ok(answer) => (answer.outcome, Some(answer.settled)),
            Err(reason) => (Err(reason), None),
        };
        let outcome = match outcome {
            Ok(()) => Outcome::Delivered,
            Err(reason) => Outcome::Unusable(reason),
        };
        let done = format!("carried out the command '{name}'");
        self.desk.settle(&name, opened, outcome, &done);
        if let Some(settled) = settled {
            let _ = settled.send(());
        }
    }

    async fn answer(&self, name: &Name, opened: &Opened) -> Result<Answer, String> {
        let contents = opened
            .read()
            .map_err(|error| format!("cannot be read: {error}"))?;
        let command = Command::named(name, contents)?;
        info!("command '{name}'");
        let (answer, answered) = oneshot::channel();
        let request = Request {
            command,
            modified: opened.modified,
            answer,
        };
        if self.requests.send(request).await.is_ok()
            && let Ok(answer) = answered.await
        {
            return Ok(answer);
        }
        // The daemon is leaving: the file stays for the next start.
        std::future::pending().await
    }
}
