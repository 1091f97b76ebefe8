//! `--subscribe-spool`: the durable inbox. Each message becomes a file, and is acknowledged to the
//! broker when that file would outlive a power cut. While the inbox is full, or its disk fails, messages
//! wait in the broker.

pub mod header;
mod inbox_dir;
mod quota;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use log::{error, info, warn};
use tokio::task::yield_now;

use self::header::header;
use self::inbox_dir::InboxDir;
use self::quota::Quota;
use crate::clock::{now, reached};
use crate::log_throttle::{LogThrottle, worth_a_line};
use crate::mqtt::{Delivery, Durable};
use crate::spool::deposit::Item;
use crate::spool::disks::Disks;
use crate::spool::layout;

/// Messages that are put into the inbox with one sync of its directory.
const BATCH: usize = 32;
/// The disk is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// One inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxOptions {
    pub dir: PathBuf,
    /// The topics whose messages it keeps.
    pub filters: Vec<String>,
    /// The number of the connection that brings them.
    pub connection: usize,
    pub most_files: usize,
    pub most_bytes: u64,
}

impl InboxOptions {
    /// What is wrong on disk, in a sentence. Changes nothing.
    pub fn problem(&self) -> Option<String> {
        let problem = layout::check_inbox(&self.dir).err()?;
        Some(format!("{problem:#}"))
    }
}

/// Owns one inbox.
pub struct Inbox {
    inbox_dir: InboxDir,
    messages: Durable,
    /// Taken from the subscription, in order, and not yet in the inbox.
    in_hand: VecDeque<Received>,
    /// The disk is not tried before.
    retry_at: Option<Instant>,
    failing: bool,
    failures: LogThrottle,
    dropped: u32,
}

/// A message and its header.
struct Received {
    delivery: Delivery,
    header: Vec<u8>,
}

impl Received {
    fn new(delivery: Delivery) -> Received {
        let header = header(&delivery.message, since_1970());
        Received { delivery, header }
    }

    /// What it will take of the inbox's room.
    fn size(&self) -> u64 {
        (self.header.len() + self.delivery.message.payload.len()) as u64
    }
}

impl Inbox {
    /// Starts a thread that prepares the directory and keeps messages until the session ends. It waits
    /// for the disk, and nobody waits for it.
    ///
    /// # Errors
    /// The directory cannot be used, or there can be no thread.
    pub async fn start(options: &InboxOptions, messages: Durable, disks: &Disks) -> Result<()> {
        let own = options.clone();
        let open = move || Inbox::open(&own, messages);
        disks.start(&options.dir, open, Inbox::run).await
    }

    /// Must be called within the runtime that it is to run in.
    fn open(options: &InboxOptions, messages: Durable) -> Result<Inbox> {
        let room = Quota::new(options.most_files, options.most_bytes);
        Ok(Inbox {
            inbox_dir: InboxDir::open(&options.dir, room)?,
            messages,
            in_hand: VecDeque::new(),
            retry_at: None,
            failing: false,
            failures: LogThrottle::default(),
            dropped: 0,
        })
    }

    async fn run(mut self) {
        loop {
            if self.has_room() && self.retry_at.is_none() {
                self.put();
                // Nobody else waits on this thread, but the mailbox is looked at in between.
                yield_now().await;
                continue;
            }
            tokio::select! {
                goes_on = news(&mut self.messages, &mut self.in_hand) => if !goes_on {
                    return;
                },
                notice = self.inbox_dir.notice() => self.inbox_dir.noticed(notice),
                () = reached(self.retry_at) => self.retry_at = None,
            }
        }
    }

    /// Whether there is a message in hand and room for it. One that the broker delivers again is
    /// dropped, and so is one that nobody would keep until there is room.
    fn has_room(&mut self) -> bool {
        self.in_hand.retain(|it| !it.delivery.comes_again());
        while let Some(first) = self.in_hand.front() {
            if self.inbox_dir.fits(1, first.size()) {
                return true;
            }
            if first.delivery.is_kept() {
                return false;
            }
            self.in_hand.pop_front();
            self.dropped = self.dropped.saturating_add(1);
            if worth_a_line(self.dropped) {
                let (dir, count) = (self.inbox_dir.dir().display(), self.dropped);
                warn!("dropped a message of QoS 0, {dir} is full ({count} so far)");
            }
        }
        false
    }

    /// Puts what is in hand, and what else has come, into the inbox, and acknowledges it.
    fn put(&mut self) {
        let mut batch = self.batch();
        let now = since_1970();
        let items = batch.iter().map(|received| Item {
            name: self.inbox_dir.name(now),
            header: received.header.clone(),
            payload: received.delivery.message.payload.clone(),
        });
        let items: Vec<Item> = items.collect();
        let names: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
        let (count, problem) = self.inbox_dir.put(&items);
        for (received, name) in batch.drain(..count).zip(names) {
            info!("received '{name}' on {}", received.delivery.message.topic);
            received.delivery.done();
        }
        batch.append(&mut self.in_hand);
        self.in_hand = batch;
        match problem {
            Ok(()) => self.works(),
            Err(error) => self.failed(&error),
        }
    }

    /// The messages in hand and in the mailbox that fit together.
    fn batch(&mut self) -> VecDeque<Received> {
        let mut batch = VecDeque::new();
        let mut bytes = 0;
        while batch.len() < BATCH {
            let waiting = || self.messages.try_next().map(Received::new);
            let Some(next) = self.in_hand.pop_front().or_else(waiting) else {
                break;
            };
            bytes += next.size();
            if !self.inbox_dir.fits(batch.len() + 1, bytes) {
                self.in_hand.push_front(next);
                break;
            }
            batch.push_back(next);
        }
        batch
    }

    fn works(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            let dir = self.inbox_dir.dir().display();
            info!("messages can be kept in {dir} again");
            self.failures.clear();
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.failing = true;
        self.retry_at = Some(now() + RETRY);
        self.inbox_dir.repair();
        let count = self.failures.count(&error.to_string());
        let (dir, seconds) = (self.inbox_dir.dir().display(), RETRY.as_secs());
        if worth_a_line(count) {
            error!(
                "cannot keep a message in {dir}, trying again every {seconds} s ({count} so far): {error}"
            );
        }
    }
}

/// Takes the next message in hand. When there are some in hand already, others wait in the mailbox,
/// and an event is that the broker delivers some again. `false` when the session has ended.
async fn news(messages: &mut Durable, in_hand: &mut VecDeque<Received>) -> bool {
    if !in_hand.is_empty() {
        messages.repeated().await;
        return true;
    }
    let next = messages.next().await.map(Received::new);
    let goes_on = next.is_some();
    in_hand.extend(next);
    goes_on
}

fn since_1970() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
