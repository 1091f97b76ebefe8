//! The task of one shadow: receives what the cloud sends, lets the services answer, and sends what
//! is to be reported. What is sent when is decided by [`Conversation`].

mod cloud_side;
mod device_side;

use std::io;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ShadowOptions;
use super::cloud::conversation::Conversation;
use super::cloud::topics::Channel;
use super::device::definitions::Unusable;
use super::device::services::Services;
use super::device::updates::Updates;
use crate::clock::{now, reached};
use crate::log_throttle::LogThrottle;
use crate::mqtt::{Link, Mqtt, PublishError};
use crate::offload;
use crate::spool::disks::Disks;
use crate::waits::{earliest, or_pending};

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
    /// The newest request, to distinguish its failure from that of an older one.
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
                Some(message) = or_pending(deletions.as_mut().map(|it| it.messages.recv())) => {
                    self.heard(&message, &subscription).await;
                }
                Ok(()) = self.link.changed() => {}
                Ok(()) = subscription.state.changed() => {}
                Some(Ok((request, answer))) = self.sending.join_next() => {
                    self.sent(&request, answer).await;
                }
                ended = self.services.notified() => self.command_ended(ended).await,
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

    /// When something is to be done, if nothing else happens.
    fn deadline(&mut self) -> Option<Instant> {
        // Update files are not taken before the first document, so they are not due.
        let knows = self.conversation.view().is_some();
        let updates = knows.then(|| self.updates.deadline()).flatten();
        earliest([self.conversation.deadline(), updates])
    }
}
