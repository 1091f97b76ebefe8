//! Pure: the messages of the cloud, and what each changes in the conversation.

use std::time::Instant;

use super::{
    Conversation, ConversationEvent, Fetch, InFlightRequest, LOOK_AGAIN, ShadowRequest, given_up,
};
use crate::mqtt::request::Rejection;
use crate::shadow::cloud::answer::{self, Accepted, Delta, reason};
use crate::shadow::cloud::topics::Channel;
use crate::shadow::cloud::update::Update;
use crate::shadow::cloud::view::{View, ViewChange};
use crate::shadow::effect::{OneShot, Target};

impl Conversation {
    /// A message came. Gives what happened, and what these services are to be asked because of it:
    /// every one of them when the whole document is known, or those with something unanswered. `jitter`
    /// is between 0 and 1.
    pub fn received<'a>(
        &mut self,
        channel: Channel,
        payload: &[u8],
        services: impl Iterator<Item = &'a str>,
        now: Instant,
        jitter: f64,
    ) -> (Vec<ConversationEvent>, Vec<Target>) {
        let events = self.heard(channel, payload, now, jitter);
        let all = events.contains(&ConversationEvent::Document);
        let asks = |event: &ConversationEvent| {
            matches!(
                event,
                ConversationEvent::DesiredChanged | ConversationEvent::Settled(_)
            )
        };
        let targets = match all || events.iter().any(asks) {
            true => self.targets(services, all),
            false => Vec::new(),
        };
        (events, targets)
    }

    fn heard(
        &mut self,
        channel: Channel,
        payload: &[u8],
        now: Instant,
        jitter: f64,
    ) -> Vec<ConversationEvent> {
        let outcome = match channel {
            Channel::GetAccepted => answer::accepted(payload).map(|it| self.document(it)),
            Channel::UpdateAccepted => answer::accepted(payload).map(|it| self.accepted(&it)),
            Channel::DeleteAccepted => Ok(self.deleted()),
            Channel::Delta => answer::delta(payload).map(|it| self.delta(it, now)),
            Channel::GetRejected => {
                answer::rejected(payload).map(|it| self.no_document(&it, now, jitter))
            }
            Channel::UpdateRejected => {
                answer::rejected(payload).map(|it| self.no_update(&it, now, jitter))
            }
        };
        outcome.unwrap_or_else(|why| vec![ConversationEvent::Malformed(why)])
    }

    /// The request that this is an answer to, if it is one of ours.
    fn answered(&mut self, token: Option<&str>, is_get: bool) -> Option<InFlightRequest> {
        let ours = self.in_flight.as_ref().is_some_and(|it| {
            it.is_answered_by(token) && matches!(it.request.what, ShadowRequest::Get) == is_get
        });
        let pending = self.in_flight.take_if(|_| ours)?;
        self.losses = 0;
        Some(pending.request)
    }

    fn document(&mut self, document: Accepted) -> Vec<ConversationEvent> {
        let delta = match self.answered(document.token.as_deref(), true) {
            Some(request) => request.delta,
            None if self.is_late_but_good(&document) => None,
            None => return Vec::new(),
        };
        let mut view = View::of(document);
        let orders = self.outbox.desired.look(&view, true);
        if let Some(delta) = delta
            && Some(delta.version) > view.version()
        {
            view.delta(&delta);
        }
        // Whoever made it has made the default one needless.
        self.outbox.drop_seed();
        self.view = Some(view);
        let mut news = ordered(orders);
        news.push(ConversationEvent::Document);
        news
    }

    /// Somebody has deleted the shadow: there may be another one already.
    fn deleted(&mut self) -> Vec<ConversationEvent> {
        if !self.updates_only {
            self.view = None;
            self.outbox.forget_cloud();
            self.refetch(Fetch::Soon);
        }
        Vec::new()
    }

    /// An answer to an earlier request of ours that was no longer waited for.
    fn is_late_but_good(&self, document: &Accepted) -> bool {
        let ours = document
            .token
            .as_deref()
            .is_some_and(|token| self.tokens.made(token));
        let known = self.view.as_ref().and_then(View::version);
        self.connected && ours && Some(document.version) >= known
    }

    fn accepted(&mut self, echo: &Accepted) -> Vec<ConversationEvent> {
        if let Some(InFlightRequest {
            what: ShadowRequest::Update(update),
            ..
        }) = self.answered(echo.token.as_deref(), false)
        {
            (self.failures, self.conflicts) = (0, 0);
            let orders = self.outbox.accepted(&update, echo.version);
            let view = self.view.get_or_insert_default();
            let told = view.own_update(echo.version, &update.state);
            let mut news = vec![ConversationEvent::Settled(update.files)];
            news.extend(ordered(orders));
            news.extend(self.told(told));
            return news;
        }
        self.others(echo)
    }

    /// Somebody else has changed the shadow.
    fn others(&mut self, echo: &Accepted) -> Vec<ConversationEvent> {
        // An answer of ours that comes too late is such an echo, too.
        let token = echo.token.as_deref();
        let ours = token.is_some_and(|token| self.tokens.made(token));
        let Some(view) = self.view.as_mut().filter(|_| !self.updates_only) else {
            return Vec::new();
        };
        let told = view.others_update(echo);
        let answers = &mut self.outbox.desired;
        let again = answers.desired_again(&echo.state.desired, echo.version);
        let mut news = match told {
            ViewChange::Stale => Vec::new(),
            ViewChange::Desired | ViewChange::Nothing => ordered(answers.look(view, ours)),
        };
        let told = if again && told == ViewChange::Nothing {
            ViewChange::Desired
        } else {
            told
        };
        news.extend(self.told(told));
        news
    }

    fn delta(&mut self, delta: Delta, now: Instant) -> Vec<ConversationEvent> {
        if let Some(request) = self.in_flight.as_mut().map(|it| &mut it.request)
            && request
                .delta
                .as_ref()
                .is_none_or(|it| it.version < delta.version)
        {
            request.delta = Some(delta.clone());
        }
        let told = match &mut self.view {
            Some(view) => view.delta(&delta),
            None => ViewChange::Nothing,
        };
        if told == ViewChange::Stale {
            let due = self
                .looked_again
                .is_none_or(|last| now >= last + LOOK_AGAIN);
            if !due {
                return Vec::new();
            }
            self.looked_again = Some(now);
        }
        self.told(told).into_iter().collect()
    }

    fn told(&mut self, told: ViewChange) -> Option<ConversationEvent> {
        match told {
            ViewChange::Nothing => None,
            ViewChange::Desired => Some(ConversationEvent::DesiredChanged),
            ViewChange::Stale => {
                self.refetch(Fetch::Soon);
                None
            }
        }
    }

    fn no_document(
        &mut self,
        rejected: &Rejection,
        now: Instant,
        jitter: f64,
    ) -> Vec<ConversationEvent> {
        if self.answered(rejected.token.as_deref(), true).is_none() {
            return Vec::new();
        }
        if rejected.status == Some(404) {
            self.view = Some(View::default());
            self.outbox.forget_cloud();
            return vec![ConversationEvent::Missing];
        }
        vec![self.again(reason(rejected), now, jitter)]
    }

    fn no_update(
        &mut self,
        rejected: &Rejection,
        now: Instant,
        jitter: f64,
    ) -> Vec<ConversationEvent> {
        if rejected.token.is_none()
            && let Some(request) = self.in_flight.as_mut().map(|it| &mut it.request)
        {
            request.hint = Some(rejected.clone());
            return Vec::new();
        }
        let Some(InFlightRequest {
            what: ShadowRequest::Update(update),
            ..
        }) = self.answered(rejected.token.as_deref(), false)
        else {
            return Vec::new();
        };
        match rejected.status {
            Some(404 | 409) if !self.updates_only => {
                self.outbox.not_accepted(&update);
                self.conflict(reason(rejected), now, jitter)
            }
            Some(400 | 413) => self.refused(&update, rejected).into_iter().collect(),
            Some(401 | 403 | 415) => self.denied(&update, rejected, now, jitter),
            Some(429) => {
                self.outbox.not_accepted(&update);
                vec![self.again(reason(rejected), now, jitter)]
            }
            // It may have been carried out all the same.
            _ => vec![self.again(reason(rejected), now, jitter)],
        }
    }

    /// The cloud does not allow it, or not now.
    fn denied(
        &mut self,
        update: &Update,
        rejected: &Rejection,
        now: Instant,
        jitter: f64,
    ) -> Vec<ConversationEvent> {
        let what = self.outbox.denied(update);
        let given_up = given_up(what, rejected);
        vec![given_up.unwrap_or_else(|| self.again(reason(rejected), now, jitter))]
    }
}

fn ordered(orders: Vec<OneShot>) -> Vec<ConversationEvent> {
    let news = (!orders.is_empty()).then_some(ConversationEvent::OneShots(orders));
    news.into_iter().collect()
}
