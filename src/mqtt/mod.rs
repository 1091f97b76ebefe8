//! The connection to the broker, as the rest of the program sees it. The only folder that names the
//! MQTT crate and the TLS crate.
//!
//! [`Mqtt`] is a handle that may be cloned; the task behind it is [`Sessions`]. Nothing is kept
//! across connections: after a lost one every waiter learns [`PublishError::Disconnected`] and
//! sends again from what it still has on disk, and the broker delivers again what was not
//! acknowledged.

mod backoff;
mod breaker;
mod connection;
mod dial;
mod events;
mod failure;
mod gate;
mod in_flight;
mod message;
mod pool;
mod rate_limit;
mod relay;
mod session;
mod subscribe;
mod tls;
mod wire;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::identity::Endpoint;

pub use breaker::Flow;
pub use events::event::{ConnectionEnd, ConnectionEvent};
pub use events::sender::EventReceiver;
pub use failure::{Class, Ending};
pub use message::{Message, Properties, Publish, QoS};
pub use pool::Sessions;
pub use rate_limit::Rates;
pub use session::SessionEnd;
pub use subscribe::assignment::{FILTERS_PER_CONNECTION, MOST_CONNECTIONS, share_out};
pub use subscribe::durable::{Delivery, Durable};
pub use subscribe::router::invalid as invalid_filter;
pub use subscribe::subscriptions::{Subscription, SubscriptionState};
pub use tls::{Roots, Tls};

use pool::SessionHandle;
use subscribe::subscriptions::Subscriber;

/// Publishes of all directories together that are on the way at one time. AWS IoT Core allows 100
/// unacknowledged on one connection; ten are left for what is not a message file.
pub const WINDOW_MESSAGES: usize = WINDOW as usize;
const WINDOW: u32 = 90;
/// Requests to the cloud's services, beside the messages.
const REQUESTS: usize = 8;
/// Their payloads together, in KiB: what a slow link can carry within a keep-alive.
const WINDOW_KIB: usize = 1024;
/// Requests on their way to the session. More than the window, so that a full mailbox means no
/// more than a short wait for the session's next turn.
const MAILBOX: usize = 256;

/// What a connection needs to know, apart from certificates.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    pub client_id: String,
    pub endpoint: Endpoint,
    pub version: Version,
    /// At least 5 s, which is the least that the MQTT client takes.
    pub keep_alive: Duration,
    /// How long the broker keeps our session while we are away; zero asks for a clean one.
    pub session_expiry: Duration,
    pub last_will: Option<LastWill>,
    /// Published, with QoS 1, at the beginning of each first connection, before all else.
    pub birth: Option<Birth>,
    /// Connections at most: further ones, each with its own client id, are made for subscriptions.
    pub connections: usize,
    /// Consecutive failures before giving up; 0 never gives up.
    pub attempts: u32,
    /// What is published a second at most.
    pub rates: Rates,
    /// The wall clock is not set if it shows an earlier time.
    pub clock_floor: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

/// Published by the broker, with QoS 1, when the connection ends without a DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWill {
    pub topic: String,
    pub payload: String,
    pub retain: bool,
}

/// What a connection begins with: the counterpart of the last will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    pub topic: String,
    pub payload: String,
    pub retain: bool,
}

/// Whether there is a connection. The number tells one connection from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Down,
    Up(u64),
}

/// Why a publish was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// Says nothing about whether the broker got it: the caller still has the message and may send
    /// it again. `Some`: the broker ended the connection, perhaps because of this message.
    Disconnected { blame: Option<PossibleCause> },
    /// The broker answered with a refusal. `accepted`: how many messages it has accepted until then,
    /// so whoever is refused twice can tell whether others were accepted in between.
    Refused {
        reason: String,
        refusal: RefusalClass,
        accepted: u64,
    },
}

/// How a message stands to the end of a connection that the broker may have ended because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossibleCause {
    /// Nothing else was on its way.
    pub alone: bool,
    /// It was the oldest on its way: a broker that answers in order ended it over this one.
    pub oldest: bool,
    /// How many messages the broker has accepted until then.
    pub accepted: u64,
}

/// What a refusal says about the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// The same message will be refused again.
    Permanent,
    /// The same message may be accepted later.
    Passing,
    /// We send too much: every message may be refused until we send less.
    Quota,
}

/// One or more places in the window. Given back when dropped.
#[derive(Debug)]
pub struct WindowPermit(OwnedSemaphorePermit);

