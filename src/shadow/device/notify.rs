//! Notify commands: one at a time for each service, and once more afterwards when something has
//! changed meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use log::{error, info, warn};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::marker::{self, MOST_STARTS};
use super::service::Service;
use crate::offload::{self, Lost};
use crate::process;
use crate::shadow::effect::FileId;
use crate::spool::starts::Starts;
use crate::transient;

/// Commands of one ephemeral service that may wait.
const MOST_DUE: usize = 64;
/// Before a command is started again for which the machine was short of something.
const REST: Duration = Duration::from_secs(2);
/// The same where the disk does not give the command: somebody has to repair it.
const LONG_REST: Duration = Duration::from_secs(30);

/// A command that has ended.
#[derive(Debug)]
pub struct NotifyExit {
    pub key: String,
    /// `None`: it was not started, because it never lives to its end.
    outcome: Option<Result<ExitStatus>>,
}

/// A run that is due.
#[derive(Clone, Debug)]
pub struct NotifyRun {
    service: Service,
    /// Where the marker is, if there is an outfile.
    outfile: Option<PathBuf>,
    /// What the command may read: it is a command of an ephemeral service.
    stdin: Option<Value>,
    /// The update file that asks for it.
    file: Option<FileId>,
    /// Counts for that file what the marker counts for an outfile.
    starts: Option<Starts>,
    /// The marker counts this start already.
    counted: bool,
}

impl NotifyRun {
    pub fn new(service: &Service, outfile: Option<&Path>, stdin: Option<Value>) -> NotifyRun {
        NotifyRun {
            service: service.clone(),
            outfile: outfile.map(Path::to_owned),
            stdin,
            file: None,
            starts: None,
            counted: false,
        }
    }

    /// The marker counts this start already.
    pub fn counted(self) -> NotifyRun {
        NotifyRun {
            counted: true,
            ..self
        }
    }

    fn is_to_be_counted(&self) -> bool {
        self.starts.is_some() || (self.outfile.is_some() && !self.counted)
    }

    /// For this file, which stays until the command has ended.
    pub fn of_file(self, file: FileId, starts: Option<Starts>) -> NotifyRun {
        NotifyRun {
            file: Some(file),
            starts,
            ..self
        }
    }
}

/// What is over when a command has ended.
#[derive(Debug, Default, PartialEq)]
pub struct Finished {
    /// Nothing more is owed to this service.
    pub quiet: bool,
    /// The file that asked for it, and why it is given up if it is.
    pub file: Option<(FileId, Result<(), String>)>,
}

/// All notify commands of one shadow.
#[derive(Debug, Default)]
pub struct NotifyRunner {
    running: JoinSet<NotifyExit>,
    /// By key: what is being run, and what is due afterwards: one run for all changes of an
    /// outfile, or one for each command of an ephemeral service.
    busy: BTreeMap<String, (NotifyRun, VecDeque<NotifyRun>)>,
}

impl NotifyRunner {
    /// Runs the command now, or once more when it has ended.
    pub fn notify(&mut self, run: NotifyRun) {
        let key = run.service.key.clone();
        match self.busy.get_mut(&key) {
            Some((_, due)) => {
                if run.stdin.is_none() {
                    due.clear();
                }
                // Update files are few at a time, and one that is dropped would never be settled.
                if due.len() < MOST_DUE || run.file.is_some() {
                    due.push_back(run);
                } else {
                    error!(
                        "{key}: dropped a command, {MOST_DUE} others wait for the one that runs"
                    );
                }
            }
            None => self.start(key, run, VecDeque::new(), Duration::ZERO),
        }
    }

    /// Runs the command for a notification that an earlier process has left owed, unless it was
    /// started for that too often.
    pub fn catch_up(&mut self, service: &Service, outfile: &Path, starts: u32) {
        let path = outfile.display();
        if starts < MOST_STARTS {
            info!("{}: catching up with a change of {path}", service.key);
            self.notify(NotifyRun::new(service, Some(outfile), None));
            return;
        }
        error!(
            "{}: the notify command for {path} was started {starts} times and never seen to end, it is not started again",
            service.key
        );
    }

