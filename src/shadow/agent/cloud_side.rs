//! The cloud's side of a shadow's task: the link, requests and answers.

use std::time::Duration;

use log::{Level, debug, error, log, warn};
use serde_json::Value;

use super::ShadowAgent;
use crate::clock::now;
use crate::log_throttle::worth_a_line;
use crate::mqtt::{Link, Message, PublishError, QoS, Subscription, SubscriptionState};
use crate::shadow::cloud::conversation::{Action, ConversationEvent};
use crate::shadow::cloud::outbox::GivenUp;
use crate::shadow::cloud::topics::Channel;
use crate::shadow::effect::FileId;
use crate::spool::outcome::Outcome;

/// Messages that may wait. More are dropped and made up for by a fetch.
const MAILBOX: usize = 64;

impl ShadowAgent {
    pub(super) async fn subscribe(&self, channels: &[Channel]) -> Option<Subscription> {
        let topics: Vec<String> = channels
            .iter()
            .map(|it| self.options.id.topic(*it))
            .collect();
        let filters: Vec<&str> = topics.iter().map(String::as_str).collect();
        match self
            .mqtt
            .subscribe_all(&filters, QoS::AtLeastOnce, MAILBOX)
            .await
        {
            Ok(subscription) => Some(subscription),
            Err(why) => {
                error!("cannot follow the shadow of {}: {why}", self.options.id);
                None
            }
        }
    }

    pub(super) fn channels(&self) -> &'static [Channel] {
        if self.conversation.is_updates_only() {
            &Channel::UPDATE
        } else {
            &Channel::TALK
        }
    }

    /// A conversation begins when there is a connection and all topics are subscribed.
    pub(super) fn link_changed(&mut self, subscription: &Subscription) {
        let present = match *self.link.borrow_and_update() {
            Link::Up(number) => Some((number, *subscription.connection.borrow())),
            Link::Down => None,
        };
        if self.connection.is_some() && self.connection != present {
            self.connection = None;
            self.conversation.disconnected();
        }
        let active = *subscription.state.borrow() == SubscriptionState::Active;
        if present.is_some() && active && self.connection.is_none() {
            self.connection = present;
            self.updates.link_up();
            self.conversation.connected(now());
        }
    }

    /// Sends what there is to send.
    pub(super) fn converse(&mut self) {
        while let Some(action) = self.conversation.next(now()) {
            match action {
                Action::Get(request) => self.send(self.options.id.get(), request),
                Action::Update(request) => self.send(self.options.id.update(), request),
                Action::Settled(files) => self.delivered(&files),
                Action::Undone { keys, pause } => warn!(
                    "{}: somebody else undoes what the shadow of {} says of it, so it is said again after {} s at the earliest, and less and less often",
                    keys.join(", "),
                    self.options.id,
                    pause.as_secs()
                ),
                Action::GiveUp(files) => {
                    for id in files {
                        let reason = "the cloud has refused the configuration that it makes";
                        self.updates.settle(&id, Outcome::Denied(reason.to_owned()));
                    }
                }
            }
        }
    }

    fn send(&mut self, topic: String, request: Value) {
        let (mqtt, payload) = (self.mqtt.clone(), request.to_string());
        let token = request["clientToken"].clone();
        debug!("requesting {topic} with token {token}");
        self.asked = Some(token.clone());
        self.sending
            .spawn(async move { (token, mqtt.request(&topic, payload.into()).await) });
    }

    /// The broker has taken a request, or has not.
    pub(super) async fn sent(&mut self, token: &Value, answer: Result<(), PublishError>) {
        if self.asked.as_ref() != Some(token) {
            return;
        }
        match answer {
            Ok(()) => self
                .conversation
                .taken(token.as_str().unwrap_or_default(), now()),
            Err(PublishError::Refused { reason, .. }) => {
                let news = self.conversation.unsent(&reason, now(), fastrand::f64());
                self.learned(news.into_iter().collect()).await;
            }
            // The link shows it, too.
            Err(PublishError::Disconnected { .. }) => {}
        }
    }

    pub(super) async fn heard(&mut self, message: &Message, subscription: &Subscription) {
        let missed = *subscription.missed.borrow();
        if missed != self.missed {
            self.missed = missed;
            self.conversation.missed(now());
        }
        let channel = Channel::ALL
            .into_iter()
            .find(|it| self.options.id.topic(*it) == message.topic);
        if let Some(channel) = channel {
            let services = self.services.keys();
            let (payload, jitter) = (&message.payload, fastrand::f64());
            let (events, targets) =
                self.conversation
                    .received(channel, payload, services, now(), jitter);
            // Afterwards: a service that asks for it is notified of what is in force then.
            let known = events.iter().any(|event| {
                matches!(
                    event,
                    ConversationEvent::Document | ConversationEvent::Missing
                )
            });
            self.learned(events).await;
            self.reconcile(targets).await;
            if known {
                self.services.initial_notify();
            }
        }
    }

    pub(super) async fn learned(&mut self, news: Vec<ConversationEvent>) {
        for news in news {
            match news {
                // What services are to do because of it comes with it.
                ConversationEvent::Document | ConversationEvent::DesiredChanged => {}
                ConversationEvent::Missing => self.seed().await,
                ConversationEvent::Settled(files) => {
                    self.retries.clear();
                    self.delivered(&files);
                }
                ConversationEvent::OneShots(commands) => self.services.run_one_shots(commands),
                ConversationEvent::GivenUp { what, reason } => self.given_up(what, &reason),
                ConversationEvent::Retry { reason, pause } => self.retry(&reason, pause),
                ConversationEvent::Malformed(why) => self.tell_malformed(&why),
            }
        }
    }

    fn delivered(&mut self, files: &[FileId]) {
        for id in files {
            self.updates.settle(id, Outcome::Delivered);
        }
    }

    fn given_up(&mut self, what: GivenUp, reason: &str) {
        let reason = format!("the cloud refuses it: {reason}");
        for id in &what.files {
            self.updates.settle(id, Outcome::Denied(reason.clone()));
        }
        for key in &what.keys {
            error!("{key}: the configuration is in force but cannot be reported, {reason}");
        }
        if what.seed {
            error!(
                "the default shadow of {} cannot be made, {reason}",
                self.options.id
            );
        }
    }

    fn retry(&mut self, reason: &str, pause: Duration) {
        let again = self.retries.again(Level::Warn, reason);
        log!(
            again.level,
            "the shadow of {} is requested again in {:.0} s: {reason}",
            self.options.id,
            pause.as_secs_f64()
        );
    }

    fn tell_malformed(&mut self, why: &str) {
        if worth_a_line(self.malformed.count(why)) {
            warn!(
                "ignored a message about the shadow of {}: {why}",
                self.options.id
            );
        }
    }
}
