//! The task that hears of everything that happens to the connection. It waits for nobody: lines and
//! commands have queues of their own, so that the session's is always empty.

use std::future::pending;
use std::time::{Duration, SystemTime};

use log::warn;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::chronicle::Chronicle;
use super::hook::Hook;
use super::told::Told;
use super::{Options, Supervisor};
use crate::clock::{now, reached};
use crate::mqtt::Watcher;

/// For what is still to be told when the daemon ends. Together with the farewell to the broker it is
/// less than the 2 s that a stop may take.
const FAREWELL: Duration = Duration::from_millis(600);

/// Tells the file, the command and the supervisor.
pub struct Reporter {
    watcher: Watcher,
    supervisor: Supervisor,
    chronicle: Option<Chronicle>,
    hook: Option<Hook>,
    missed: u64,
    ready: bool,
    /// The supervisor is being told that it is.
    telling: JoinSet<()>,
}

/// A reporter at work.
#[derive(Debug)]
pub struct Reports {
    stopped: oneshot::Sender<String>,
    task: JoinHandle<()>,
}

impl Reporter {
    /// `None`: nobody wants to know.
    pub fn new(options: &Options, supervisor: Supervisor, watcher: Watcher) -> Option<Reporter> {
        let chronicle = options.events.clone().map(Chronicle::new);
        let hook = options.on_event.clone().map(Hook::new);
        let wanted = chronicle.is_some() || hook.is_some() || supervisor.listens();
        wanted.then(|| Reporter {
            watcher,
            supervisor,
            chronicle,
            hook,
            missed: 0,
            ready: false,
            telling: JoinSet::new(),
        })
    }

    /// Begins to tell. Must be called within the runtime.
    pub fn start(self) -> Reports {
        let (stopped, why) = oneshot::channel();
        let task = tokio::spawn(self.run(why));
        Reports { stopped, task }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<String>) {
        let beat = self.supervisor.watchdog();
        let mut next_beat = beat.map(|beat| now() + beat);
        let reason = loop {
            tokio::select! {
                Some(event) = self.watcher.events.recv() => self.happened((&event).into()),
                Ok(()) = self.watcher.ready.changed() => self.tell_ready(),
                () = written(&mut self.chronicle) => {}
                () = ended(&mut self.hook) => {}
                Some(_) = self.telling.join_next() => {}
                () = reached(next_beat) => {
                    self.supervisor.alive();
                    next_beat = beat.map(|beat| now() + beat);
                }
                reason = &mut stopped => break reason.unwrap_or_default(),
            }
        };
        while let Ok(event) = self.watcher.events.try_recv() {
            self.happened((&event).into());
        }
        self.stopped(&reason).await;
    }

    fn happened(&mut self, told: Told) {
        let missed = *self.watcher.missed.borrow();
        if missed != self.missed {
            warn!("{} events were not told", missed - self.missed);
            self.missed = missed;
        }
        self.write(&told);
        if let Some(hook) = &mut self.hook {
            hook.add(told);
        }
    }

    fn write(&mut self, told: &Told) {
        if let Some(chronicle) = &mut self.chronicle {
            // Before 1970 is as good as 1970.
            let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            chronicle.add(told.line(time, std::process::id()));
        }
    }

    /// For the first time only, whatever becomes of the connection.
    fn tell_ready(&mut self) {
        if !self.ready && *self.watcher.ready.borrow() {
            self.ready = true;
            self.telling.spawn(self.supervisor.clone().ready());
        }
    }

    async fn stopped(mut self, reason: &str) {
        let told = Told::stopped(reason);
        self.write(&told);
        if let Some(hook) = &mut self.hook {
            hook.add_last(told);
        }
        while !self.is_idle() {
            tokio::select! {
                () = written(&mut self.chronicle) => {}
                () = ended(&mut self.hook) => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.chronicle.as_ref().is_none_or(Chronicle::is_idle)
            && self.hook.as_ref().is_none_or(Hook::is_idle)
    }
}

async fn written(chronicle: &mut Option<Chronicle>) {
    match chronicle {
        Some(chronicle) => chronicle.written().await,
        None => pending().await,
    }
}

async fn ended(hook: &mut Option<Hook>) {
    match hook {
        Some(hook) => hook.ended().await,
        None => pending().await,
    }
}

impl Reports {
    /// Tells as the last thing that the daemon ends, and waits a little until that has arrived. A
    /// command that runs longer is left alone.
    pub async fn stopped(self, reason: String) {
        // An error means that the task has ended already.
        let _ = self.stopped.send(reason);
        if timeout(FAREWELL, self.task).await.is_err() {
            warn!("the end is not waited for by those who are told of events");
        }
    }
}
