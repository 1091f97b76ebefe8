//! The task of one messages directory: publishes its requests within the window that all
//! directories share.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::MessagesOptions;
use super::attempt::{Attempt, attempt, priority};
use super::message::LARGEST_PAYLOAD;
use crate::clock::reached;
use crate::mqtt::{Flow, Link, Mqtt, PublishPermit, WindowPermit};
use crate::spool::action_dir::{ActionDir, Looks};
use crate::spool::disks::Disks;
use crate::spool::outcome::Readiness;
use crate::waits::or_pending;

/// Why a publisher ended.
#[derive(Debug)]
pub enum PublisherEnd {
    /// The window of this directory was full without any acknowledgement for too long.
    Jammed(PathBuf),
    /// It was asked to stop, and everything that was on its way has been answered.
    Drained,
}

type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Owns one messages directory.
pub struct Publisher {
    options: Arc<MessagesOptions>,
    action_dir: ActionDir,
    mqtt: Mqtt,
    link: watch::Receiver<Link>,
    flow: watch::Receiver<Flow>,
    running: JoinSet<Attempt>,
    /// The wait for a place, which goes on while other things happen, or those with large files would
    /// always begin behind those with small ones.
    place: Option<Wait<PublishPermit>>,
    /// The same for the whole window.
    alone: Option<Wait<WindowPermit>>,
    /// What is left of the whole window, while those that must be alone are on their way.
    exclusive: Option<WindowPermit>,
}

impl Publisher {
    /// Prepares the directory.
    pub async fn new(options: MessagesOptions, mqtt: Mqtt, disks: &Disks) -> Result<Publisher> {
        let (dir, keep) = (&options.dir, options.keep_failed);
        let looks = Looks {
            priority: Some(priority),
            at_all: options.look_at_all,
        };
        let action_dir = ActionDir::open(dir, keep, options.queue, looks, disks).await?;
        Ok(Publisher {
            options: Arc::new(options),
            action_dir,
            link: mqtt.link(),
            flow: mqtt.flow(),
            mqtt,
            running: JoinSet::new(),
            place: None,
            alone: None,
            exclusive: None,
        })
    }

    /// Publishes until the directory is jammed, or, once asked to stop, until what is on its way
    /// has been answered. Dropping the future at any moment loses nothing.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> PublisherEnd {
        self.link_changed();
        loop {
            // Answers first: whoever is busy for long finds many things due at once.
            while let Some(attempt) = self.running.try_join_next() {
                self.finished(attempt);
            }
            if self.action_dir.jammed() {
                return PublisherEnd::Jammed(self.options.dir.clone());
            }
            let stopping = *stop.borrow_and_update();
            if stopping && self.running.is_empty() {
                return PublisherEnd::Drained;
            }
            let readiness = if stopping {
                Readiness::Nothing
            } else {
                self.start_alone()
            };
            self.ask_for_place(readiness);
            let deadline = self.action_dir.deadline();
            tokio::select! {
                notice = self.action_dir.notice() => self.action_dir.noticed(notice),
                place = or_pending(self.place.as_mut()) => {
                    self.place = None;
                    self.start_together(place);
                }
                slot = or_pending(self.alone.as_mut()), if !stopping => {
                    self.alone = None;
                    self.exclusive = Some(slot);
                }
                Some(attempt) = self.running.join_next() => self.finished(attempt),
                Ok(()) = stop.changed() => {}
                Ok(()) = self.link.changed() => self.link_changed(),
                Ok(()) = self.flow.changed() => self.flow_changed(),
                () = reached(deadline) => {}
            }
        }
    }

    fn is_up(&self) -> bool {
        *self.link.borrow() != Link::Down
    }

    fn link_changed(&mut self) {
        match *self.link.borrow_and_update() {
            Link::Down => self.action_dir.link_down(),
            Link::Up(_) => self.action_dir.link_up(),
        }
    }

    fn flow_changed(&mut self) {
        match *self.flow.borrow_and_update() {
            Flow::Free => self.action_dir.accepts_again(),
            Flow::Held | Flow::Probe => {}
        }
    }

    fn readiness(&mut self) -> Readiness {
        let flow = *self.flow.borrow();
        self.action_dir.probing(flow == Flow::Probe);
        let waiting = self.action_dir.readiness();
        if self.is_up() && flow != Flow::Held {
            waiting
        } else {
            Readiness::Nothing
        }
    }

    /// Sends off those that must be alone, or asks for the whole window for them. What can be taken
    /// after that.
    fn start_alone(&mut self) -> Readiness {
        let mut readiness = self.readiness();
        while readiness == Readiness::Alone
            && let Some(slot) = self.exclusive.as_mut().and_then(WindowPermit::split)
        {
            self.start(PublishPermit::of(slot));
            readiness = self.readiness();
        }
        if self.running.is_empty() {
            self.exclusive = None;
        }
        if readiness != Readiness::Alone || self.exclusive.is_some() {
            self.alone = None;
        } else if self.alone.is_none() {
            let mqtt = self.mqtt.clone();
            self.alone = Some(Box::pin(async move { mqtt.slot_alone().await }));
        }
        readiness
    }

    /// Asks for a place for the next request, if it may go together with others.
    fn ask_for_place(&mut self, readiness: Readiness) {
        if readiness != Readiness::Together {
            self.place = None;
        } else if self.place.is_none() {
            let (mqtt, size) = (self.mqtt.clone(), self.next_size());
            self.place = Some(Box::pin(async move { mqtt.place(size).await }));
        }
    }

    /// How much room the next message takes: what is larger than any payload is white space, or goes to
    /// `failed/`, or is compressed.
    fn next_size(&self) -> u64 {
        self.action_dir.next_size().min(LARGEST_PAYLOAD as u64)
    }

    /// Meanwhile another one may have become the next, or the broker may have had another thought.
    fn start_together(&mut self, place: PublishPermit) {
        let fits = place.holds(self.next_size());
        if fits && self.readiness() == Readiness::Together {
            self.start(place);
        }
    }

    /// Takes the next request, now that there is room for it.
    fn start(&mut self, place: PublishPermit) {
        if let Some(taken) = self.action_dir.take() {
            let (options, mqtt) = (self.options.clone(), self.mqtt.clone());
            self.running.spawn(attempt(options, mqtt, place, taken));
        }
    }

    fn finished(&mut self, attempt: Result<Attempt, JoinError>) {
        match attempt {
            Ok(attempt) => self.settle(attempt),
            Err(fault) => std::panic::resume_unwind(fault.into_panic()),
        }
    }

    fn settle(&mut self, attempt: Attempt) {
        let Attempt {
            name,
            outcome,
            topic,
            held,
        } = attempt;
        let done = format!("published '{name}' to {topic}");
        self.action_dir.settle(&name, held, outcome, &done);
    }
}
