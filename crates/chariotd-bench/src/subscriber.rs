//! A subscriber at the broker, which says when it has seen each message.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::broker::Broker;

const LONG: Duration = Duration::from_secs(60);

/// Ends with the value.
pub struct Subscriber {
    process: Child,
    seen: Receiver<Instant>,
}

impl Subscriber {
    /// Is subscribed when it returns.
    pub fn start(broker: &Broker, topic: &str) -> Result<Subscriber> {
        let mut process = broker
            .client("mosquitto_sub")
            .args(["-t", topic, "-F", "%t", "-d"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context(
                "cannot start mosquitto_sub, install it with: apt install mosquitto-clients",
            )?;
        let output = process.stdout.take().context("its output")?;
        let (sender, seen) = channel();
        let topic = topic.to_owned();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line == topic || line.starts_with("Subscribed") {
                    let _ = sender.send(Instant::now());
                }
            }
        });
        let subscriber = Subscriber { process, seen };
        subscriber.next()?;
        Ok(subscriber)
    }

    /// When the next message was seen.
    pub fn next(&self) -> Result<Instant> {
        let seen = self.seen.recv_timeout(LONG);
        seen.context("the subscriber saw nothing for a minute")
    }

    /// Waits until nothing comes any more.
    pub fn forget(&self) {
        while self.seen.recv_timeout(Duration::from_millis(100)).is_ok() {}
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
