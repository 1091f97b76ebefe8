//! Pure: the conversation about one shadow: at most one request at a time, asked again after
//! silence, refusals and lost connections, until both sides hold the same.

mod hear;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::answer::{Delta, reason};
use super::outbox::{GivenUp, Outbox};
use super::pace::{Pace, pause_after};
use super::update::Update;
use super::view::View;
use crate::mqtt::request::{ClientTokens, PendingRequest, Rejection};
use crate::shadow::effect::{Effect, FileId, OneShot, Target};
use crate::waits::earliest;

/// Old deltas make us look again, but not more often than this.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// After so many conflicts an update that clears no desired value goes without a version.
const MOST_CONFLICTS: u32 = 3;
/// An answer that was not dropped has come until then, also on a slow link.
const MISSED: Duration = Duration::from_secs(2);

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Publish this to the shadow's get topic.
    Get(Value),
    /// Publish this to the shadow's update topic.
    Update(Value),
    /// The cloud has the contents of these files.
    Settled(Vec<FileId>),
    /// The cloud has refused the contents of these files before.
    GiveUp(Vec<FileId>),
    /// Somebody else undoes what these keys report: it is reported again after this pause at the
    /// earliest.
    Undone { keys: Vec<String>, pause: Duration },
}

/// What a message or an answer means for the services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversationEvent {
    /// The whole document is known. What every service is to be asked comes with it.
    Document,
    /// Desired values have changed. What their services are to be asked comes with it.
    DesiredChanged,
    /// There is no shadow.
    Missing,
    /// The cloud has the contents of these files.
    Settled(Vec<FileId>),
    /// The cloud has cleared the desired values for these commands because we have asked for it.
    OneShots(Vec<OneShot>),
    /// The cloud does not take these.
    GivenUp { what: GivenUp, reason: String },
    /// A request is made again after this pause.
    Retry { reason: String, pause: Duration },
    /// A message that means nothing.
    Malformed(String),
}

#[derive(Debug)]
enum ShadowRequest {
    Get,
    Update(Box<Update>),
}

/// What is waited for, with what has come meanwhile.
#[derive(Debug)]
struct InFlightRequest {
    what: ShadowRequest,
    /// The newest delta.
    delta: Option<Delta>,
    /// A refusal that does not say whose request it refuses.
    hint: Option<Rejection>,
}

/// Whether the document is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    No,
    /// As often as [`Pace`] allows.
    Soon,
    /// For a new connection, or after a request that has failed.
    Now,
}

/// One shadow.
#[derive(Debug)]
pub struct Conversation {
    /// Updates only: the document is never fetched.
    updates_only: bool,
    tokens: ClientTokens,
    connected: bool,
    fetch: Fetch,
    pace: Pace,
    view: Option<View>,
    outbox: Outbox,
    in_flight: Option<PendingRequest<InFlightRequest>>,
    /// Its answer may have been dropped: it is not waited for longer than this.
    hurry: Option<Instant>,
    /// No request before this.
    pause: Option<Instant>,
    /// A fetch that can wait.
    fetch_at: Option<Instant>,
    /// What there is to ask or to say is not due before this.
    held: Option<Instant>,
    /// To be logged: who undoes what.
    undone: Option<Action>,
    looked_again: Option<Instant>,
    failures: u32,
    conflicts: u32,
    /// Connections lost in a row while a request was unanswered.
    losses: u32,
}

impl Conversation {
    /// `prefix` makes the client tokens unique among all that talk about this shadow, at most 40
    /// bytes. `updates_only`: only updates are sent, the document is never fetched.
    pub fn new(prefix: &str, updates_only: bool) -> Conversation {
        Conversation {
            updates_only,
            tokens: ClientTokens::new(prefix),
            connected: false,
            fetch: if updates_only { Fetch::No } else { Fetch::Now },
            pace: Pace::default(),
            view: updates_only.then(View::default),
            outbox: Outbox::default(),
            in_flight: None,
            hurry: None,
            pause: None,
            fetch_at: None,
            held: None,
            undone: None,
            looked_again: None,
            failures: 0,
            conflicts: 0,
            losses: 0,
        }
    }

    /// Whether the document is never fetched.
    pub fn is_updates_only(&self) -> bool {
        self.updates_only
    }

