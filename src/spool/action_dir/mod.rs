//! One action directory at work: takes note of arrivals, hands out requests in the order of its
//! queue, and has their files disposed of. Every decision is the queue's; it is carried out on disk by
//! the thread of the directory, for which nobody waits here.

mod ends;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use log::error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

use super::Name;
use super::disks::Disks;
use super::opened::{HeldFile, Opened};
use super::opening::{Dispatched, OpenPermits, Opening};
use super::outcome::{NextRequest, Outcome, Readiness};
use super::postponements::Postponements;
use super::prefetch::{PrefetchedFiles, Prefetching};
use super::queue::{self, Queue};
use super::worker::{
    OpenReply, ReadPriority, Reporting, Sighting, Worker, WorkerEvent, WorkerRequest,
};
use crate::clock::now;
use crate::log_throttle::LogThrottle;

/// Notices that may wait. The thread waits when there are more.
const NEWS: usize = 64;
/// Nothing is handed out while so many files wait to leave.
const MOST_LEAVING: usize = 64;

/// Requests that are to be known, so that the right one is next, and as soon as there are fewer, more
/// are asked for.
const KNOWN: usize = 128;
const FEW: usize = 64;
/// So many of the last ones are known while one at a time is tried, from either end.
const LAST_ONES: usize = 8;

/// How the requests of a directory are looked at before their turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks {
    /// What their contents say about their turn, if anything.
    pub priority: Option<ReadPriority>,
    /// All that wait are looked at before the first is taken, however many they are.
    pub at_all: bool,
}

/// The requests of one action directory.
pub struct ActionDir {
    dir: PathBuf,
    orders: mpsc::Sender<WorkerRequest>,
    news: mpsc::Receiver<Vec<WorkerEvent>>,
    buffer: Vec<Vec<WorkerEvent>>,
    /// Requests that are to be opened, and such that are to be removed: together, as soon as nothing else
    /// is to be done at once.
    to_open: Vec<(Name, OpenReply)>,
    to_remove: Vec<(Name, Opened)>,
    queue: Queue,
    prefetching: Prefetching,
    prefetched: PrefetchedFiles,
    /// Others wait that the queue does not know, and some of them were asked for.
    others_wait: bool,
    feeding: bool,
    probing: bool,
    /// Requests that are being opened.
    places: OpenPermits,
    /// Files that wait for a look at who writes them, and such that wait to leave.
    checking: usize,
    leaving: usize,
    keep_failed: usize,
    /// The first scan has come to its end: until then the order of the requests is not known.
    scanned: bool,
    scan_ordered: bool,
    up: bool,
    /// The queue counts the time without an answer.
    counting: bool,
    troubles: Postponements,
    refusals: LogThrottle,
}

/// What [`ActionDir::notice`] has waited for.
pub struct Notice(Vec<Vec<WorkerEvent>>);

