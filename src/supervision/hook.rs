//! `--on-event`: a command for each event, one after the other. One that hangs holds up the ones
//! behind it, for a while, and nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use super::bounded_runner::BoundedRunner;
use super::event_record::EventRecord;
use crate::log_throttle::LogThrottle;
use crate::process;
use anyhow::{Result, bail};
use log::{Level, log};

/// A command has this long.
const LIMIT: Duration = Duration::from_secs(5);
/// So many events wait for their turn.
const MOST: usize = 32;

/// Owns the command line.
pub struct Hook {
    line: String,
    runner: BoundedRunner<EventRecord>,
    failures: LogThrottle,
}

impl Hook {
    pub fn new(line: String) -> Hook {
        Hook {
            line,
            runner: BoundedRunner::new(MOST),
            failures: LogThrottle::default(),
        }
    }

    pub fn add(&mut self, told: EventRecord) {
        if !self.runner.add(told) {
            self.failed("on-event is slower than the events, the oldest is dropped");
        }
        self.begin();
    }

    /// The daemon ends: this is the last one, and there is no time for those that wait.
    pub fn add_last(&mut self, told: EventRecord) {
        self.runner.clear();
        self.add(told);
    }

    fn begin(&mut self) {
        if let Some(told) = self.runner.due().and_then(VecDeque::pop_front) {
            let line = self.line.clone();
            let work = async move { run(line, told).await.map_err(|why| format!("{why:#}")) };
            self.runner.begin(work);
        }
    }

    /// Resolves when a command has ended, and begins the next one. Never, while there is none.
    pub async fn ended(&mut self) {
        match self.runner.ended().await {
            Ok(()) => self.failures.clear(),
            Err(why) => self.failed(&why),
        }
        self.begin();
    }

    pub fn is_idle(&self) -> bool {
        self.runner.is_idle()
    }

    fn failed(&mut self, why: &str) {
        let again = self.failures.again(Level::Warn, why);
        log!(again.level, "{why}{again}");
    }
}

async fn run(line: String, told: EventRecord) -> Result<()> {
    let task = process::shell("on-event", &line, LIMIT);
    let variables = told.variables().into_iter();
    let task = variables.fold(task, |task, (name, value)| task.variable(name, value));
    match task.run().await? {
        status if status.success() => Ok(()),
        status => bail!("on-event failed for '{}': {status}", told.event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: usize) -> EventRecord {
        EventRecord::stopped(&reason.to_string())
    }

    fn reasons(hook: &Hook) -> Vec<String> {
        let waiting = hook.runner.waiting();
        waiting.filter_map(|told| told.reason.clone()).collect()
    }

    #[tokio::test]
    async fn more_events_than_it_can_take_lose_the_oldest() {
        let mut hook = Hook::new("sleep 10".to_owned());
        for n in 0..50 {
            hook.add(told(n));
        }
        assert_eq!(hook.runner.running(), 1, "one at a time");
        let newest: Vec<String> = (50 - MOST..50).map(|n| n.to_string()).collect();
        assert_eq!(reasons(&hook), newest);
        hook.add_last(told(99));
        assert_eq!(reasons(&hook), ["99"]);
    }

    #[tokio::test]
    async fn commands_follow_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let mut hook = Hook::new(format!("echo $REASON >> {}; exit 1", out.display()));
        for n in 0..3 {
            hook.add(told(n));
        }
        while !hook.is_idle() {
            hook.ended().await;
        }
        assert_eq!(std::fs::read_to_string(out).unwrap(), "0\n1\n2\n");
    }
}
