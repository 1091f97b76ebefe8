//! The addresses of a name, from the system's resolver. IPv4 and IPv6 are asked for apart, each on a
//! thread of its own, so that one that is never answered does not hold up the other.

use crate::waits::or_pending;
use std::io;
use std::net::SocketAddr;
use std::thread;

use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::race::Family;

/// The addresses, or why there are none.
pub type Lookup = Result<Vec<SocketAddr>, String>;

/// At most one question for each family is on the way, however many attempts have stopped waiting for
/// it: a resolver that hangs must not be given thread after thread.
#[derive(Default)]
pub struct Names {
    v6: Option<oneshot::Receiver<Lookup>>,
    v4: Option<oneshot::Receiver<Lookup>>,
}

impl Names {
    /// Asks for one family. A question of an earlier attempt that is still unanswered is not asked
    /// again: its answer is awaited.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn ask(&mut self, host: &str, port: u16, family: Family) -> io::Result<()> {
        let question = self.question(family);
        let pending = question
            .as_mut()
            .is_some_and(|answer| matches!(answer.try_recv(), Err(TryRecvError::Empty)));
        if !pending {
            *question = Some(ask(host, port, family)?);
        }
        Ok(())
    }

    /// The next answer. Never comes when both have come. May be dropped half-way.
    pub async fn answer(&mut self) -> (Family, Lookup) {
        tokio::select! {
            answer = answered(&mut self.v6) => {
                self.v6 = None;
                (Family::V6, answer)
            }
            answer = answered(&mut self.v4) => {
                self.v4 = None;
                (Family::V4, answer)
            }
        }
    }

    fn question(&mut self, family: Family) -> &mut Option<oneshot::Receiver<Lookup>> {
        match family {
            Family::V6 => &mut self.v6,
            Family::V4 => &mut self.v4,
        }
    }
}

async fn answered(question: &mut Option<oneshot::Receiver<Lookup>>) -> Lookup {
    let answer = or_pending(question.as_mut()).await;
    answer.unwrap_or_else(|_| Err("the look-up has failed".into()))
}

fn ask(host: &str, port: u16, family: Family) -> io::Result<oneshot::Receiver<Lookup>> {
    let (answer, answered) = oneshot::channel();
    let host = host.to_owned();
    thread::Builder::new()
        .name("resolver".into())
        .spawn(move || {
            let _ = answer.send(look_up(&host, port, family));
        })?;
    Ok(answered)
}

fn look_up(host: &str, port: u16, family: Family) -> Lookup {
    let family = match family {
        Family::V6 => AddrFamily::Inet6,
        Family::V4 => AddrFamily::Inet,
    };
    let hints = AddrInfoHints {
        address: family.into(),
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(host), None, Some(hints))
        .map_err(|error| io::Error::from(error).to_string())?;
    let addresses = found
        .flatten()
        .map(|one| SocketAddr::new(one.sockaddr.ip(), port));
    Ok(addresses.collect())
}
