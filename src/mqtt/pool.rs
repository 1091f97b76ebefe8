//! The sessions of one process: the first one, and those that carry further subscriptions, because
//! AWS IoT Core allows only so many on a connection.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::access::Access;
use super::events::sender::EventReceiver;
use super::options::ConnectionOptions;
use super::session::{Session, SessionChannels, SessionEnd};
use super::session_request::SessionRequest;
use super::subscribe::assignment::{FILTERS_PER_CONNECTION, MOST_CONNECTIONS};
use super::subscribe::durable::Durable;
use super::subscribe::router::invalid as invalid_filter;

/// Requests on their way to a session. More than the window, so that a full mailbox means no more than
/// a short wait for the session's next turn.
const MAILBOX: usize = 256;
/// For the other sessions to send their DISCONNECT after the first one has.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(1);

/// The way to one session.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    pub requests: mpsc::Sender<SessionRequest>,
    /// Places for subscriptions. A durable subscription takes all of the others' places.
    pub room: Arc<Semaphore>,
}

/// Owns all connections. Does nothing until it is run.
pub struct Sessions {
    first: Session,
    others: Vec<Session>,
    lines: Vec<SessionHandle>,
}

impl Sessions {
    /// As many sessions as the options allow. The first one has the client id of the options, the
    /// others `ID_1`, `ID_2` and so on; those connect when they have a subscription.
    pub(super) fn new(
        options: ConnectionOptions,
        access: Access,
        news: SessionChannels,
    ) -> Sessions {
        let count = options.connections.clamp(1, MOST_CONNECTIONS);
        let up = news.link.subscribe();
        let mut lines = Vec::new();
        let mut open = || {
            let (requests, mailbox) = mpsc::channel(MAILBOX);
            let room = Arc::new(Semaphore::new(FILTERS_PER_CONNECTION));
            lines.push(SessionHandle { requests, room });
            mailbox
        };
        let first = Session::new(options.clone(), access.clone(), open(), news, None);
        let others = (1..count).map(|number| {
            let options = ConnectionOptions {
                client_id: format!("{}_{number}", options.client_id),
                session_expiry: Duration::ZERO,
                last_will: None,
                birth: None,
                ..options.clone()
            };
            Session::new(
                options,
                access.clone(),
                open(),
                SessionChannels::unheard(),
                Some(up.clone()),
            )
        });
        let others = others.collect();
        Sessions {
            first,
            others,
            lines,
        }
    }

    pub(super) fn lines(&self) -> &[SessionHandle] {
        &self.lines
    }

    /// What happens to the first connection from now on. Whoever watches never holds it up.
    pub fn event_receiver(&mut self) -> EventReceiver {
        self.first.event_receiver()
    }

    /// A subscription whose messages are acknowledged when their reader says so, on the connection
    /// of this number. The broker keeps its session, so each process must make all of them, before
    /// the sessions run: what an earlier process has not acknowledged is delivered at once.
    ///
    /// # Errors
    /// Why one of the filters is none, or that the connection has no room or does not exist.
    pub fn durable(
        &mut self,
        connection: usize,
        filters: &[&str],
    ) -> Result<Durable, &'static str> {
        if let Some(why) = filters.iter().find_map(|filter| invalid_filter(filter)) {
            return Err(why);
        }
        let number = connection.checked_sub(1);
        let session = match number {
            None => Some(&mut self.first),
            Some(number) => self.others.get_mut(number),
        };
        let session = session.ok_or("has no such connection")?;
        if session.filters() + filters.len() > FILTERS_PER_CONNECTION {
            return Err("has no room on its connection");
        }
        let room = &self.lines[connection].room;
        let taken = if number.is_some() {
            FILTERS_PER_CONNECTION
        } else {
            filters.len()
        };
        room.forget_permits(taken);
        Ok(session.durable(filters))
    }

    /// Runs until the first session ends, and then returns how it ended.
    pub async fn run(self) -> SessionEnd {
        let mut others = JoinSet::new();
        for session in self.others {
            others.spawn(session.run());
        }
        drop(self.lines);
        let mut first = std::pin::pin!(self.first.run());
        let end = loop {
            tokio::select! {
                end = &mut first => break end,
                Some(Err(fault)) = others.join_next() => {
                    if let Ok(panic) = fault.try_into_panic() {
                        resume_unwind(panic);
                    }
                }
            }
        };
        if end == SessionEnd::Stopped {
            let disconnects = async { while others.join_next().await.is_some() {} };
            // Those that take longer are cut.
            let _ = timeout(DISCONNECT_LIMIT, disconnects).await;
        }
        end
    }
}
