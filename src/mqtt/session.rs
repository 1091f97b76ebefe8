//! The task behind [`Mqtt`](super::Mqtt): connects, subscribes after CONNACK, routes, counts
//! attempts, and starts every connection with a fresh client, because what the client keeps across
//! connections is not reliable.

use std::pin::pin;
use std::time::Duration;

use log::{Level, debug, info, log};
use tokio::net::lookup_host;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::backoff::{Backoff, Next};
use super::connection::Connection;
use super::failure::{Class, Ending};
use super::herald::{Herald, Watcher};
use super::subscriptions::Subscriptions;
use super::wire::{self, Events, Seen};
use super::{Link, Options, PublishError, Request, Tls, Version};
use crate::clock::{self, now, reached};
use crate::repeats::{Repeats, worth_a_line};

const DNS: Duration = Duration::from_secs(10);
/// Above the client's own timeout: only for the case that the client does not keep it.
const CONNECT: Duration = Duration::from_secs(45);

/// Why the session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// [`Mqtt::disconnect`](super::Mqtt::disconnect) was called, or every handle is gone.
    Stopped,
    /// So many failures in a row without progress. `rotate`: another certificate is worth a try.
    GivenUp { failures: u32, rotate: bool },
}

/// Owns the connection. Does nothing until it is run.
pub struct Session {
    options: Options,
    tls: Tls,
    mailbox: mpsc::Receiver<Request>,
    link: watch::Sender<Link>,
    backoff: Backoff,
    subscriptions: Subscriptions,
    failures: Repeats,
    connections: u64,
    /// Counts the broker's answers.
    proofs: watch::Sender<u64>,
    herald: Herald,
}

impl Session {
    pub(super) fn new(
        options: Options,
        tls: Tls,
        mailbox: mpsc::Receiver<Request>,
        link: watch::Sender<Link>,
        proofs: watch::Sender<u64>,
    ) -> Self {
        let backoff = Backoff::new(options.attempts);
        let (subscriptions, failures) = (Subscriptions::default(), Repeats::default());
        Session {
            options,
            tls,
            mailbox,
            link,
            backoff,
            subscriptions,
            failures,
            connections: 0,
            proofs,
            herald: Herald::default(),
        }
    }

    /// What happens to the connection from now on. Whoever watches never holds up the session.
    pub fn watcher(&mut self) -> Watcher {
        self.herald.watcher()
    }

    /// Connects and stays connected until told to stop or given up.
    pub async fn run(mut self) -> End {
        loop {
            self.herald.connecting(self.backoff.attempt());
            let (ending, was_up) = match self.connection().await {
                Ok(()) => return End::Stopped,
                Err(ended) => ended,
            };
            match self.backoff.ended(&ending, fastrand::f64(), now()) {
                Next::GiveUp { failures, rotate } => {
                    self.report(&ending, was_up, "giving up");
                    self.herald.ended(&ending.to_string(), None);
                    return End::GivenUp { failures, rotate };
                }
                Next::RetryAt(at) => {
                    let wait = at.saturating_duration_since(now());
                    let clock = ending.class == Class::TlsClock;
                    let or = if clock {
                        " or when the clock is set"
                    } else {
                        ""
                    };
                    let next = format!("next attempt in {:.0} s{or}", wait.as_secs_f64());
                    self.report(&ending, was_up, &next);
                    self.herald.ended(&ending.to_string(), Some(wait));
                    let rested = async {
                        tokio::select! {
                            () = reached(Some(at)) => {}
                            () = clock::set(), if clock => info!("the clock has been set"),
                        }
                    };
                    if self.meanwhile(rested).await.is_none() {
                        return End::Stopped;
                    }
                }
            }
        }
    }

    /// One line for each ending: a warning, but the same failure again and again only at 2, 4, 8, …
    fn report(&mut self, ending: &Ending, was_up: bool, next: &str) {
        let what = if was_up {
            "connection lost"
        } else {
            "connection failed"
        };
        let count = self.failures.count(&ending.to_string());
        let level = if worth_a_line(count) {
            Level::Warn
        } else {
            Level::Debug
        };
        let times = if count > 1 {
            format!(" ({count} times in a row)")
        } else {
            String::new()
        };
        log!(level, "{what}: {ending}{times}, {next}");
    }

