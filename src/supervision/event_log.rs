//! The file of events: lines wait here while the disk takes its time, and an event that cannot be
//! written costs itself only.

use std::path::PathBuf;

use super::append::append;
use super::bounded_runner::BoundedRunner;
use crate::log_throttle::LogThrottle;
use crate::offload;
use log::{Level, log};

/// So many lines wait for a slow disk.
const MOST: usize = 100;

/// Owns the file.
pub struct EventLog {
    path: PathBuf,
    /// Each time all lines that wait are one batch.
    runner: BoundedRunner<String>,
    failures: LogThrottle,
}

impl EventLog {
    pub fn new(path: PathBuf) -> EventLog {
        EventLog {
            path,
            runner: BoundedRunner::new(MOST),
            failures: LogThrottle::default(),
        }
    }

    pub fn add(&mut self, line: String) {
        if !self.runner.add(line) {
            self.failed("the disk is too slow");
        }
        self.begin();
    }

    fn begin(&mut self) {
        let Some(lines) = self.runner.due() else {
            return;
        };
        let lines: String = lines.drain(..).collect();
        let path = self.path.clone();
        self.runner.begin(async move {
            let written = offload::run(move || append(&path, &lines)).await;
            match written {
                Ok(written) => written.map_err(|error| error.to_string()),
                Err(lost) => Err(lost.to_string()),
            }
        });
    }

    /// Resolves when a batch is written, and begins the next one. Never, while there is none.
    pub async fn written(&mut self) {
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
        let path = self.path.display();
        log!(
            again.level,
            "events are not written to {path}: {why}{again}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_wait_in_order_and_the_oldest_go_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let mut event_log = EventLog::new(path.clone());
        for n in 0..300 {
            event_log.add(format!("{n}\n"));
        }
        while !event_log.is_idle() {
            event_log.written().await;
        }
        let expect: String = (0..1)
            .chain(300 - MOST..300)
            .map(|n| format!("{n}\n"))
            .collect();
        assert_eq!(std::fs::read_to_string(path).unwrap(), expect);
    }
}
