//! The task that receives everything that happens to the connection. It waits for nobody: lines and
//! commands have queues of their own, so that the session's is always empty.

use std::time::{Duration, SystemTime};

use log::warn;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::event_log::EventLog;
use super::event_record::EventRecord;
use super::hook::Hook;
use super::{SupervisionOptions, Supervisor};
use crate::clock::{now, reached};
use crate::mqtt::EventReceiver;
use crate::waits::or_pending;

/// For what is still to be reported when the daemon ends. Together with the DISCONNECT it is
/// less than the 2 s that a stop may take.
const LAST_REPORT: Duration = Duration::from_millis(600);

/// Passes events to the file, the command and the supervisor.
pub struct Reporter {
    receiver: EventReceiver,
    supervisor: Supervisor,
    event_log: Option<EventLog>,
    hook: Option<Hook>,
    missed: u64,
    ready: bool,
    /// The supervisor is being notified that it is.
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
    pub fn new(
        options: &SupervisionOptions,
        supervisor: Supervisor,
        receiver: EventReceiver,
    ) -> Option<Reporter> {
        let event_log = options.events.clone().map(EventLog::new);
        let hook = options.on_event.clone().map(Hook::new);
        let wanted = event_log.is_some() || hook.is_some() || supervisor.listens();
        wanted.then(|| Reporter {
            receiver,
            supervisor,
            event_log,
            hook,
            missed: 0,
            ready: false,
            telling: JoinSet::new(),
        })
    }

    /// Begins to report. Must be called within the runtime.
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
                Some(event) = self.receiver.events.recv() => self.happened((&event).into()),
                Ok(()) = self.receiver.ready.changed() => self.tell_ready(),
                () = or_pending(self.event_log.as_mut().map(EventLog::written)) => {}
                () = or_pending(self.hook.as_mut().map(Hook::ended)) => {}
                Some(_) = self.telling.join_next() => {}
                () = reached(next_beat) => {
                    self.supervisor.alive();
                    next_beat = beat.map(|beat| now() + beat);
                }
                reason = &mut stopped => break reason.unwrap_or_default(),
            }
        };
        while let Ok(event) = self.receiver.events.try_recv() {
            self.happened((&event).into());
        }
        self.stopped(&reason).await;
    }

    fn happened(&mut self, told: EventRecord) {
        let missed = *self.receiver.missed.borrow();
        if missed != self.missed {
            warn!("{} events were not reported", missed - self.missed);
            self.missed = missed;
        }
        self.write(&told);
        if let Some(hook) = &mut self.hook {
            hook.add(told);
        }
    }

    fn write(&mut self, told: &EventRecord) {
        if let Some(event_log) = &mut self.event_log {
            // Before 1970 is as good as 1970.
            let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            event_log.add(told.line(time, std::process::id()));
        }
    }

    /// For the first time only, whatever becomes of the connection.
    fn tell_ready(&mut self) {
        if !self.ready && *self.receiver.ready.borrow() {
            self.ready = true;
            self.telling.spawn(self.supervisor.clone().ready());
        }
    }

    async fn stopped(mut self, reason: &str) {
        let told = EventRecord::stopped(reason);
        self.write(&told);
        if let Some(hook) = &mut self.hook {
            hook.add_last(told);
        }
        while !self.is_idle() {
            tokio::select! {
                () = or_pending(self.event_log.as_mut().map(EventLog::written)) => {}
                () = or_pending(self.hook.as_mut().map(Hook::ended)) => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.event_log.as_ref().is_none_or(EventLog::is_idle)
            && self.hook.as_ref().is_none_or(Hook::is_idle)
    }
}

impl Reports {
    /// Reports as the last thing that the daemon ends, and waits a little until that has arrived. A
    /// command that runs longer is left alone.
    pub async fn stopped(self, reason: String) {
        // An error means that the task has ended already.
        let _ = self.stopped.send(reason);
        if timeout(LAST_REPORT, self.task).await.is_err() {
            warn!("the consumers of events did not finish in time, ending without them");
        }
    }
}
