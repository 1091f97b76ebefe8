//! The task of one shadow: hears what the cloud says, lets the services answer, and sends what is
//! to be told. What to say when is decided by [`Conversation`].

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use log::{Level, debug, error, info, log, warn};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ShadowOptions;
use super::cloud::conversation::{Action, Conversation, ConversationEvent};
use super::cloud::outbox::{FileId, GivenUp};
use super::cloud::topics::Channel;
use super::device::definitions::{self, Loaded, Unusable};
use super::device::outfile::Outfile;
use super::device::services::{ReadUpdate, Services};
use super::device::updates::{UpdateFile, Updates};
use crate::clock::{now, reached};
use crate::file::without_byte_order_mark;
use crate::log_throttle::{LogThrottle, worth_a_line};
use crate::mqtt::{Link, Message, Mqtt, PublishError, QoS, Subscription, SubscriptionState};
use crate::offload::{self, Lost};
use crate::process;
use crate::spool::disks::Disks;
use crate::spool::outcome::Outcome;
use crate::spool::starts;

/// Messages that may wait. More are dropped and made up for by a fetch.
const MAILBOX: usize = 64;
/// The default shadow's command has this long.
const SEED_LIMIT: Duration = Duration::from_secs(5);
/// What a default shadow may take.
const LARGEST_SEED: u64 = 64 * 1024;
/// After trouble with an outfile we look again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// After the machine was too short of something to load the definitions.
const SHORT_REST: Duration = Duration::from_secs(2);

/// Owns one shadow: the conversation, its services and its update directories.
pub struct ShadowAgent {
    options: ShadowOptions,
    mqtt: Mqtt,
    link: watch::Receiver<Link>,
    refetch: watch::Receiver<u64>,
    conversation: Conversation,
    services: Services,
    unusable: Vec<Unusable>,
    updates: Updates,
    /// The connections that the conversation knows of: that of its requests, and that of the answers.
    connection: Option<(u64, u64)>,
    sending: JoinSet<(Value, Result<(), PublishError>)>,
    /// The newest request, to tell its failure from that of an older one.
    asked: Option<Value>,
    missed: u64,
    retries: LogThrottle,
    malformed: LogThrottle,
}

impl ShadowAgent {
    /// Prepares the directories. `refetch` changes when the document is to be fetched again.
    ///
    /// # Errors
    /// A directory cannot be used.
    pub async fn new(
        options: ShadowOptions,
        mqtt: Mqtt,
        refetch: watch::Receiver<u64>,
        disks: &Disks,
    ) -> Result<ShadowAgent> {
        for dir in &options.services {
            let own = dir.clone();
            let read = offload::run(move || std::fs::read_dir(own).map(drop)).await;
            read.map_err(io::Error::from)
                .and_then(|it| it)
                .with_context(|| {
                    format!("cannot read the service definitions in {}", dir.display())
                })?;
        }
        let updates = Updates::open(&options.updates, disks).await?;
        let updates_only = options.is_updates_only();
        Ok(ShadowAgent {
            conversation: Conversation::new(&format!("{:016x}", fastrand::u64(..)), updates_only),
            services: Services::new(Vec::new(), options.rules),
            unusable: Vec::new(),
            updates,
            link: mqtt.link(),
            refetch,
            mqtt,
            options,
            connection: None,
            sending: JoinSet::new(),
            asked: None,
            missed: 0,
            retries: LogThrottle::default(),
            malformed: LogThrottle::default(),
        })
    }

    /// Loads the definitions and reports what is wrong with them; then keeps both sides in line. Ends
    /// only with the session; dropping the future loses nothing.
    pub async fn run(mut self) {
        self.load().await;
        let Some(mut subscription) = self.subscribe(self.channels()).await else {
            return;
        };
        // A policy of old may not know of this one: without it the rest goes on.
        let mut deletions = match self.conversation.is_updates_only() {
            false => self.subscribe(&[Channel::DeleteAccepted]).await,
            true => None,
        };
        loop {
            self.link_changed(&subscription);
            self.take_updates().await;
            self.converse();
            let deadline = self.deadline();
            tokio::select! {
                message = subscription.messages.recv() => match message {
                    Some(message) => self.heard(&message, &subscription).await,
                    None => return,
                },
                Some(message) = next_message(&mut deletions) => {
                    self.heard(&message, &subscription).await;
                }
                Ok(()) = self.link.changed() => {}
                Ok(()) = subscription.state.changed() => {}
                Some(Ok((request, answer))) = self.sending.join_next() => {
                    self.sent(&request, answer).await;
                }
                ended = self.services.notified() => {
                    let ended = self.services.settle(ended, &mut self.conversation.outbox).await;
                    if let Some((id, end)) = ended {
                        let done = format!("carried out '{}'", id.name);
                        let outcome = end.map_or_else(Outcome::Unusable, |()| Outcome::Delivered);
                        self.updates.settle_as(&id, outcome, &done);
                    }
                }
                notice = self.updates.notice() => self.updates.noticed(notice),
                Ok(()) = self.refetch.changed() => {
                    self.services.enable();
                    self.conversation.start_afresh();
                }
                // An answer that is there already comes before its deadline.
                () = reached(deadline), if subscription.messages.is_empty() => {
                    let news = self.conversation.overdue(now(), fastrand::f64());
                    self.learned(news.into_iter().collect()).await;
                }
            }
        }
    }

