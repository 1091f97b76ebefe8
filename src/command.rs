//! `--commands`: a file's name is a command, its contents are the arguments.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use log::info;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::reached;
use crate::spool::Name;
use crate::spool::action_dir::{ActionDir, Looks};
use crate::spool::disks::Disks;
use crate::spool::opened::{HeldFile, Opened};
use crate::spool::opening::Dispatched;
use crate::spool::order::Order;
use crate::spool::outcome::{Outcome, Readiness};
use crate::spool::queue;

/// Requests that were given up and are kept.
const KEEP_FAILED: usize = 10;
/// Nobody waits longer for a disk to dispose of a command's file.
const DISPOSAL: Duration = Duration::from_secs(2);

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
pub struct PendingCommand {
    pub command: Command,
    /// When its file was last written.
    pub modified: SystemTime,
    answer: oneshot::Sender<CommandReply>,
}

#[derive(Debug)]
struct CommandReply {
    /// `Err` says why it cannot be carried out.
    outcome: Result<(), String>,
    settled: oneshot::Sender<()>,
}

impl PendingCommand {
    /// Passes on what became of it. Resolves when its file has been disposed of, or the disk hangs.
    pub async fn answer(self, outcome: Result<(), String>) {
        let (settled, done) = oneshot::channel();
        if self.answer.send(CommandReply { outcome, settled }).is_ok() {
            let _ = timeout(DISPOSAL, done).await;
        }
    }
}

/// Commands that are answered in their own time: there is one of each name.
const AT_A_TIME: usize = 4;

/// Owns the directory of commands.
pub struct Commands {
    action_dir: ActionDir,
    requests: mpsc::Sender<PendingCommand>,
    /// Those that were handed to the daemon: a new certificate may take long, and nobody waits for it.
    waiting: JoinSet<(Name, Opened, Result<CommandReply, String>)>,
    /// Who wants to know that the files of answered commands have been disposed of.
    settled: Vec<oneshot::Sender<()>>,
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
    /// Prepares the directory.
    pub async fn open(
        dir: &Path,
        requests: mpsc::Sender<PendingCommand>,
        disks: &Disks,
    ) -> Result<Commands> {
        let options = queue::QueueOptions {
            order: Order::Lexical,
            window: AT_A_TIME,
            retries: 0,
            jam: Duration::from_secs(u32::MAX.into()),
        };
        let action_dir =
            ActionDir::open(dir, KEEP_FAILED, options, Looks::default(), disks).await?;
        Ok(Commands {
            action_dir,
            requests,
            waiting: JoinSet::new(),
            settled: Vec::new(),
        })
    }

    /// Hands out one command after the other, and answers each in its own time.
    pub async fn run(mut self) {
        loop {
            while self.action_dir.readiness() != Readiness::Nothing {
                if let Some(taken) = self.action_dir.take() {
                    self.hand_over(taken).await;
                }
            }
            if !self.action_dir.is_leaving() {
                for told in self.settled.drain(..) {
                    let _ = told.send(());
                }
            }
            let deadline = self.action_dir.deadline();
            tokio::select! {
                notice = self.action_dir.notice() => self.action_dir.noticed(notice),
                Some(Ok((name, opened, answer))) = self.waiting.join_next() => {
                    self.settle(&name, opened, answer);
                }
                () = reached(deadline) => {}
            }
        }
    }

    /// The daemon gets commands in their order.
    async fn hand_over(&mut self, taken: Dispatched) {
        let Dispatched {
            name, mut opening, ..
        } = taken;
        let (opened, contents) = match self.attend(opening.opened()).await {
            Ok(opened) => opened,
            Err((outcome, held)) => return self.action_dir.settle(&name, held, outcome, ""),
        };
        let command = match Command::named(&name, contents) {
            Ok(command) => command,
            Err(reason) => return self.settle(&name, opened, Err(reason)),
        };
        info!("command '{name}'");
        let (answer, answered) = oneshot::channel();
        let request = PendingCommand {
            command,
            modified: opened.modified,
            answer,
        };
        let requests = self.requests.clone();
        let sent = self.attend(requests.send(request)).await;
        self.waiting.spawn(async move {
            if sent.is_ok()
                && let Ok(answer) = answered.await
            {
                return (name, opened, Ok(answer));
            }
            // The daemon is leaving: the file stays for the next start.
            std::future::pending().await
        });
    }

    fn settle(&mut self, name: &Name, opened: Opened, answer: Result<CommandReply, String>) {
        let outcome = match answer {
            Ok(answer) => {
                self.settled.push(answer.settled);
                answer.outcome
            }
            Err(reason) => Err(reason),
        };
        let outcome = match outcome {
            Ok(()) => Outcome::Delivered,
            Err(reason) => Outcome::Unusable(reason),
        };
        let done = format!("carried out the command '{name}'");
        self.action_dir
            .settle(name, HeldFile::Open(opened), outcome, &done);
    }

    /// Waits for something while the directory goes on.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                notice = self.action_dir.notice() => self.action_dir.noticed(notice),
            }
        }
    }
}
