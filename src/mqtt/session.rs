//! The task behind one client id: connects, subscribes after CONNACK, routes, counts attempts, and
//! starts every connection with a fresh client, because what the client keeps across connections is
//! not reliable.

use std::pin::pin;
use std::time::Duration;

use log::{debug, info};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::backoff::{Backoff, NextAttempt};
use super::breaker::Flow;
use super::connection::Connection;
use super::dial::{self, Dialer, Stream};
use super::events::sender::{EventReceiver, EventSender};
use super::events::session_log::SessionLog;
use super::failure::{Class, Ending, closed};
use super::gate::Gate;
use super::message::{Message, Properties, Publish, QoS};
use super::options::{ConnectionOptions, Version};
use super::publish_error::{Link, PublishError};
use super::relay::{Relay, RelayEnd};
use super::session_request::{Origin, Reply, SessionRequest};
use super::subscribe::durable::{Durable, Receipt};
use super::subscribe::subscriptions::{Routing, Subscriptions, durable_pair};
use super::tls::Tls;
use super::wire::{self, Acknowledging, Connack, Events, Fault, Seen};
use crate::clock::{self, now, reached};

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
    /// [`Mqtt::disconnect`](super::Mqtt::disconnect) was called, or every handle is gone.
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
    dialer: Dialer,
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
        tls: Tls,
        mailbox: mpsc::Receiver<SessionRequest>,
        news: SessionChannels,
        first: Option<watch::Receiver<Link>>,
    ) -> Self {
        let backoff = Backoff::new(first.as_ref().map_or(options.attempts, |_| 0));
        Session {
            report: SessionLog::new(&options, first.is_some()),
            dialer: Dialer::new(options.endpoint.clone(), tls),
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
            self.event_sender.connecting(self.backoff.attempt());
            let (ending, was_up) = match self.connection().await {
                Ok(()) => return SessionEnd::Stopped,
                Err(ended) => ended,
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
            Some(Ok(stream)) => self.converse(stream).await,
            Some(Err(ending)) => Err((self.blame_clock(ending), false)),
        }
    }

    /// MQTT on a stream to the broker, to the end of both.
    async fn converse(&mut self, stream: Box<dyn Stream>) -> Result<(), (Ending, bool)> {
        let (relay, socket) =
            Relay::start(stream).map_err(|error| (wire::no_relay(&error), false))?;
        let acknowledging = if self.subscriptions.are_durable() {
            Acknowledging::ByHand
        } else {
            Acknowledging::ByItself
        };
        let (client, mut events) = wire::open(&self.options, acknowledging, &socket);
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

    /// Settles what is known of a connection that has ended, and notifies everybody who waits.
    async fn leave(
        &mut self,
        open: Open,
        mut events: Events,
        result: Result<(), Ending>,
    ) -> Result<(), (Ending, bool)> {
        let Open {
            mut connection,
            mut relay,
            ..
        } = open;
        connection.ended();
        for seen in events.leftover() {
            match seen {
                // Acknowledgements of the dead connection are real.
                Seen::Acknowledged(packet_id, ack) => {
                    self.progress();
                    connection.acknowledged(packet_id, ack, &mut self.gate, now());
                }
                Seen::Sent(packet_id) => connection.sent(packet_id),
                Seen::Received(message, _) => self.subscriptions.received_late(&message),
                Seen::Connected(_)
                | Seen::Written
                | Seen::SubscribeSent(_)
                | Seen::Subscribed(..)
                | Seen::AcknowledgementSent
                | Seen::PingSent
                | Seen::PingAnswered
                | Seen::DisconnectSent
                | Seen::Nothing => {}
            }
        }
        connection.flushed(relay.newly_flushed(), now());
        // The relay sees that the client has gone, and takes leave of the broker.
        drop(events);
        if let Some(until) = connection.leaves_by() {
            let left = until.saturating_duration_since(now());
            let _ = timeout(left, relay.ended()).await;
        }
        self.link.send_replace(Link::Down);
        let was_up = connection.is_up();
        // Only what was on the way can be the reason.
        let flying = connection.is_flying();
        let result = result.map_err(|ending| Ending {
            blames_us: ending.blames_us && flying,
            ..ending
        });
        let blamed = matches!(&result, Err(ending) if ending.blames_us);
        let over_messages = connection.lost(blamed, &mut self.gate, now());
        self.birth_answered();
        let result = result.map_err(|ending| Ending {
            over_messages,
            ..ending
        });
        result.map_err(|ending| (self.blame_clock(ending), was_up))
    }

    /// Before the clock is set no certificate can be judged, whatever is said against it.
    fn blame_clock(&self, ending: Ending) -> Ending {
        let unset = clock::wall() < self.options.clock_floor;
        if ending.class != Class::TlsCa || !unset {
            return ending;
        }
        Ending {
            class: Class::TlsClock,
            reason: format!("our clock is not set; {}", ending.reason),
            ..ending
        }
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

    /// The client knows only that its socket was closed: the relay knows why.
    async fn why_cut(&self, open: &mut Open) -> Ending {
        let connected = open.connection.is_up();
        let ending = match timeout(WHY_CUT, open.relay.ended()).await {
            Ok(RelayEnd::ByBroker | RelayEnd::ByClient) | Err(_) => closed(connected),
            Ok(RelayEnd::Failed(error)) => dial::by_io(&error, connected, Class::Protocol),
            Ok(RelayEnd::Stalled) => wire::stalled(),
        };
        // MQTT 3.1.1 has no answer for a refused publish: the broker ends the connection. So every
        // end by the broker may be about a packet of ours.
        if self.options.version == Version::V311 && ending.class == Class::Server {
            ending.blaming_us()
        } else {
            ending
        }
    }

    fn request(&mut self, connection: &mut Connection, request: Option<SessionRequest>) {
        match request {
            Some(SessionRequest::Publish(publish, reply)) => {
                connection.publish(publish, reply, &mut self.gate, now());
            }
            Some(SessionRequest::Subscribe(subscriber)) => {
                self.subscriptions.add(subscriber);
                if connection.is_up() {
                    self.subscribe(connection);
                }
            }
            Some(SessionRequest::Disconnect(done)) => connection.disconnect(done, now()),
            // Every handle is gone: leave as if asked to.
            None => connection.disconnect(oneshot::channel().0, now()),
        }
    }

    fn seen(&mut self, open: &mut Open, seen: Seen) {
        let connection = &mut open.connection;
        if seen.is_incoming() {
            connection.heard(now());
        }
        match seen {
            Seen::Connected(accepted) => {
                connection.accepted(accepted);
                self.connected(connection, accepted);
            }
            Seen::Sent(packet_id) => connection.sent(packet_id),
            Seen::Written => open.relay.mark(),
            Seen::Acknowledged(packet_id, ack) => {
                self.progress();
                connection.acknowledged(packet_id, ack, &mut self.gate, now());
                self.birth_answered();
            }
            Seen::SubscribeSent(packet_id) => connection.subscribe_sent(packet_id),
            Seen::Subscribed(packet_id, codes) => {
                if let Some(batch) = connection.subscribed(packet_id, now()) {
                    self.subscriptions.acknowledged(&batch, &codes);
                    self.settle();
                }
            }
            Seen::Received(message, packet_id) => {
                self.progress();
                self.received(connection, &message, packet_id);
            }
            Seen::AcknowledgementSent => connection.acknowledgement_sent(),
            Seen::PingSent => connection.ping_sent(now()),
            Seen::PingAnswered => {
                self.progress();
                connection.ping_answered();
            }
            Seen::DisconnectSent | Seen::Nothing => {}
        }
    }

    /// Hands a message to its readers, who say when it may be acknowledged if they are durable.
    fn received(&mut self, connection: &mut Connection, message: &Message, packet_id: Option<u16>) {
        let by_hand = packet_id.zip(connection.answers().cloned());
        let Some((packet_id, answers)) = by_hand else {
            self.subscriptions.received(message, None);
            return;
        };
        if connection.holds(packet_id) {
            return;
        }
        let receipt = Receipt::new(packet_id, self.connections, answers, self.again.subscribe());
        let verdict = self.subscriptions.received(message, Some(&receipt));
        if verdict == Routing::Unmatched {
            self.report.unmatched(&message.topic);
        }
        connection.judged(packet_id, &verdict);
    }

    fn connected(&mut self, connection: &mut Connection, accepted: Connack) {
        self.connections += 1;
        self.gate.resume(now());
        self.report.connected();
        self.event_sender.connected(accepted.session_present);
        if self.subscriptions.are_durable() {
            self.report.session(accepted, self.connections > 1);
        }
        if accepted.session_present {
            self.again.send_replace(self.connections);
        }
        self.publish_birth(connection);
        let present = accepted.session_present;
        self.subscriptions.connected(self.connections, present);
        self.subscribe(connection);
        self.link.send_replace(Link::Up(self.connections));
        self.settle();
    }

    /// Before anybody learns of the connection, so that this is the first message on it.
    fn publish_birth(&mut self, connection: &mut Connection) {
        let Some(birth) = self.options.birth.clone() else {
            return;
        };
        let (reply, answer) = Reply::new(Origin::Other);
        self.birth_reply = Some(answer);
        let publish = Publish {
            topic: birth.topic,
            payload: birth.payload.into(),
            qos: QoS::AtLeastOnce,
            retain: birth.retain,
            properties: Properties::default(),
        };
        connection.publish(publish, reply, &mut self.gate, now());
        self.birth_answered();
    }

    fn birth_answered(&mut self) {
        let answer = self
            .birth_reply
            .as_mut()
            .and_then(|reply| reply.try_recv().ok());
        if let Some(answer) = answer {
            self.birth_reply = None;
            self.report.birth_answered(&answer);
        }
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        for filters in self.subscriptions.unasked() {
            connection.subscribe(&filters, now());
        }
    }

    fn settle(&mut self) {
        if self.subscriptions.settled() {
            self.event_sender.settled();
        }
    }

    fn progress(&mut self) {
        self.answers_seen.send_modify(|count| *count += 1);
        self.backoff.progress();
        self.report.progress();
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
