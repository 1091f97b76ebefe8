//! The addresses of a name, from the system's resolver. IPv4 and IPv6 are asked for apart, each on a
//! thread of its own, so that one that is never answered does not hold up the other.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::thread;

use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::race::Family;
use crate::waits::or_pending;

/// The addresses, or why there are none.
pub type Lookup = Result<Vec<SocketAddr>, String>;

/// At most one question for each family of a name is on the way, however many attempts have stopped
/// waiting for it: a resolver that hangs must not be given thread after thread. The names are those of
/// the configuration, so they are few.
#[derive(Default)]
pub struct Names(HashMap<(String, u16), Questions>);

/// Those about one name that are unanswered.
#[derive(Default)]
struct Questions {
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
        let questions = self.0.entry((host.to_owned(), port)).or_default();
        let question = match family {
            Family::V6 => &mut questions.v6,
            Family::V4 => &mut questions.v4,
        };
        let pending = question
            .as_mut()
            .is_some_and(|answer| matches!(answer.try_recv(), Err(TryRecvError::Empty)));
        if !pending {
            *question = Some(ask(host, port, family)?);
        }
        Ok(())
    }

    /// The next answer about this name. Never comes when all have come. May be dropped half-way.
    pub async fn answer(&mut self, host: &str, port: u16) -> (Family, Lookup) {
        let questions = self.0.entry((host.to_owned(), port)).or_default();
        tokio::select! {
            answer = answered(&mut questions.v6) => {
                questions.v6 = None;
                (Family::V6, answer)
            }
            answer = answered(&mut questions.v4) => {
                questions.v4 = None;
                (Family::V4, answer)
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_was_not_waited_for_is_never_taken_for_another_name() {
        let mut names = Names::default();
        names.ask("127.0.0.1", 1, Family::V4).unwrap();
        names.ask("127.0.0.2", 2, Family::V4).unwrap();
        let (family, answer) = names.answer("127.0.0.2", 2).await;
        assert_eq!(family, Family::V4);
        assert_eq!(answer, Ok(vec!["127.0.0.2:2".parse().unwrap()]));
        let (_, answer) = names.answer("127.0.0.1", 1).await;
        assert_eq!(answer, Ok(vec!["127.0.0.1:1".parse().unwrap()]));
    }
}
