//! The way of the commands `open-tunnel` and `close-tunnel` to the task of their thing.

use tokio::sync::{mpsc, oneshot};

use super::request::{self, Request};

/// There is one command of each name at a time, and each waits for its answer.
const MAILBOX: usize = 2;

/// Learns whether it was carried out, or why not.
pub type Answer = oneshot::Sender<Result<(), String>>;

/// A command for one thing.
pub enum Errand {
    Open(Request, Answer),
    Close(Answer),
}

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Open,
    Close,
}

/// Where the task of one thing gets its commands.
pub struct Door(pub(super) mpsc::Receiver<Errand>);

/// All things with tunnels.
#[derive(Debug, Default)]
pub struct Tunnels(Vec<(String, mpsc::Sender<Errand>)>);

impl Tunnels {
    /// Commands for this thing come out of the door from now on.
    pub fn door(&mut self, thing: &str) -> Door {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        self.0.push((thing.to_owned(), sender));
        Door(receiver)
    }

    /// Passes a command on, or answers at once why it cannot be carried out.
    pub fn carry_out(&self, order: Order, contents: &[u8], answer: Answer) {
        let passed = self.thing(contents).and_then(|errands| {
            let request = match order {
                Order::Open => Some(request::read(contents)?),
                Order::Close => None,
            };
            Ok((errands, request))
        });
        let (errands, errand) = match passed {
            // Its sender waits for the answer, or is leaving.
            Err(why) => return drop(answer.send(Err(why))),
            Ok((errands, Some(request))) => (errands, Errand::Open(request, answer)),
            Ok((errands, None)) => (errands, Errand::Close(answer)),
        };
        // A full or closed mailbox drops the answer: the command stays for the next start.
        let _ = errands.try_send(errand);
    }

    fn thing(&self, contents: &[u8]) -> Result<&mpsc::Sender<Errand>, String> {
        let names = || {
            let names = self.0.iter().map(|(thing, _)| format!("'{thing}'"));
            names.collect::<Vec<_>>().join(", ")
        };
        if self.0.is_empty() {
            return Err("secure tunnels are not configured".to_owned());
        }
        match (request::thing(contents)?, &self.0[..]) {
            (None, [(_, errands)]) => Ok(errands),
            (None, _) => Err(format!("thing is missing, name one of {}", names())),
            (Some(thing), things) => {
                let found = things.iter().find(|(name, _)| *name == thing);
                let errands = found.map(|(_, errands)| errands);
                errands.ok_or_else(|| {
                    format!(
                        "this thing has no --tunnelmappings, name one of {}",
                        names()
                    )
                })
            }
        }
    }
}
