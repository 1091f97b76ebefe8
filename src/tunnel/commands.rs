//! The way of the commands `open-tunnel` and `close-tunnel` to the task of their thing.

use tokio::sync::{mpsc, oneshot};

use super::request::{self, TunnelRequest};

/// There is one command of each name at a time, and each waits for its answer.
const MAILBOX: usize = 2;

/// Learns whether it was carried out, or why not.
pub type TunnelReply = oneshot::Sender<Result<(), String>>;

/// A command for one thing.
pub enum TunnelCommand {
    Open(TunnelRequest, TunnelReply),
    Close(TunnelReply),
}

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    Open,
    Close,
}

/// Where the task of one thing gets its commands.
pub struct CommandReceiver(pub(super) mpsc::Receiver<TunnelCommand>);

/// All things with tunnels.
#[derive(Debug, Default)]
pub struct Tunnels(Vec<(String, mpsc::Sender<TunnelCommand>)>);

impl Tunnels {
    /// Commands for this thing come out of it from now on.
    pub fn receiver(&mut self, thing: &str) -> CommandReceiver {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        self.0.push((thing.to_owned(), sender));
        CommandReceiver(receiver)
    }

    /// Passes a command on, or answers at once why it cannot be carried out.
    pub fn carry_out(&self, order: CommandKind, contents: &[u8], answer: TunnelReply) {
        let passed = self.thing(contents).and_then(|commands| {
            let request = match order {
                CommandKind::Open => Some(request::read(contents)?),
                CommandKind::Close => None,
            };
            Ok((commands, request))
        });
        let (commands, command) = match passed {
            // Its sender waits for the answer, or is leaving.
            Err(why) => return drop(answer.send(Err(why))),
            Ok((commands, Some(request))) => (commands, TunnelCommand::Open(request, answer)),
            Ok((commands, None)) => (commands, TunnelCommand::Close(answer)),
        };
        // A full or closed mailbox drops the answer: the command stays for the next start.
        let _ = commands.try_send(command);
    }

    fn thing(&self, contents: &[u8]) -> Result<&mpsc::Sender<TunnelCommand>, String> {
        let names = || {
            let names = self.0.iter().map(|(thing, _)| format!("'{thing}'"));
            names.collect::<Vec<_>>().join(", ")
        };
        if self.0.is_empty() {
            return Err("secure tunnels are not configured".to_owned());
        }
        match (request::thing(contents)?, &self.0[..]) {
            (None, [(_, commands)]) => Ok(commands),
            (None, _) => Err(format!("thing is missing, name one of {}", names())),
            (Some(thing), things) => {
                let found = things.iter().find(|(name, _)| *name == thing);
                let commands = found.map(|(_, commands)| commands);
                commands.ok_or_else(|| {
                    format!(
                        "this thing has no --tunnelmappings, name one of {}",
                        names()
                    )
                })
            }
        }
    }
}
