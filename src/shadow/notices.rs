//! Notify commands: one at a time for each service, and once more afterwards when something has
//! changed meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::Result;
use log::{error, info, warn};
use serde_json::Value;
use tokio::task::JoinSet;

use super::marker::{self, MOST_STARTS};
use super::service::Service;
use crate::process;

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub key: String,
    outcome: Result<ExitStatus>,
}

/// A run that is due.
#[derive(Clone, Debug)]
pub struct Run {
    service: Service,
    /// Where the marker is, if there is an outfile.
    outfile: Option<PathBuf>,
    /// What the command may read.
    stdin: Option<Value>,
}

impl Run {
    pub fn new(service: &Service, outfile: Option<&Path>, stdin: Option<Value>) -> Run {
        Run {
            service: service.clone(),
            outfile: outfile.map(Path::to_owned),
            stdin,
        }
    }
}

/// All notify commands of one shadow.
#[derive(Debug, Default)]
pub struct Notices {
    running: JoinSet<Ended>,
    /// By key: what is being run, and what is due afterwards.
    busy: BTreeMap<String, (Run, Option<Run>)>,
}

impl Notices {
    /// Runs the command now, or once more when it has ended.
    pub fn notify(&mut self, run: Run) {
        let key = run.service.key.clone();
        match self.busy.get_mut(&key) {
            Some((_, again)) => *again = Some(run),
            None => self.start(key, run),
        }
    }

    /// Runs the command if an earlier process has left a notification owed.
    pub fn catch_up(&mut self, service: &Service, outfile: &Path) {
        let path = outfile.display();
        match marker::starts(outfile) {
            None => {}
            Some(starts) if starts >= MOST_STARTS => {
                error!(
                    "{}: the notify command for {path} was started {starts} times and never seen to end, it is not started again",
                    service.key
                );
                clear(outfile);
            }
            Some(_) => {
                info!("{}: catching up with a change of {path}", service.key);
                self.notify(Run::new(service, Some(outfile), None));
            }
        }
    }

    fn start(&mut self, key: String, run: Run) {
        if let Some(outfile) = &run.outfile
            && let Err(error) = marker::count(outfile)
        {
            warn!(
                "cannot count in the marker beside {}: {error}",
                outfile.display()
            );
        }
        let service = &run.service;
        info!("{key}: notifying: {}", service.notify);
        let label = format!("notifycmd of {}", service.file);
        let mut task = process::shell(&label, &service.notify, service.timeout);
        if let Some(stdin) = &run.stdin {
            task = task.stdin(stdin.to_string().into_bytes());
        }
        self.busy.insert(key.clone(), (run, None));
        self.running.spawn(async move {
            let outcome = task.run().await;
            Ended { key, outcome }
        });
    }

    /// Waits for a command to end; for ever, if none runs. May be dropped while it waits.
    pub async fn ended(&mut self) -> Ended {
        loop {
            match self.running.join_next().await {
                Some(Ok(ended)) => return ended,
                Some(Err(fault)) => std::panic::resume_unwind(fault.into_panic()),
                None => std::future::pending::<()>().await,
            }
        }
    }

    /// A command has ended. `true`: nothing more is owed to this service.
    pub fn settle(&mut self, ended: Ended) -> bool {
        let Ended { key, outcome } = ended;
        match outcome {
            Ok(status) if status.success() => info!("{key}: notified"),
            Ok(status) => warn!("{key}: the notify command failed: {status}"),
            Err(error) => error!("{key}: {error:#}"),
        }
        match self.busy.remove(&key) {
            Some((_, Some(again))) => {
                self.start(key, again);
                false
            }
            Some((run, None)) => {
                if let Some(outfile) = &run.outfile {
                    clear(outfile);
                }
                true
            }
            None => true,
        }
    }

    pub fn is_busy(&self, key: &str) -> bool {
        self.busy.contains_key(key)
    }
}

fn clear(outfile: &Path) {
    if let Err(error) = marker::clear(outfile) {
        warn!(
            "cannot remove the marker beside {}, its service is notified again at the next start: {error}",
            outfile.display()
        );
    }
}