    /// However long it takes: a disk that is slow, and definitions that hang, hold up nobody else.
    async fn load(&mut self) {
        let mut shortages = 0;
        let (loaded, outfiles) = loop {
            let options = self.options.clone();
            match offload::run(move || loaded(&options))
                .await
                .and_then(|it| it)
            {
                Ok(all) => break all,
                Err(shortage) => {
                    shortages += 1;
                    if worth_a_line(shortages) {
                        let (id, why) = (&self.options.id, anyhow::Error::new(shortage));
                        warn!("the service definitions of {id} are loaded later: {why:#}");
                    }
                    sleep(SHORT_REST).await;
                }
            }
        };
        for problem in loaded.problems {
            error!("{problem}");
        }
        self.unusable = loaded.unusable;
        self.services = Services::new(outfiles, self.options.rules);
    }

    /// When something is to be done, if nothing else happens.
    fn deadline(&mut self) -> Option<Instant> {
        // Update files are not taken before the first document, so they are not due.
        let knows = self.conversation.view().is_some();
        let updates = knows.then(|| self.updates.deadline()).flatten();
        [self.conversation.deadline(), updates]
            .into_iter()
            .flatten()
            .min()
    }

    async fn subscribe(&self, channels: &[Channel]) -> Option<Subscription> {
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

    fn channels(&self) -> &'static [Channel] {
        if self.conversation.is_updates_only() {
            &Channel::UPDATE
        } else {
            &Channel::TALK
        }
    }

    /// A conversation begins when there is a connection and all topics are subscribed.
    fn link_changed(&mut self, subscription: &Subscription) {
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
    fn converse(&mut self) {
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
        debug!("asking {topic} with token {token}");
        self.asked = Some(token.clone());
        self.sending
            .spawn(async move { (token, mqtt.request(&topic, payload.into()).await) });
    }

    /// The broker has taken a request, or has not.
    async fn sent(&mut self, token: &Value, answer: Result<(), PublishError>) {
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
            // The link tells, too.
            Err(PublishError::Disconnected { .. }) => {}
        }
    }

    async fn heard(&mut self, message: &Message, subscription: &Subscription) {
        let missed = *subscription.missed.borrow();
        if missed != self.missed {
            self.missed = missed;
            self.conversation.start_afresh();
        }
        let channel = Channel::ALL
            .into_iter()
            .find(|it| self.options.id.topic(*it) == message.topic);
        if let Some(channel) = channel {
            let news =
                self.conversation
                    .received(channel, &message.payload, now(), fastrand::f64());
            self.learned(news).await;
        }
    }

    async fn learned(&mut self, news: Vec<ConversationEvent>) {
        for news in news {
            match news {
                ConversationEvent::Document => {
                    self.reconcile(true).await;
                    self.services.initial_notify();
                }
                ConversationEvent::DesiredChanged => self.reconcile(false).await,
                ConversationEvent::Missing => {
                    self.seed().await;
                    self.services.initial_notify();
                }
                ConversationEvent::Settled(files) => {
                    self.retries.clear();
                    self.delivered(&files);
                    self.reconcile(false).await;
                }
                ConversationEvent::Orders(orders) => self.services.run_one_shots(orders),
                ConversationEvent::GivenUp { what, reason } => self.given_up(what, &reason),
                ConversationEvent::Retry { reason, pause } => self.retry(&reason, pause),
                ConversationEvent::Malformed(why) => self.tell_malformed(&why),
            }
        }
    }

    async fn reconcile(&mut self, all: bool) {
        let Some(view) = self.conversation.view().cloned() else {
            return;
        };
        let well = self
            .services
            .reconcile(&view, all, &mut self.conversation.outbox)
            .await;
        self.look_again_unless(well);
    }

    fn look_again_unless(&mut self, well: bool) {
        if !well {
            self.conversation.refetch_at(now() + LOOK_AGAIN);
        }
    }