impl ActionDir {
    /// Prepares the directory and starts its thread.
    ///
    /// # Errors
    /// The directory cannot be used, or there can be no thread.
    pub async fn open(
        dir: &Path,
        keep_failed: usize,
        options: queue::QueueOptions,
        looks: Looks,
        disks: &Disks,
    ) -> Result<ActionDir> {
        // All that can be under way at one time, so that no order ever waits for a place.
        let (orders, to_do) = mpsc::channel(2 * options.window + 2 * MOST_LEAVING + 2);
        let (tell, news) = mpsc::channel(NEWS);
        let prefetching = Prefetching::new(disks.prefetch.clone());
        let (path, shared) = (dir.to_owned(), prefetching.clone());
        let reporting = Reporting {
            order: options.order,
            priority: looks.priority,
            look_at_all: looks.at_all,
        };
        let open = move || Worker::open(&path, keep_failed, reporting, shared);
        let work = move |worker: Worker| worker.run(to_do, tell);
        disks.start(dir, open, work).await?;
        let mut action_dir = ActionDir {
            dir: dir.to_owned(),
            orders,
            news,
            buffer: Vec::new(),
            to_open: Vec::new(),
            to_remove: Vec::new(),
            queue: Queue::new(options),
            prefetching,
            prefetched: PrefetchedFiles::default(),
            others_wait: true,
            feeding: false,
            probing: false,
            places: OpenPermits::default(),
            checking: 0,
            leaving: 0,
            keep_failed,
            scanned: false,
            scan_ordered: false,
            up: false,
            counting: false,
            troubles: Postponements::default(),
            refusals: LogThrottle::default(),
        };
        action_dir.feed();
        Ok(action_dir)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Waits for something that [`ActionDir::noticed`] is to be given. May be dropped while it
    /// waits.
    pub async fn notice(&mut self) -> Notice {
        if !self.to_open.is_empty() || !self.to_remove.is_empty() {
            // Whoever can take another one, or has had an answer, does it now. Those that are opened together
            // are sent together, and one message to the thread is enough for all.
            yield_now().await;
            self.hand_over();
        }
        tokio::select! {
            biased;
            count = self.news.recv_many(&mut self.buffer, NEWS) => {
                if count == 0 {
                    // The thread ends only with the process.
                    std::future::pending::<()>().await;
                }
                Notice(std::mem::take(&mut self.buffer))
            }
            () = self.places.given_back() => Notice(Vec::new()),
        }
    }

    /// Gives the thread what was collected for it.
    fn hand_over(&mut self) {
        if !self.to_remove.is_empty() {
            let together = std::mem::take(&mut self.to_remove);
            self.order(WorkerRequest::Remove(together));
        }
        if !self.to_open.is_empty() {
            let together = std::mem::take(&mut self.to_open);
            self.order(WorkerRequest::Open(together));
        }
    }

    /// Takes note of what has happened in the directory.
    pub fn noticed(&mut self, notice: Notice) {
        for news in notice.0.into_iter().flatten() {
            match news {
                WorkerEvent::Opened(files) => {
                    for (to, file) in files {
                        // Who asked may be gone.
                        let _ = to.send(file);
                    }
                }
                WorkerEvent::Found(requests) => {
                    requests.into_iter().for_each(|one| self.arrived(one));
                }
                WorkerEvent::TakenAway(names) => {
                    // If another one is there, it is found by itself.
                    names.iter().for_each(|name| self.prefetched.forget(name));
                }
                WorkerEvent::Waiting => self.others_wait = true,
                WorkerEvent::Fed { waiting } => {
                    self.others_wait = waiting;
                    self.feeding = false;
                }
                WorkerEvent::Scanned => {
                    self.scanned = true;
                    self.scan_ordered = false;
                }
                WorkerEvent::Checked {
                    name,
                    opened,
                    reason,
                    written,
                } => {
                    self.checking = self.checking.saturating_sub(1);
                    let outcome = if written {
                        Outcome::Postponed("is being written again".to_owned())
                    } else {
                        Outcome::Unusable(reason)
                    };
                    self.dispose(&name, HeldFile::Open(opened), outcome, "");
                }
                WorkerEvent::Left {
                    name,
                    departure,
                    reason,
                } => {
                    self.leaving = self.leaving.saturating_sub(1);
                    self.left(&name, &departure, reason.as_deref());
                }
                WorkerEvent::Refused {
                    name,
                    departure,
                    reason,
                } => self.left(&name, &departure, Some(&reason)),
            }
        }
        self.feed();
        self.count_time();
    }

    /// Asks for others that wait, if few are known.
    fn feed(&mut self) {
        let known = self.queue.waiting();
        if !self.others_wait || self.feeding || known >= FEW {
            return;
        }
        let last = if self.probing { LAST_ONES } else { 0 };
        self.ask(KNOWN - known - last, last);
    }

    fn ask(&mut self, first: usize, last: usize) {
        self.feeding = true;
        self.order(WorkerRequest::Feed { first, last });
    }

    fn arrived(&mut self, one: Sighting) {
        let Sighting {
            name,
            facts,
            prefetched,
        } = one;
        self.prefetched.found(&name, prefetched);
        if !self.queue.arrived(name.clone(), facts) {
            // The thread reports no more than there is room for.
            error!("there is no room for '{name}', it waits for the next start");
        }
    }

    /// Whether a file waits to leave `new/`.
    pub fn is_leaving(&self) -> bool {
        self.checking + self.leaving > 0
    }

    fn order(&self, order: WorkerRequest) {
        if let Err(error) = self.orders.try_send(order) {
            // There is room for all, and the thread ends only with the process.
            error!("lost an order for {}: {error}", self.dir.display());
        }
    }

    /// The link is up; what the watch has missed is looked for.
    pub fn link_up(&mut self) {
        self.up = true;
        self.prefetching.want(true);
        self.count_time();
        if !std::mem::replace(&mut self.scan_ordered, true) {
            self.order(WorkerRequest::Scan);
        }
    }

    pub fn link_down(&mut self) {
        self.up = false;
        self.prefetching.want(false);
        self.prefetched.clear();
        self.count_time();
    }

    /// The time without an answer counts while there is a connection and the disk holds up nobody.
    fn count_time(&mut self) {
        let counting = self.up && !self.places.any_is_taken() && self.checking == 0;
        if std::mem::replace(&mut self.counting, counting) == counting {
            return;
        }
        if counting {
            self.queue.link_up(now());
        } else {
            self.queue.link_down(now());
        }
    }

    /// Whether one request at a time is to be tried, because nothing is accepted at present.
    pub fn probing(&mut self, probing: bool) {
        let begins = probing && !std::mem::replace(&mut self.probing, probing);
        self.queue.probing(probing);
        if begins && self.others_wait && !self.feeding {
            // Both ends are to be known, and not only when few are.
            self.ask(0, LAST_ONES);
        }
    }

    /// Requests are accepted again: those that were refused need not wait for the end of their pause.
    pub fn accepts_again(&mut self) {
        self.queue.accepts_again();
        self.refusals.clear();
    }

    /// Whether the window was full without any answer for too long.
    pub fn jammed(&mut self) -> bool {
        self.queue.jammed(now())
    }

    /// Whether [`ActionDir::take`] would hand out something, now that some pauses may be over. To be asked
    /// before [`ActionDir::deadline`].
    pub fn readiness(&mut self) -> Readiness {
        self.count_time();
        self.queue.resume(now());
        let leaving = self.checking + self.leaving;
        // What was acknowledged and is still there counts as if it were in flight: a window is the most that
        // the next start publishes again.
        let room = leaving < MOST_LEAVING && self.queue.has_room_beside(leaving);
        if self.scanned && !self.places.are_taken() && room {
            self.queue.readiness()
        } else {
            Readiness::Nothing
        }
    }

    /// When to ask for the readiness again, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.queue.deadline()
    }

    /// How large the file of the next request is.
    pub fn next_size(&self) -> u64 {
        self.queue.next_size()
    }

    /// The next request, whose file is being opened. `None`: nothing waits.
    pub fn take(&mut self) -> Option<Dispatched> {
        let NextRequest {
            name,
            prioritised,
            refused_before,
        } = self.queue.next(now())?;
        let opening = match self.prefetched.take(&name) {
            Some(file) => Opening::Read(Some(file)),
            None => self.open_soon(&name),
        };
        self.feed();
        self.count_time();
        Some(Dispatched {
            name,
            prioritised,
            refused_before,
            opening,
        })
    }

    fn open_soon(&mut self, name: &Name) -> Opening {
        let (answer, result) = oneshot::channel();
        self.to_open.push((name.clone(), answer));
        self.places.take(result)
    }
}

/// What was carried out is removed, or the next start would carry it out once more.
impl Drop for ActionDir {
    fn drop(&mut self) {
        self.hand_over();
    }
}

#[cfg(test)]
mod tests;