    fn start(&mut self, key: String, run: NotifyRun, due: VecDeque<NotifyRun>, pause: Duration) {
        let counting = run.clone();
        let service = &run.service;
        info!("{key}: notifying: {}", service.notify);
        let label = format!("notifycmd of {}", service.file);
        let mut task = process::shell(&label, &service.notify, service.timeout);
        if let Some(stdin) = &run.stdin {
            task = task.stdin(stdin.to_string().into_bytes());
        }
        self.busy.insert(key.clone(), (run, due));
        self.running.spawn(async move {
            // A pause of nothing would last until the next tick of the timer.
            if !pause.is_zero() {
                sleep(pause).await;
            }
            // On the disk before the command can take the machine down.
            let counted = match counting.is_to_be_counted() {
                true => offload::run(move || count(&counting)).await,
                false => Ok(true),
            };
            let outcome = match counted {
                Ok(true) => Some(task.run().await),
                Ok(false) => None,
                Err(lost) => Some(Err(lost.into())),
            };
            NotifyExit { key, outcome }
        });
    }

    /// Waits for a command to end; for ever, if none runs. May be dropped while it waits.
    pub async fn ended(&mut self) -> NotifyExit {
        loop {
            match self.running.join_next().await {
                Some(Ok(ended)) => return ended,
                Some(Err(fault)) => std::panic::resume_unwind(fault.into_panic()),
                None => std::future::pending::<()>().await,
            }
        }
    }

    /// Starts it once more, after a pause: it was not started.
    async fn again(&mut self, key: String, rest: Duration) {
        if let Some((mut run, due)) = self.busy.remove(&key) {
            beside(&run, uncount).await;
            run.counted = false;
            self.start(key, run, due, rest);
        }
    }

    /// A command has ended.
    pub async fn finished(&mut self, ended: NotifyExit) -> Finished {
        let NotifyExit { key, outcome } = ended;
        let mut end = Ok(());
        match outcome {
            Some(Ok(status)) if status.success() => info!("{key}: notified"),
            Some(Ok(status)) => warn!("{key}: the notify command failed: {status}"),
            Some(Err(error)) => match pause_after(&error) {
                Some(rest) => {
                    warn!("{key}: the notify command is started again: {error:#}");
                    self.again(key, rest).await;
                    return Finished::default();
                }
                None => error!("{key}: {error:#}"),
            },
            None => {
                end = Err(format!(
                    "its command was started {MOST_STARTS} times and never seen to end, it is not started again"
                ));
            }
        }
        let Some((run, mut due)) = self.busy.remove(&key) else {
            return Finished::default();
        };
        beside(&run, forget).await;
        let quiet = due.is_empty();
        match due.pop_front() {
            Some(next) => self.start(key, next, due, Duration::ZERO),
            None => beside(&run, clear).await,
        }
        Finished {
            quiet,
            file: run.file.map(|file| (file, end)),
        }
    }

    pub fn is_busy(&self, key: &str) -> bool {
        self.busy.contains_key(key)
    }
}

/// Does something with the files that count, if there are any: off the runtime's thread, or on it where
/// no other can be made.
async fn beside(run: &NotifyRun, work: fn(&NotifyRun)) {
    if run.outfile.is_none() && run.starts.is_none() {
        return;
    }
    let own = run.clone();
    if let Err(Lost::NoThread(_)) = offload::run(move || work(&own)).await {
        work(run);
    }
}

/// After what pause a command is started again that could not be started for something that may pass: it
/// is still owed.
fn pause_after(error: &anyhow::Error) -> Option<Duration> {
    if transient::chain_is_transient(error) {
        return Some(REST);
    }
    transient::chain_is_disk_error(error).then_some(LONG_REST)
}