    /// Awaits `work` and meanwhile serves requests without a connection. `None` means stop.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return Some(result),
                request = self.mailbox.recv() => match request {
                    Some(Request::Publish(_, reply)) => {
                        let _ = reply.send(Err(PublishError::Disconnected { suspect: false }));
                    }
                    Some(Request::Subscribe(subscriber)) => self.subscriptions.add(subscriber),
                    Some(Request::Disconnect(_)) | None => return None,
                },
            }
        }
    }

    /// One connection from name look-up to its end. `Err` says how it ended, and whether it had
    /// been accepted.
    async fn connection(&mut self) -> Result<(), (Ending, bool)> {
        debug!(
            "connecting to {} as '{}'",
            self.options.endpoint, self.options.client_id
        );
        match self.look_up().await {
            None => return Ok(()),
            Some(result) => result.map_err(|ending| (ending, false))?,
        }
        let (client, mut events) = wire::open(&self.options, &self.tls);
        let mut connection = Connection::new(client, now() + CONNECT);
        let result = self.serve(&mut connection, &mut events).await;
        connection.ended();
        for seen in events.leftover() {
            if let Seen::Acknowledged(packet_id, ack) = seen {
                // Acknowledgements of the dead connection are real.
                self.progress();
                connection.acknowledged(packet_id, ack, now());
            } else if let Seen::Sent(packet_id) = seen {
                connection.sent(packet_id);
            }
        }
        self.link.send_replace(Link::Down);
        let was_up = connection.is_up();
        // Only what was on the way can be the reason.
        let flying = connection.is_flying();
        let result = result.map_err(|ending| Ending {
            blames_us: ending.blames_us && flying,
            ..ending
        });
        connection.lost(matches!(&result, Err(ending) if ending.blames_us));
        result.map_err(|ending| (self.blame_clock(ending), was_up))
    }

    /// Before the clock is set no certificate can be judged, whatever is said against it.
    fn blame_clock(&self, ending: Ending) -> Ending {
        let unset = clock::wall() < self.options.clock_floor;
        match ending.class {
            Class::TlsCa if unset => Ending {
                class: Class::TlsClock,
                reason: format!("our clock is not set; {}", ending.reason),
                ..ending
            },
            _ => ending,
        }
    }

    /// Resolves the name, only to tell a failure of the name service from others: the client does
    /// it again. `None` means stop.
    async fn look_up(&mut self) -> Option<Result<(), Ending>> {
        let endpoint = self.options.endpoint.clone();
        let address = timeout(DNS, lookup_host((endpoint.host.as_str(), endpoint.port)));
        let reason = match self.meanwhile(address).await? {
            Ok(Ok(mut addresses)) => match addresses.next() {
                Some(_) => return Some(Ok(())),
                None => "no address".to_owned(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within 10 s".to_owned(),
        };
        Some(Err(Ending::new(
            Class::Dns,
            format!("cannot resolve {}: {reason}", endpoint.host),
        )))
    }

    /// Runs one connection to its end.
    async fn serve(
        &mut self,
        connection: &mut Connection,
        events: &mut Events,
    ) -> Result<(), Ending> {
        loop {
            let seen = {
                // Never dropped half-way except together with the whole connection.
                let mut poll = pin!(events.poll(connection.is_up()));
                loop {
                    tokio::select! {
                        seen = &mut poll => break seen,
                        request = self.mailbox.recv(), if !connection.is_leaving() => {
                            self.request(connection, request);
                        }
                        () = reached(connection.deadline()) => {}
                    }
                    if let Some(ending) = connection.overdue(now()) {
                        return if connection.is_leaving() {
                            Ok(())
                        } else {
                            Err(ending)
                        };
                    }
                }
            };
            match seen {
                Ok(seen) => {
                    let received = matches!(seen, Seen::Received(_));
                    self.seen(connection, seen);
                    if received {
                        // Many messages may come in one read: their readers take them in between.
                        yield_now().await;
                    }
                }
                // After our DISCONNECT the broker closes the connection.
                Err(_) if connection.is_leaving() => return Ok(()),
                Err(ending) => return Err(ending),
            }
        }
    }

    fn request(&mut self, connection: &mut Connection, request: Option<Request>) {
        match request {
            Some(Request::Publish(publish, reply)) => connection.publish(publish, reply, now()),
            Some(Request::Subscribe(subscriber)) => {
                self.subscriptions.add(subscriber);
                if connection.is_up() {
                    self.subscribe(connection);
                }
            }
            Some(Request::Disconnect(done)) => connection.disconnect(done, now()),
            // Every handle is gone: leave as if told to.
            None => connection.disconnect(oneshot::channel().0, now()),
        }
    }

    fn seen(&mut self, connection: &mut Connection, seen: Seen) {
        if seen.is_incoming() {
            connection.heard(now());
        }
        match seen {
            Seen::Connected(accepted) => {
                connection.accepted(accepted);
                self.connected(connection, accepted.session_present);
            }
            Seen::Sent(packet_id) => connection.sent(packet_id),
            Seen::Written => connection.written(now()),
            Seen::Acknowledged(packet_id, ack) => {
                self.progress();
                connection.acknowledged(packet_id, ack, now());
            }
            Seen::SubscribeSent(packet_id) => connection.subscribe_sent(packet_id),
            Seen::Subscribed(packet_id, codes) => {
                if let Some(batch) = connection.subscribed(packet_id, now()) {
                    self.subscriptions.acknowledged(&batch, &codes);
                    self.settle();
                }
            }
            Seen::Received(message) => {
                self.progress();
                self.subscriptions.received(&message);
            }
            Seen::PingSent => connection.ping_sent(now()),
            Seen::PingAnswered => {
                self.progress();
                connection.ping_answered();
            }
            Seen::DisconnectSent | Seen::Nothing => {}
        }
    }

    fn connected(&mut self, connection: &mut Connection, session_present: bool) {
        let version = match self.options.version {
            Version::V311 => "3.1.1",
            Version::V5 => "5",
        };
        self.connections += 1;
        info!(
            "connected to {} as '{}' (MQTT {version})",
            self.options.endpoint, self.options.client_id
        );
        self.herald.connected(session_present);
        self.subscriptions.connected(session_present);
        self.subscribe(connection);
        self.link.send_replace(Link::Up(self.connections));
        self.settle();
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        for filters in self.subscriptions.unasked() {
            connection.subscribe(&filters, now());
        }
    }

    fn settle(&mut self) {
        if self.subscriptions.settled() {
            self.herald.settled();
        }
    }

    fn progress(&mut self) {
        self.proofs.send_modify(|count| *count += 1);
        self.backoff.progress();
        self.failures.clear();
    }
}
