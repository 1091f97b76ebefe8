//! The task behind one client id: connects, subscribes after CONNACK, routes, counts attempts, and
//! starts every connection with a fresh client, because what the client keeps across connections is
//! not reliable.

mod ending;
mod packets;
mod violations;

use std::pin::pin;
use std::time::Duration;

use log::{debug, info};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;

use crate::clock::{self, now, reached};
use crate::mqtt::access::Access;
use crate::mqtt::backoff::{Backoff, NextAttempt};
use crate::mqtt::breaker::Flow;
use crate::mqtt::connection::Connection;
use crate::mqtt::dial::{BrokerDialer, Dialed};
use crate::mqtt::events::sender::{EventReceiver, EventSender};
use crate::mqtt::events::session_log::SessionLog;
use crate::mqtt::gate::Gate;
use crate::mqtt::options::ConnectionOptions;
use crate::mqtt::publish_error::{Link, PublishError};
use crate::mqtt::relay::Relay;
use crate::mqtt::session_request::SessionRequest;
use crate::mqtt::subscribe::durable::Durable;
use crate::mqtt::subscribe::subscriptions::{Subscriptions, durable_pair};
use crate::mqtt::wire::{self, Acknowledging, Events, Fault, Seen};
use crate::net::{Class, Ending};
use violations::violation;

/// For CONNACK. Above the client's own timeout: only for the case that the client does not keep it.
const CONNACK: Duration = Duration::from_secs(45);
/// For the relay to say why the client's socket was closed: its last words and its leave.
const WHY_CUT: Duration = Duration::from_secs(5);
/// For how long the broker is asked to keep what durable readers have not acknowledged: the most that
/// AWS IoT Core can be set to. It lowers this to the account's own limit.
const DURABLE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why the session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// [`Mqtt::disconnect`](crate::mqtt::Mqtt::disconnect) was called, or every handle is gone.
    Stopped,
    /// So many failures in a row without progress. `rotate`: another certificate is worth a try.
    GivenUp { failures: u32, rotate: bool },
}

/// What the rest of the program learns of a session.
pub struct SessionChannels {
    pub link: watch::Sender<Link>,
    pub flow: watch::Sender<Flow>,
    /// Counts the broker's answers.
    pub answers_seen: watch::Sender<u64>,
}

impl SessionChannels {
    /// For a session that nobody asks.
    pub fn unheard() -> SessionChannels {
        SessionChannels {
            link: watch::Sender::new(Link::Down),
            flow: watch::Sender::new(Flow::Free),
            answers_seen: watch::Sender::new(0),
        }
    }
}

/// Owns one connection. Does nothing until it is run.
pub struct Session {
    options: ConnectionOptions,
    dialer: BrokerDialer,
    mailbox: mpsc::Receiver<SessionRequest>,
    link: watch::Sender<Link>,
    gate: Gate,
    /// The link of the first session, for one that only helps it.
    first: Option<watch::Receiver<Link>>,
    backoff: Backoff,
    subscriptions: Subscriptions,
    report: SessionLog,
    connections: u64,
    /// The answer to this connection's birth message.
    birth_reply: Option<oneshot::Receiver<Result<(), PublishError>>>,
    /// Durable messages of connections before this one come again.
    again: watch::Sender<u64>,
    /// Counts the broker's answers.
    answers_seen: watch::Sender<u64>,
    event_sender: EventSender,
}

/// A connection at work, apart from its event loop.
struct Open {
    connection: Connection,
    /// Packet ids that readers are done with.
    answers: mpsc::Receiver<u16>,
    relay: Relay,
}