/// One more start, unless there were too many. Where it cannot be counted it is made all the same.
fn count(run: &NotifyRun) -> bool {
    if let Some(starts) = &run.starts {
        if starts.so_far() >= MOST_STARTS {
            return false;
        }
        told("count the starts of", starts.begin(), run);
    }
    if let (Some(outfile), false) = (&run.outfile, run.counted) {
        told("count in the marker of", marker::count(outfile), run);
    }
    true
}

/// The command was never there: that is no start which it did not live through.
fn uncount(run: &NotifyRun) {
    if let Some(starts) = &run.starts {
        told("count the starts of", starts.take_back(), run);
    }
    if let Some(outfile) = &run.outfile {
        told("repair the marker of", marker::set(outfile), run);
    }
}

/// The command was seen to end.
fn forget(run: &NotifyRun) {
    if let Some(starts) = &run.starts {
        told("forget the starts of", starts.forget(), run);
    }
}

/// Nothing is owed any more. Where this fails the service is notified again at the next start.
fn clear(run: &NotifyRun) {
    if let Some(outfile) = &run.outfile {
        told("remove the marker of", marker::clear(outfile), run);
    }
}

fn told(what: &str, result: io::Result<()>, run: &NotifyRun) {
    if let Err(error) = result {
        let beside = match (&run.file, &run.outfile) {
            (Some(file), _) => format!("'{}'", file.name),
            (None, Some(outfile)) => outfile.display().to_string(),
            (None, None) => String::new(),
        };
        warn!("{}: cannot {what} {beside}: {error}", run.service.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::device::service::{Output, Validation};
    use nix::errno::Errno;

    #[tokio::test]
    async fn an_update_file_is_never_dropped_however_many_commands_wait() {
        let mut service = ephemeral();
        service.notify = "cat > /dev/null".into();
        let mut runner = NotifyRunner::default();
        for _ in 0..=MOST_DUE {
            runner.notify(NotifyRun::new(&service, None, Some(Value::Null)));
        }
        let file = FileId {
            dir: 0,
            name: crate::spool::Name::new(std::ffi::OsStr::new("net.1")),
        };
        let run = NotifyRun::new(&service, None, Some(Value::Null));
        runner.notify(run.of_file(file.clone(), None));
        let mut settled = None;
        while runner.is_busy("net") {
            let ended = runner.ended().await;
            settled = runner.finished(ended).await.file.or(settled);
        }
        assert_eq!(settled, Some((file, Ok(()))));
    }

    fn ephemeral() -> Service {
        Service {
            file: "net.json".into(),
            key: "net".into(),
            output: Output::Ephemeral,
            informat: crate::format::Format::Json,
            notify: "true".into(),
            notify_keys: None,
            initial_notify: false,
            timeout: Duration::from_secs(10),
            validation: Validation::None,
        }
    }

    fn cannot_start(why: Errno) -> anyhow::Error {
        anyhow::Error::new(std::io::Error::from(why)).context("cannot start it")
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_shortage_or_the_disk_kept_from_starting_is_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let outfile = dir.path().join("net.conf");
        marker::set(&outfile).unwrap();
        let service = ephemeral();
        let mut runner = NotifyRunner::default();
        runner.notify(NotifyRun::new(&service, Some(&outfile), None));
        runner.ended().await;
        for why in [Errno::EAGAIN, Errno::EIO, Errno::ENOSPC, Errno::EROFS] {
            let ended = NotifyExit {
                key: "net".into(),
                outcome: Some(Err(cannot_start(why))),
            };
            assert_eq!(runner.finished(ended).await, Finished::default(), "{why}");
            assert!(runner.is_busy("net"), "{why}");
            assert_eq!(marker::starts(&outfile), Some(0), "it was never started");
            runner.ended().await;
        }
        let ended = NotifyExit {
            key: "net".into(),
            outcome: Some(Err(cannot_start(Errno::ENOENT))),
        };
        assert!(runner.finished(ended).await.quiet);
        assert_eq!(marker::starts(&outfile), None);
    }
}
