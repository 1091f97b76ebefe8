//! `--commands`: a file's name is a command, its contents are the arguments.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use log::info;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::clock::reached;
use crate::spool::Name;
use crate::spool::desk::{Desk, without_priority};
use crate::spool::disks::Disks;
use crate::spool::opened::Held;
use crate::spool::opening::Taken;
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
    /// Tells what became of it. Resolves when its file has been disposed of, or the disk hangs.
    pub async fn answer(self, outcome: Result<(), String>) {
        let (settled, done) = oneshot::channel();
        if self.answer.send(Answer { outcome, settled }).is_ok() {
            let _ = timeout(DISPOSAL, done).await;
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
    /// Prepares the directory.
    pub async fn open(
        dir: &Path,
        requests: mpsc::Sender<Request>,
        disks: &Disks,
    ) -> Result<Commands> {
        let options = queue::Options {
            order: Order::Lexical,
            window: 1,
            retries: 0,
            jam: Duration::from_secs(u32::MAX.into()),
        };
        let desk = Desk::open(dir, KEEP_FAILED, options, without_priority, disks).await?;
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
                notice = self.desk.notice() => self.desk.noticed(notice),
                () = reached(deadline) => {}
            }
        }
    }

    async fn carry_out(&mut self, taken: Taken) {
        let Taken {
            name, mut opening, ..
        } = taken;
        let (opened, contents) = match self.attend(opening.opened()).await {
            Ok(opened) => opened,
            Err((outcome, held)) => return self.desk.settle(&name, held, outcome, ""),
        };
        let requests = self.requests.clone();
        let answer = answer(&requests, &name, contents, opened.modified);
        let (outcome, settled) = match self.attend(answer).await {
            Ok(answer) => (answer.outcome, Some(answer.settled)),
            Err(reason) => (Err(reason), None),
        };
        let outcome = match outcome {
            Ok(()) => Outcome::Delivered,
            Err(reason) => Outcome::Unusable(reason),
        };
        let done = format!("carried out the command '{name}'");
        self.desk.settle(&name, Held::Open(opened), outcome, &done);
        while self.desk.is_leaving() {
            let notice = self.desk.notice().await;
            self.desk.noticed(notice);
        }
        if let Some(settled) = settled {
            let _ = settled.send(());
        }
    }

    /// Waits for something while the directory goes on.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                notice = self.desk.notice() => self.desk.noticed(notice),
            }
        }
    }
}

async fn answer(
    requests: &mpsc::Sender<Request>,
    name: &Name,
    contents: Vec<u8>,
    modified: SystemTime,
) -> Result<Answer, String> {
    let command = Command::named(name, contents)?;
    info!("command '{name}'");
    let (answer, answered) = oneshot::channel();
    let request = Request {
        command,
        modified,
        answer,
    };
    if requests.send(request).await.is_ok()
        && let Ok(answer) = answered.await
    {
        return Ok(answer);
    }
    // The daemon is leaving: the file stays for the next start.
    std::future::pending().await
}