impl Session {
    /// `first`: this session is there for further subscriptions. It connects when there is one, and
    /// only while the first session is connected; it never gives up.
    pub fn new(
        options: ConnectionOptions,
        access: Access,
        mailbox: mpsc::Receiver<SessionRequest>,
        news: SessionChannels,
        first: Option<watch::Receiver<Link>>,
    ) -> Self {
        let backoff = Backoff::new(first.as_ref().map_or(options.attempts, |_| 0));
        Session {
            report: SessionLog::new(&options, first.is_some()),
            dialer: BrokerDialer::new(options.endpoint.clone(), options.route.clone(), access),
            options,
            mailbox,
            link: news.link,
            gate: Gate::new(news.flow),
            first,
            backoff,
            subscriptions: Subscriptions::default(),
            connections: 0,
            birth_reply: None,
            again: watch::Sender::new(0),
            answers_seen: news.answers_seen,
            event_sender: EventSender::default(),
        }
    }

    /// What happens to the connection from now on. Whoever watches never holds up the session.
    pub fn event_receiver(&mut self) -> EventReceiver {
        self.event_sender.receiver()
    }

    /// How many filters are subscribed.
    pub fn filters(&self) -> usize {
        self.subscriptions.filters().count()
    }

    /// A subscription from the first connection on, so that nothing that the broker kept for an
    /// earlier process is missed.
    pub fn durable(&mut self, filters: &[&str]) -> Durable {
        self.options.session_expiry = self.options.session_expiry.max(DURABLE);
        let (subscriber, durable) = durable_pair(filters, self.again.subscribe());
        self.subscriptions.add(subscriber);
        durable
    }

    /// Connects and stays connected until asked to stop or given up.
    pub async fn run(mut self) -> SessionEnd {
        loop {
            if self.wanted().await.is_none() {
                return SessionEnd::Stopped;
            }
            // Told before the attempt: one that hangs in the resolver is seen as one that has begun.
            self.event_sender.connecting(self.backoff.attempt());
            let (ending, was_up) = match self.connection().await {
                Ok(()) => return SessionEnd::Stopped,
                Err((ending, was_up)) => (self.dialer.explain(ending), was_up),
            };
            match self.backoff.ended(&ending, fastrand::f64(), now()) {
                NextAttempt::GiveUp { failures, rotate } => {
                    self.report(&ending, was_up, "giving up");
                    self.event_sender.ended(&ending.to_string(), None);
                    return SessionEnd::GivenUp { failures, rotate };
                }
                NextAttempt::RetryAt(at) => {
                    let wait = at.saturating_duration_since(now());
                    let clock = ending.class == Class::TlsClock;
                    let or = if clock {
                        " or when the clock is set"
                    } else {
                        ""
                    };
                    let next = format!("next attempt in {:.0} s{or}", wait.as_secs_f64());
                    self.report(&ending, was_up, &next);
                    self.event_sender.ended(&ending.to_string(), Some(wait));
                    let rested = async {
                        tokio::select! {
                            () = reached(Some(at)) => {}
                            () = clock::set(), if clock => info!("the clock has been set"),
                        }
                    };
                    let rested = meanwhile(&mut self.mailbox, &mut self.subscriptions, rested);
                    if rested.await.is_none() {
                        return SessionEnd::Stopped;
                    }
                }
            }
        }
    }

    /// Waits until it is worth while to connect. `None` means stop.
    async fn wanted(&mut self) -> Option<()> {
        let Some(mut first) = self.first.clone() else {
            return Some(());
        };
        while self.subscriptions.is_empty() {
            match self.mailbox.recv().await {
                Some(SessionRequest::Subscribe(subscriber)) => self.subscriptions.add(subscriber),
                Some(SessionRequest::Publish(_, reply)) => reply.disconnected(),
                Some(SessionRequest::Disconnect(_)) | None => return None,
            }
        }
        let up = first.wait_for(|link| *link != Link::Down);
        let up = meanwhile(&mut self.mailbox, &mut self.subscriptions, up);
        up.await?.ok().map(drop)
    }

    fn report(&mut self, ending: &Ending, was_up: bool, next: &str) {
        let filters = self.subscriptions.filters().collect();
        self.report.ended(ending, was_up, next, filters);
    }