impl WindowPermit {
    /// Takes one place out of several. `None`: there is only one.
    pub fn split(&mut self) -> Option<WindowPermit> {
        let more = self.0.num_permits() > 1;
        more.then(|| self.0.split(1)).flatten().map(WindowPermit)
    }
}

/// A place in the window, with room for the bytes of a message.
#[derive(Debug)]
pub struct PublishPermit {
    slot: WindowPermit,
    /// `None`: it is taken when the size of the payload is known.
    room: Option<BytesPermit>,
}

impl PublishPermit {
    /// Without room: for the few that fly alone.
    pub fn of(slot: WindowPermit) -> PublishPermit {
        PublishPermit { slot, room: None }
    }

    /// Whether there is room for so many bytes.
    pub fn holds(&self, bytes: u64) -> bool {
        self.room
            .as_ref()
            .is_none_or(|room| room.0.num_permits() >= kib(bytes))
    }
}

/// KiB of the window. Given back when dropped.
#[derive(Debug)]
struct BytesPermit(OwnedSemaphorePermit);

impl BytesPermit {
    fn shrunk(mut self, kib: usize) -> BytesPermit {
        let excess = self.0.num_permits().saturating_sub(kib);
        drop(self.0.split(excess));
        self
    }
}

/// What so many bytes take of the window. More than all of it is never asked for.
fn kib(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(1024))
        .unwrap_or(WINDOW_KIB)
        .clamp(1, WINDOW_KIB)
}

pub(crate) enum SessionRequest {
    Publish(Publish, Reply),
    Subscribe(Subscriber),
    Disconnect(oneshot::Sender<()>),
}

/// Where the answer to a publish goes.
pub(crate) struct Reply {
    origin: Origin,
    to: oneshot::Sender<Result<(), PublishError>>,
}

/// Whose publish it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A message file: what the broker says about it says something about the others.
    Message,
    /// A request to a service of the cloud, or the birth message.
    Other,
}

impl Reply {
    pub fn new(origin: Origin) -> (Reply, oneshot::Receiver<Result<(), PublishError>>) {
        let (to, answer) = oneshot::channel();
        (Reply { origin, to }, answer)
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Nobody may be there any more to hear it.
    pub fn send(self, answer: Result<(), PublishError>) {
        let _ = self.to.send(answer);
    }

    /// There is no connection, and nothing is known of this publish.
    pub fn disconnected(self) {
        self.send(Err(PublishError::Disconnected { blame: None }));
    }
}

/// The handle on the connections: the first one, which publishes, and those for subscriptions.
#[derive(Clone, Debug)]
pub struct Mqtt {
    lines: Arc<[SessionHandle]>,
    link: watch::Receiver<Link>,
    flow: watch::Receiver<Flow>,
    messages: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    services: Arc<Semaphore>,
    answers_seen: watch::Receiver<u64>,
}

impl Mqtt {
    /// A handle, and the sessions that must be run for it to work.
    pub fn new(options: ConnectionOptions, tls: Tls) -> (Mqtt, Sessions) {
        let (link_sender, link) = watch::channel(Link::Down);
        let (proof_sender, proofs) = watch::channel(0);
        let (flow_sender, flow) = watch::channel(Flow::Free);
        let news = session::SessionChannels {
            link: link_sender,
            flow: flow_sender,
            answers_seen: proof_sender,
        };
        let sessions = Sessions::new(options, tls, news);
        let mqtt = Mqtt {
            lines: sessions.lines().into(),
            link,
            flow,
            messages: Arc::new(Semaphore::new(WINDOW_MESSAGES)),
            kib: Arc::new(Semaphore::new(WINDOW_KIB)),
            services: Arc::new(Semaphore::new(REQUESTS)),
            answers_seen: proofs,
        };
        (mqtt, sessions)
    }

    /// Tells when the first connection comes and goes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Tells whether messages may be sent: not while the broker refuses every one of them.
    pub fn flow(&self) -> watch::Receiver<Flow> {
        self.flow.clone()
    }

