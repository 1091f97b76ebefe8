//! The thread of one action directory: everything that may wait for the disk. It carries out
//! orders, one after the other, and reports what it finds. What is to be done is decided elsewhere.

mod feed;
mod leave;
mod messages;
mod scanning;
mod sight;
mod state;

use std::future::ready;

use tokio::sync::mpsc;

pub use messages::{Answered, OpenReply, Sighting, WorkerEvent, WorkerRequest};

pub use state::{ReadPriority, Reporting, Worker};

use self::state::LOOK;
use super::Name;
use super::intake::IntakeNotice;
use super::opened::{OpenError, Opened};
use crate::clock::{now, reached};

/// Orders that are carried out before others are answered.
const ORDERS: usize = 64;
impl Worker {
    /// Works until nobody gives orders any more; those that were given are carried out.
    pub async fn run(
        mut self,
        mut orders: mpsc::Receiver<WorkerRequest>,
        news: mpsc::Sender<Vec<WorkerEvent>>,
    ) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                count = orders.recv_many(&mut batch, ORDERS) => {
                    if count == 0 {
                        return;
                    }
                    let pieces = self.obey(batch.drain(..));
                    if !pieces.is_empty() {
                        let _ = news.send(pieces).await;
                    }
                }
                () = ready(()), if self.has_work() => {
                    let pieces = self.work();
                    if !pieces.is_empty() {
                        let _ = news.send(pieces).await;
                    }
                }
                notice = self.arrivals.intake.next(!self.scanning.is_under_way()) => match notice {
                    IntakeNotice::Ready(ready) => self.arrivals.ready(ready),
                    IntakeNotice::Scan => self.begin_scan(),
                },
                () = reached(Some(self.look_due)) => {
                    self.look_due = now() + LOOK;
                    if self.maildir.is_elsewhere() {
                        self.arrivals.intake.scan_soon();
                    }
                }
            }
        }
    }

    fn obey(&mut self, orders: impl Iterator<Item = WorkerRequest>) -> Vec<WorkerEvent> {
        let mut news = Vec::new();
        let mut checks = Vec::new();
        let mut removals = Vec::new();
        for order in orders {
            match order {
                WorkerRequest::Scan => self.arrivals.intake.scan_soon(),
                WorkerRequest::Feed { first, last } => self.asked(first, last),
                WorkerRequest::Look(name) => {
                    self.arrivals.gone(&name);
                    self.arrivals.look_at(name, true);
                }
                WorkerRequest::Open(requests) => news.push(self.open_all(requests)),
                WorkerRequest::Check(name, opened, reason) => checks.push((name, opened, reason)),
                WorkerRequest::Remove(requests) => removals.extend(requests),
                WorkerRequest::Fail(name, held, reason) => {
                    news.push(self.give_up(name, &held, reason));
                }
            }
        }
        news.extend(self.remove_all(removals));
        news.extend(self.checked(checks));
        news
    }

    fn open_all(&mut self, requests: Vec<(Name, OpenReply)>) -> WorkerEvent {
        // What was closed before it is opened is read to its end.
        self.arrivals.catch_up();
        let opened = requests.into_iter();
        WorkerEvent::Opened(opened.map(|(name, to)| (to, self.request(&name))).collect())
    }

    fn request(&mut self, name: &Name) -> Result<(Opened, Vec<u8>), OpenError> {
        let mut opened = self.open_one(name)?;
        let contents = opened.contents()?;
        Ok((opened, contents))
    }

    /// Whether there is something to do that was not ordered.
    fn has_work(&self) -> bool {
        !self.arrivals.found.is_empty()
            || self.arrivals.has_left()
            || self.can_feed()
            || self.scanning.is_under_way()
            || self.wants_refill()
            || self.has_to_look()
            || self.has_to_tell()
    }

    /// Does a piece of it.
    fn work(&mut self) -> Vec<WorkerEvent> {
        let mut news = Vec::new();
        let taken_away = self.arrivals.taken_away();
        if !taken_away.is_empty() {
            news.push(WorkerEvent::TakenAway(taken_away));
        }
        if !self.arrivals.found.is_empty() {
            self.look_at_arrivals(&mut news);
        } else if self.can_feed() {
            self.feed(&mut news);
        } else if self.scanning.is_under_way() {
            self.scan_on();
        } else if self.wants_refill() {
            self.begin_scan();
        } else if self.has_to_look() {
            self.look_for_priorities(&mut news);
        }
        self.tell(&mut news);
        news
    }
}
