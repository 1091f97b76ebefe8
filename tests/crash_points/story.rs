//! The story: five messages, an update file, a shadow's delta with its outfile and notify command,
//! and a message for an inbox; and the model of what must have come of it in the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use iotcore_sandbox::{Event, Sandbox, Shadow};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::common::services::THING;
use crate::common::{Device, LONG, drop_file, names, sandbox};
use crate::parts::Part;
use crate::points::{Counts, Point, counted, injected, watched};

/// At most so many messages are in flight.
const WINDOW: usize = 2;
const GOOD: [&str; 4] = ["m1", "m2", "m3", "first"];
const BAD: &str = "{ no message";
const OLD: &str = r#"{"a":0}"#;
const NEW: &str = r#"{"a":1}"#;

/// How the daemon fared with the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Killed,
    /// With an exit code, or by a panic.
    Ended,
    /// Everything was done without a restart.
    WentOn,
    /// It waits for another attempt.
    Waits,
}

#[derive(Debug)]
pub struct Outcome {
    pub point: Point,
    pub reached: bool,
    pub ending: Ending,
    pub lost: usize,
    pub repeated: usize,
    pub problems: Vec<String>,
}

impl Outcome {
    pub fn problem(&self) -> Option<String> {
        let what = self.problems.join("; ");
        (!what.is_empty()).then(|| format!("{} ({:?}): {what}", self.point, self.ending))
    }
}

/// How often each call occurs in this part when nothing goes wrong.
pub fn calls(part: Part) -> Counts {
    let mut story = Story::new();
    let trace = story.device.path("trace");
    let command = watched(&story.device, part, &trace);
    story.device.start_as(command);
    assert_eq!(story.until(LONG), None, "{}", story.device.log());
    story.device.stop();
    counted(&fs::read_to_string(trace).expect("a trace"))
}

/// The story with this fault, and then again without one.
pub fn tried(point: Point) -> Outcome {
    let mut story = Story::new();
    let trace = story.device.path("trace");
    let command = injected(&story.device, point, &trace);
    story.device.start_as(command);
    let ending = story.endure();
    let seen = fs::read_to_string(&trace).unwrap_or_default();
    let mut problems = story.half_written();
    if ending != Ending::WentOn {
        story.device.start();
    }
    let missing = story.until(LONG);
    problems.extend(missing.map(|what| format!("stuck: {what}")));
    problems.extend(story.half_written());
    problems.extend(story.too_often());
    let lost = story.lost();
    if !problems.is_empty() {
        problems.push(story.device.log());
    }
    Outcome {
        point,
        reached: ending == Ending::Killed || seen.contains("INJECTED"),
        ending,
        lost,
        repeated: story.repeated(),
        problems,
    }
}

struct Story {
    sandbox: Sandbox,
    shadow: Shadow,
    device: Device,
    updates: PathBuf,
    inbox: PathBuf,
    /// Whether the cloud has sent the message for the inbox.
    sent: bool,
}