    /// Waits until the broker has answered something: an acknowledgement, a message or a ping. A
    /// CONNACK is no such answer. Resolves only while the program works, so bound the wait.
    pub async fn answered_once(&self) {
        let mut proofs = self.answers_seen.clone();
        if *proofs.borrow() == 0 && proofs.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits for a place in the window that all publishers share, with room for so many bytes: to be had
    /// before they are read, since the window bounds memory too. Resolves only while the program works,
    /// so wait for something else as well.
    pub async fn place(&self, bytes: u64) -> PublishPermit {
        let slot = WindowPermit(acquire(&self.messages, 1).await);
        PublishPermit {
            room: Some(self.room(bytes).await),
            slot,
        }
    }

    /// Waits for the whole window: nothing else flies beside what is published with this slot.
    pub async fn slot_alone(&self) -> WindowPermit {
        WindowPermit(acquire(&self.messages, WINDOW).await)
    }

    /// Resolves when the broker has acknowledged it (QoS 1) or TLS and the kernel have taken it (QoS 0).
    /// The broker's refusal, a lost connection or no connection at all are errors; each of them
    /// comes within the session's deadlines.
    pub async fn publish(
        &self,
        publish: Publish,
        place: PublishPermit,
    ) -> Result<(), PublishError> {
        let PublishPermit { slot, room } = place;
        let bytes = publish.payload.len() as u64;
        let room = match room {
            Some(room) if room.0.num_permits() >= kib(bytes) => room.shrunk(kib(bytes)),
            // A letterhead has added to it. What there was is given back first: whoever holds some and
            // waits for more could wait for another one who does the same.
            other => {
                drop(other);
                self.room(bytes).await
            }
        };
        let answer = self.send(publish, Origin::Message).await;
        drop((room, slot));
        answer
    }

    async fn room(&self, bytes: u64) -> BytesPermit {
        let kib = u32::try_from(kib(bytes)).unwrap_or(1);
        BytesPermit(acquire(&self.kib, kib).await)
    }

    /// Publishes a request to one of the cloud's services: small, with QoS 1, beside the window of
    /// the messages, so that a full one does not hold it up. Ends as [`Mqtt::publish`] does.
    pub async fn request(&self, topic: &str, payload: Bytes) -> Result<(), PublishError> {
        let room = acquire(&self.services, 1).await;
        let publish = Publish {
            topic: topic.to_owned(),
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::default(),
        };
        let answer = self.send(publish, Origin::Other).await;
        drop(room);
        answer
    }

    async fn send(&self, publish: Publish, origin: Origin) -> Result<(), PublishError> {
        let (reply, answer) = Reply::new(origin);
        let gone = PublishError::Disconnected { blame: None };
        let request = SessionRequest::Publish(publish, reply);
        if self.lines[0].requests.send(request).await.is_err() {
            return Err(gone);
        }
        answer.await.unwrap_or(Err(gone))
    }

    /// Subscribes now and after every reconnect, until the subscription is dropped. Up to
    /// `capacity` messages wait for the reader; more are dropped and counted.
    ///
    /// # Errors
    /// Why `filter` is not a topic filter.
    pub async fn subscribe(
        &self,
        filter: &str,
        qos: QoS,
        capacity: usize,
    ) -> Result<Subscription, &'static str> {
        self.subscribe_all(&[filter], qos, capacity).await
    }

    /// One subscription to several filters, all on the same connection. A message comes once, however
    /// many of them it fits.
    ///
    /// # Errors
    /// Why one of them is not a topic filter, or that no connection has room for them.
    pub async fn subscribe_all(
        &self,
        filters: &[&str],
        qos: QoS,
        capacity: usize,
    ) -> Result<Subscription, &'static str> {
        if let Some(why) = filters.iter().find_map(|filter| invalid_filter(filter)) {
            return Err(why);
        }
        let count = u32::try_from(filters.len()).unwrap_or(u32::MAX);
        let with_room = self.lines.iter().find_map(|line| {
            let room = line.room.clone().try_acquire_many_owned(count).ok()?;
            Some((line, room))
        });
        let Some((line, room)) = with_room else {
            return Err(
                "there is no room for it: each connection takes 50 topics, allow more of them with --max-connections",
            );
        };
        let (subscriber, subscription) =
            subscribe::subscriptions::pair(filters, qos, capacity, room);
        // Without a session the subscription ends at once, which its reader sees.
        let _ = line
            .requests
            .send(SessionRequest::Subscribe(subscriber))
            .await;
        Ok(subscription)
    }

    /// Sends DISCONNECT on each connection, so that the last will is not published, and ends the
    /// sessions. Resolves when the broker has closed them, or after a second, or at once without any.
    pub async fn disconnect(&self) {
        let mut goodbyes = Vec::new();
        for line in self.lines.iter() {
            let (done, finished) = oneshot::channel();
            if line
                .requests
                .send(SessionRequest::Disconnect(done))
                .await
                .is_ok()
            {
                goodbyes.push(finished);
            }
        }
        for finished in goodbyes {
            let _ = finished.await;
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    semaphore
        .clone()
        .acquire_many_owned(permits)
        .await
        .expect("the window is never closed")
}