    /// What the cloud holds. `None` before the first answer.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// What these services are to be asked: those with something unanswered, or with `all` every one.
    /// Nothing before the first document.
    fn targets<'a>(&self, keys: impl Iterator<Item = &'a str>, all: bool) -> Vec<Target> {
        match &self.view {
            Some(view) => self.outbox.targets(view, keys, all),
            None => Vec::new(),
        }
    }

    /// What the cloud has of a key, `null` if nothing.
    pub fn reported(&self, key: &str) -> Value {
        let reported = self.view.as_ref().and_then(|view| view.reported().get(key));
        reported.cloned().unwrap_or_default()
    }

    /// Takes over what a service has done.
    ///
    /// # Errors
    /// Why the configuration that is in force cannot be reported.
    pub fn apply(&mut self, effect: Effect) -> Result<(), String> {
        self.outbox.apply(effect)
    }

    /// An update file for a key without service. Repetition is harmless.
    pub fn patch(&mut self, id: FileId, key: &str, patch: Value) {
        self.outbox.patch(id, key, patch);
    }

    /// Makes the shadow, with these reported members of keys without service.
    pub fn seed(&mut self, members: Map<String, Value>) {
        self.outbox.seed(members);
    }

    /// The link is up and every subscription is acknowledged.
    pub fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.outbox.forget_refusals();
        self.refetch(Fetch::Now);
        // A broker that closes the connection on a request that its policy forbids would do so for
        // ever, and nothing else would get through.
        if self.losses > 1 {
            self.pause = Some(now + pause_after(self.losses - 1, 1.0));
        }
    }

    pub fn disconnected(&mut self) {
        match self.in_flight.take() {
            Some(mut pending) => {
                self.losses = self.losses.saturating_add(1);
                pending.request.hint = None;
                self.unanswered(pending.request);
            }
            // That was not our doing.
            None => self.losses /= 2,
        }
        self.connected = false;
        self.pause = None;
        self.failures = 0;
    }

    /// Looks at the whole document again, and offers what was refused once more.
    pub fn start_afresh(&mut self) {
        self.outbox.forget_refusals();
        self.refetch(Fetch::Soon);
    }

    /// Messages were dropped, and the answer to the request in flight may be one of them.
    pub fn missed(&mut self, now: Instant) {
        self.hurry.get_or_insert(now + MISSED);
        self.start_afresh();
    }

    /// Looks at the whole document again.
    fn refetch(&mut self, fetch: Fetch) {
        self.fetch_at = None;
        if !self.updates_only && self.fetch != Fetch::Now {
            self.fetch = fetch;
        }
    }

    /// The same, in a while.
    pub fn refetch_at(&mut self, when: Instant) {
        self.fetch_at = Some(self.fetch_at.map_or(when, |earlier| earlier.min(when)));
    }

    /// The next thing to do. To be called until `None`.
    pub fn next(&mut self, now: Instant) -> Option<Action> {
        if let Some(undone) = self.undone.take() {
            return Some(undone);
        }
        if self.fetch_at.is_some_and(|when| when <= now) {
            self.refetch(Fetch::Soon);
        }
        self.held = None;
        let rests = self.pause.is_some_and(|until| now < until);
        if !self.connected || self.in_flight.is_some() || rests {
            return None;
        }
        if self.fetches(now) {
            self.fetch = Fetch::No;
            self.pace.fetched(now);
            let token = self.send(ShadowRequest::Get, now);
            return Some(Action::Get(json!({ "clientToken": token })));
        }
        let view = self.view.as_ref()?;
        let settled = self.outbox.settled(view);
        if !settled.is_empty() {
            return Some(Action::Settled(settled));
        }
        let hopeless = self.outbox.hopeless();
        if !hopeless.is_empty() {
            return Some(Action::GiveUp(hopeless));
        }
        self.tell(now)
    }

    /// Whether it is time for a fetch.
    fn fetches(&mut self, now: Instant) -> bool {
        match self.fetch {
            Fetch::No => false,
            Fetch::Now => true,
            Fetch::Soon => self.is_due(self.pace.fetch_due(), now),
        }
    }

    /// Whether something that is due then can be done now. If not, it is held until then.
    fn is_due(&mut self, due: Option<Instant>, now: Instant) -> bool {
        let later = due.filter(|due| now < *due);
        self.held = earliest([self.held, later]);
        later.is_none()
    }

    /// The next update.
    fn tell(&mut self, now: Instant) -> Option<Action> {
        let view = self.view.as_ref()?;
        // Where others are faster than we can answer, only the clearing of desired values waits for
        // a lull.
        let busy = self.conflicts >= MOST_CONFLICTS;
        let plain = busy.then(|| self.outbox.next(view, false)).flatten();
        let Some(update) = plain.or_else(|| self.outbox.next(view, true)) else {
            // All is said, so what went wrong before is over.
            self.failures = 0;
            return None;
        };
        let free = self.updates_only || (busy && !update.clears());
        let version = view.version().filter(|_| !free);
        if !update.prompted && !self.is_due(self.pace.update_due(), now) {
            return None;
        }
        if self.pace.told(now, update.again && !update.prompted) {
            self.undone = Some(Action::Undone {
                keys: update.reports.keys().cloned().collect(),
                pause: self.pace.pause(),
            });
        }
        let mut request = update.request(version);
        self.outbox.sent(&update);
        let token = self.send(ShadowRequest::Update(Box::new(update)), now);
        request["clientToken"] = token.into();
        Some(Action::Update(request))
    }

    fn send(&mut self, what: ShadowRequest, now: Instant) -> String {
        let token = self.tokens.make();
        let request = InFlightRequest {
            what,
            delta: None,
            hint: None,
        };
        self.in_flight = Some(PendingRequest::new(token.clone(), request, now));
        self.hurry = None;
        token
    }

    /// When to call [`Conversation::overdue`] and [`Conversation::next`] again, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        earliest([self.patience(), self.pause, self.fetch_at, self.held]).filter(|_| self.connected)
    }

    /// From then on the answer is overdue.
    fn patience(&self) -> Option<Instant> {
        let pending = self.in_flight.as_ref()?;
        earliest([Some(pending.deadline()), self.hurry])
    }

    /// Time has passed. `jitter` is between 0 and 1.
    pub fn overdue(&mut self, now: Instant, jitter: f64) -> Option<ConversationEvent> {
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
        }
        let late = self.patience().is_some_and(|until| until <= now);
        late.then(|| self.again("no answer".to_owned(), now, jitter))
    }

    /// The broker has taken the request with this token: the answer should come soon.
    pub fn taken(&mut self, token: &str, now: Instant) {
        if let Some(request) = &mut self.in_flight {
            request.taken(token, now);
        }
    }

    /// The broker has refused to take the request.
    pub fn unsent(&mut self, reason: &str, now: Instant, jitter: f64) -> Option<ConversationEvent> {
        self.in_flight.is_some().then(|| {
            self.again(
                format!("the broker refuses the request: {reason}"),
                now,
                jitter,
            )
        })
    }

    /// What became of it is seen in the next document. Gives what is given up, and why: the cloud
    /// has refused it again and again without saying which one was meant.
    fn unanswered(&mut self, request: InFlightRequest) -> Option<ConversationEvent> {
        let ShadowRequest::Update(update) = request.what else {
            return None;
        };
        self.outbox.failed(&update);
        let rejected = request.hint.filter(|_| self.outbox.fails_often())?;
        let for_good = matches!(rejected.status, Some(400 | 413));
        for_good.then(|| self.refused(&update, &rejected)).flatten()
    }

    /// The cloud does not take it as it is.
    fn refused(&mut self, update: &Update, rejected: &Rejection) -> Option<ConversationEvent> {
        let what = self.outbox.refused(update, rejected.status == Some(413));
        given_up(what, rejected)
    }

    /// The cloud has moved on: look, and answer what is there now.
    fn conflict(&mut self, reason: String, now: Instant, jitter: f64) -> Vec<ConversationEvent> {
        self.conflicts = self.conflicts.saturating_add(1);
        self.refetch(Fetch::Now);
        if self.conflicts == 1 {
            return Vec::new();
        }
        let pause = pause_after(self.conflicts - 1, jitter);
        self.pause = Some(now + pause);
        vec![ConversationEvent::Retry { reason, pause }]
    }

    /// Asks again after a pause. Whether an update that got no answer was carried out is seen in
    /// the document.
    fn again(&mut self, reason: String, now: Instant, jitter: f64) -> ConversationEvent {
        let pending = self.in_flight.take();
        let given_up = pending.and_then(|pending| self.unanswered(pending.request));
        self.refetch(Fetch::Now);
        self.failures = self.failures.saturating_add(1);
        let pause = pause_after(self.failures, jitter);
        self.pause = Some(now + pause);
        given_up.unwrap_or(ConversationEvent::Retry { reason, pause })
    }
}

fn given_up(what: GivenUp, rejected: &Rejection) -> Option<ConversationEvent> {
    let reason = reason(rejected);
    (what != GivenUp::default()).then_some(ConversationEvent::GivenUp { what, reason })
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