impl Story {
    fn new() -> Story {
        let sandbox = sandbox();
        let shadow = sandbox.shadow(THING);
        let desired = json!({"state": {"desired": {"net": {"a": 1}}}});
        shadow.update(desired).expect("a shadow");
        let mut device = Device::new(&sandbox);
        device.message_option("--message-concurrency", WINDOW);
        device.service("net", json!({}));
        fs::write(device.outfile("net"), OLD).expect("an outfile");
        let updates = device.updates(THING);
        drop_file(&updates, "led.1", r#"{"on":true}"#);
        let inbox = device.inbox("to-device", "inbox");
        for name in &GOOD[..3] {
            device.drop_message(name, "t", name);
        }
        device.drop_file("urgent", r#"{"topic":"t","payload":"first","priority":9}"#);
        device.drop_file("bad", BAD);
        Story {
            sandbox,
            shadow,
            device,
            updates,
            inbox,
            sent: false,
        }
    }

    /// Sends the message for the inbox as soon as there is a session for it, once.
    fn send(&mut self) {
        if !self.sent {
            self.sent = self.sandbox.publish("to-device", letter().as_bytes(), 1) > 0;
        }
    }

    /// Waits until everything is done; what is missing when the time is up.
    fn until(&mut self, limit: Duration) -> Option<String> {
        let start = Instant::now();
        loop {
            self.send();
            let missing = self.missing();
            if missing.is_none() || start.elapsed() > limit || !self.device.runs() {
                return missing;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What becomes of the daemon with the fault; one that only waits is killed.
    fn endure(&mut self) -> Ending {
        let missing = self.until(PATIENCE);
        if !self.device.runs() {
            return match self.device.exit().code() {
                None => Ending::Killed,
                Some(_) => Ending::Ended,
            };
        }
        if missing.is_none() {
            return Ending::WentOn;
        }
        self.device.kill();
        Ending::Waits
    }

    fn missing(&self) -> Option<String> {
        let device = &self.device;
        let reported = json!({"net": {"a": 1}, "led": {"on": true}});
        let document = self.shadow.document().unwrap_or_default();
        let last = device.notified("net").pop().unwrap_or_default();
        let checks = [
            (device.waiting().is_empty(), "new/ is not empty"),
            (self.lost() == 0, "a message was not published"),
            (device.failed() == ["bad"], "failed/ holds something else"),
            (names(&self.updates.join("new")).is_empty(), "the update"),
            (
                names(&self.updates.join("failed")).is_empty(),
                "the update failed",
            ),
            (
                !names(&self.inbox.join("new")).is_empty(),
                "the inbox is empty",
            ),
            (device.config("net") == NEW, "the outfile is old"),
            (last == NEW, "the notify command has not run since"),
            (document["state"]["reported"] == reported, "the report"),
            (
                document["state"]["desired"].is_null(),
                "the desired value is there",
            ),
            (
                !device.path(".net.conf.notify").exists(),
                "the marker is there",
            ),
        ];
        let wrong = checks.iter().find(|(holds, _)| !holds);
        wrong.map(|(_, what)| format!("{what}; {document}"))
    }

    fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for publish in self.sandbox.published() {
            if publish.topic == "t" {
                *times.entry(publish.text()).or_default() += 1;
            }
        }
        times
    }

    fn lost(&self) -> usize {
        let times = self.times();
        GOOD.iter()
            .filter(|name| !times.contains_key(**name))
            .count()
    }

    fn repeated(&self) -> usize {
        self.times().values().map(|count| count - 1).sum()
    }

    /// A connection repeats no more than what was in flight on the one before.
    fn too_often(&self) -> Option<String> {
        let all = self.sandbox.record();
        let connects = all
            .iter()
            .filter(|one| matches!(one.event, Event::Connect { .. }));
        let most = WINDOW * connects.count().saturating_sub(1);
        let repeated = self.repeated();
        (repeated > most).then(|| format!("{repeated} repeated, {most} were in flight"))
    }

    /// What somebody who looks now would see in part.
    fn half_written(&self) -> Vec<String> {
        let mut found = Vec::new();
        let config = self.device.config("net");
        if config != OLD && config != NEW {
            found.push(format!("the outfile says {config:?}"));
        }
        let failed = self.device.messages().join("failed");
        for name in names(&failed) {
            if fs::read_to_string(failed.join(&name)).unwrap_or_default() != BAD {
                found.push(format!("failed/{name} is not whole"));
            }
        }
        let new = self.inbox.join("new");
        let torn = names(&new).into_iter().filter(|name| !whole(&new, name));
        found.extend(torn.map(|name| format!("the inbox's {name} is not whole")));
        found
    }
}

/// The message for the inbox, larger than a page.
fn letter() -> String {
    "0123456789".repeat(2000)
}

fn whole(new: &Path, name: &str) -> bool {
    let payload = fs::read_to_string(new.join(name)).unwrap_or_default();
    let header = fs::read(new.join(format!(".{name}.json"))).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    payload == letter() && header["topic"] == "to-device"
}