    /// One connection from name look-up to its end. `Err` says how it ended, and whether it had
    /// been accepted.
    async fn connection(&mut self) -> Result<(), (Ending, bool)> {
        debug!(
            "connecting to {} as '{}'",
            self.options.endpoint, self.options.client_id
        );
        let dialed = meanwhile(
            &mut self.mailbox,
            &mut self.subscriptions,
            self.dialer.dial(),
        );
        match dialed.await {
            None => Ok(()),
            Some(Ok(dialed)) => self.converse(dialed).await,
            Some(Err(ending)) => Err((self.blame_clock(ending), false)),
        }
    }

    /// MQTT on a stream to the broker, to the end of both.
    async fn converse(&mut self, dialed: Dialed) -> Result<(), (Ending, bool)> {
        let Dialed { stream, login } = dialed;
        let (relay, socket) =
            Relay::start(stream).map_err(|error| (wire::no_relay(&error), false))?;
        let acknowledging = if self.subscriptions.are_durable() {
            Acknowledging::ByHand
        } else {
            Acknowledging::ByItself
        };
        let (client, mut events) = wire::open(&self.options, login, acknowledging, &socket);
        let (connection, answers) =
            Connection::new(client, acknowledging, self.options.rates, now() + CONNACK);
        let mut open = Open {
            connection,
            answers,
            relay,
        };
        let result = self.serve(&mut open, &mut events).await;
        self.leave(open, events, result).await
    }

    /// Runs one connection to its end.
    async fn serve(&mut self, open: &mut Open, events: &mut Events) -> Result<(), Ending> {
        loop {
            let seen = {
                let Open {
                    connection,
                    answers,
                    relay,
                } = &mut *open;
                // Never dropped half-way except together with the whole connection.
                let mut poll = pin!(events.poll());
                loop {
                    // Looked at before each wait: the deadline that woke us may be the one that ends the connection.
                    if let Some(ending) = connection.overdue(now()) {
                        return if connection.is_leaving() {
                            Ok(())
                        } else {
                            Err(ending)
                        };
                    }
                    tokio::select! {
                        seen = &mut poll => break seen,
                        request = self.mailbox.recv(), if !connection.is_leaving() => {
                            self.request(connection, request);
                        }
                        Some(packet_id) = answers.recv() => connection.done(packet_id),
                        count = relay.flushed() => connection.flushed(count, now()),
                        () = reached(connection.deadline()) => {}
                        () = reached(connection.next_publish(now())) => connection.refill(now()),
                        () = reached(self.gate.deadline()) => self.gate.resume(now()),
                    }
                }
            };
            match seen {
                Ok(seen) => {
                    if let Some(ending) = violation(&seen, open.connection.is_up()) {
                        return Err(ending);
                    }
                    let received = matches!(seen, Seen::Received(..));
                    self.seen(open, seen);
                    if received {
                        // Many messages may come in one read: their readers take them in between.
                        yield_now().await;
                    }
                }
                // After our DISCONNECT the broker closes the connection.
                Err(_) if open.connection.is_leaving() => return Ok(()),
                Err(Fault::Ended(ending)) => return Err(ending),
                Err(Fault::Cut) => return Err(self.why_cut(open).await),
            }
        }
    }
}

/// Awaits `work` and meanwhile serves requests without a connection. `None` means stop.
async fn meanwhile<T>(
    mailbox: &mut mpsc::Receiver<SessionRequest>,
    subscriptions: &mut Subscriptions,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return Some(result),
            request = mailbox.recv() => match request {
                Some(SessionRequest::Publish(_, reply)) => reply.disconnected(),
                Some(SessionRequest::Subscribe(subscriber)) => subscriptions.add(subscriber),
                Some(SessionRequest::Disconnect(_)) | None => return None,
            },
        }
    }
}