    /// There is no shadow: the default one is handed to the services and becomes the first report.
    async fn seed(&mut self) {
        let id = &self.options.id;
        match self.options.default_shadow {
            Some(_) => info!("there is no shadow of {id}"),
            None => info!("there is no shadow of {id}, and no --defaultshadow that would make it"),
        }
        let document = match &self.options.default_shadow {
            None => None,
            Some(command) => Some(default_shadow(command, &id.to_string()).await),
        };
        let make = document.is_some();
        let document = document
            .unwrap_or_else(|| Ok(Map::new()))
            .unwrap_or_else(|fault| {
                error!("the default shadow of {id} stays empty: {fault:#}");
                Map::new()
            });
        let outbox = &mut self.conversation.outbox;
        let (rest, well) = self.services.seed(document, outbox).await;
        if make {
            let rest = self.options.rules.normalise(rest.into());
            let rest = super::document::without_nulls(rest);
            self.conversation
                .outbox
                .seed(rest.as_object().cloned().unwrap_or_default());
        }
        self.look_again_unless(well);
    }

    /// Takes up update files as soon as it is known what the cloud holds.
    async fn take_updates(&mut self) {
        let Some(view) = self.conversation.view().cloned() else {
            return;
        };
        let mut of_services: Vec<(String, Vec<ReadUpdate>)> = Vec::new();
        for update in self.updates.take() {
            if let Some(obstacle) = self.obstacle(&update.key) {
                self.updates.postpone(&update.id, &update.key, obstacle);
                continue;
            }
            let Some(patch) = self.read(&update) else {
                continue;
            };
            let UpdateFile { id, key, .. } = update;
            if self.services.of(&key).is_none() {
                self.conversation.outbox.patch(id, &key, patch);
                continue;
            }
            let starts = self.updates.starts(&id);
            let change = ReadUpdate { id, patch, starts };
            match of_services.iter_mut().find(|(other, _)| *other == key) {
                Some((_, changes)) => changes.push(change),
                None => of_services.push((key, vec![change])),
            }
        }
        for (key, changes) in of_services {
            let outbox = &mut self.conversation.outbox;
            let outcome = self.services.change(&key, changes, &view, outbox).await;
            for id in outcome.done {
                let done = format!("nothing is to be done for '{}'", id.name);
                self.updates.settle_as(&id, Outcome::Delivered, &done);
            }
            for (id, reason) in outcome.rejected {
                self.updates.settle(&id, Outcome::Unusable(reason));
            }
            for (id, reason) in outcome.postponed {
                self.updates.postpone(&id, &key, reason);
            }
        }
    }

    /// A service that is not loaded may have the last word about this key: nothing is told past it.
    fn obstacle(&self, key: &str) -> Option<String> {
        let unusable = match self.services.of(key) {
            Some(_) => None,
            None => self.unusable.iter().find(|it| it.may_define(key)),
        }?;
        Some(format!(
            "{} may be the definition of its key and cannot be used: mend it and start again",
            unusable.path.display()
        ))
    }

    /// The patch in an update file. One that has none is given up.
    fn read(&mut self, update: &UpdateFile) -> Option<Value> {
        let format = self
            .services
            .of(&update.key)
            .map(|service| service.informat);
        match update.patch(format.unwrap_or(crate::format::Format::Json)) {
            Ok(patch) => Some(self.options.rules.normalise(patch)),
            Err(why) => {
                self.updates.settle(&update.id, Outcome::Unusable(why));
                None
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
        let count = self.retries.count(reason);
        let level = if worth_a_line(count) {
            Level::Warn
        } else {
            Level::Debug
        };
        log!(
            level,
            "the shadow of {} is asked for again in {:.0} s: {reason}",
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

/// The definitions, and their services with what stands beside their outfiles.
fn loaded(options: &ShadowOptions) -> Result<(Loaded, Vec<Outfile>), Lost> {
    options.updates.iter().for_each(|dir| starts::sweep(dir));
    let mut loaded = definitions::load_all(&options.services)?;
    let services = std::mem::take(&mut loaded.services);
    Ok((loaded, services.into_iter().map(Outfile::new).collect()))
}

/// For ever, when there is no such subscription.
async fn next_message(subscription: &mut Option<Subscription>) -> Option<Message> {
    match subscription {
        Some(subscription) => subscription.messages.recv().await,
        None => std::future::pending().await,
    }
}

/// The thing's name is on the command's standard input.
async fn default_shadow(command: &str, thing: &str) -> Result<Map<String, Value>> {
    let task = process::shell("defaultshadow", command, SEED_LIMIT);
    let printed = task
        .stdin(format!("{thing}\n").into_bytes())
        .output(LARGEST_SEED)
        .await?;
    serde_json::from_slice(without_byte_order_mark(&printed))
        .context("what defaultshadow printed is not a JSON object")
}
