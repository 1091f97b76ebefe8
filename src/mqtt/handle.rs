//! The handle on the connections: what the rest of the program asks of them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::access::Access;
use super::breaker::Flow;
use super::message::{Properties, Publish, QoS};
use super::options::ConnectionOptions;
use super::pool::{SessionHandle, Sessions};
use super::publish_error::{Link, PublishError};
use super::session::SessionChannels;
use super::session_request::{Origin, Reply, SessionRequest};
use super::subscribe::router::invalid;
use super::subscribe::subscriptions::{Subscription, pair};
use super::window::{PublishPermit, Window, WindowPermit};

/// The handle on the connections: the first one, which publishes, and those for subscriptions.
#[derive(Clone, Debug)]
pub struct Mqtt {
    sessions: Arc<[SessionHandle]>,
    link: watch::Receiver<Link>,
    flow: watch::Receiver<Flow>,
    window: Window,
    answers_seen: watch::Receiver<u64>,
}

impl Mqtt {
    /// A handle, and the sessions that must be run for it to work.
    pub fn new(options: ConnectionOptions, access: Access) -> (Mqtt, Sessions) {
        let (link_sender, link) = watch::channel(Link::Down);
        let (seen_sender, answers_seen) = watch::channel(0);
        let (flow_sender, flow) = watch::channel(Flow::Free);
        let channels = SessionChannels {
            link: link_sender,
            flow: flow_sender,
            answers_seen: seen_sender,
        };
        let sessions = Sessions::new(options, access, channels);
        let mqtt = Mqtt {
            sessions: sessions.lines().into(),
            link,
            flow,
            window: Window::default(),
            answers_seen,
        };
        (mqtt, sessions)
    }

    /// Reports when the first connection comes and goes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Reports whether messages may be sent: not while the broker refuses every one of them.
    pub fn flow(&self) -> watch::Receiver<Flow> {
        self.flow.clone()
    }

    /// Waits until the broker has answered something: an acknowledgement, a message or a ping. A
    /// CONNACK is no such answer. Resolves only while the program works, so bound the wait.
    pub async fn answered_once(&self) {
        let mut seen = self.answers_seen.clone();
        if *seen.borrow() == 0 && seen.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits for a place in the window that all publishers share, with room for so many bytes: to be had
    /// before they are read, since the window bounds memory too. Resolves only while the program works,
    /// so wait for something else as well.
    pub async fn place(&self, bytes: u64) -> PublishPermit {
        self.window.place(bytes).await
    }

    /// Waits for the whole window: nothing else flies beside what is published with this slot.
    pub async fn slot_alone(&self) -> WindowPermit {
        self.window.all().await
    }

    /// Resolves when the broker has acknowledged it (QoS 1) or TLS and the kernel have taken it (QoS 0).
    /// The broker's refusal, a lost connection or no connection at all are errors; each of them
    /// comes within the session's deadlines. `refused_before`: the broker has refused this very
    /// message, so that another refusal is no sign that it refuses everything.
    pub async fn publish(
        &self,
        publish: Publish,
        place: PublishPermit,
        refused_before: bool,
    ) -> Result<(), PublishError> {
        let place = self
            .window
            .fitted(place, publish.payload.len() as u64)
            .await;
        let origin = if refused_before {
            Origin::RefusedMessage
        } else {
            Origin::Message
        };
        let answer = self.send(publish, origin).await;
        drop(place);
        answer
    }

    /// Publishes a request to one of the cloud's services: small, with QoS 1, beside the window of
    /// the messages, so that a full one does not hold it up. Ends as [`Mqtt::publish`] does.
    pub async fn request(&self, topic: &str, payload: Bytes) -> Result<(), PublishError> {
        let room = self.window.service().await;
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
        if self.sessions[0].requests.send(request).await.is_err() {
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
        if let Some(why) = filters.iter().find_map(|filter| invalid(filter)) {
            return Err(why);
        }
        let count = u32::try_from(filters.len()).unwrap_or(u32::MAX);
        let with_room = self.sessions.iter().find_map(|session| {
            let room = session.room.clone().try_acquire_many_owned(count).ok()?;
            Some((session, room))
        });
        let Some((session, room)) = with_room else {
            return Err(
                "there is no room for it: each connection takes 50 topics, allow more of them with --max-connections",
            );
        };
        let (subscriber, subscription) = pair(filters, qos, capacity, room);
        // Without a session the subscription ends at once, which its reader sees.
        let _ = session
            .requests
            .send(SessionRequest::Subscribe(subscriber))
            .await;
        Ok(subscription)
    }

    /// Sends DISCONNECT on each connection, so that the last will is not published, and ends the
    /// sessions. Resolves when the broker has closed them, or after a second, or at once without any.
    pub async fn disconnect(&self) {
        let mut closing = Vec::new();
        for session in self.sessions.iter() {
            let (done, finished) = oneshot::channel();
            if session
                .requests
                .send(SessionRequest::Disconnect(done))
                .await
                .is_ok()
            {
                closing.push(finished);
            }
        }
        for finished in closing {
            let _ = finished.await;
        }
    }
}
