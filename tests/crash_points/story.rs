//! The story: five messages, an update file, a shadow's delta with its outfile and notify command,
//! and a message for an inbox; once with a fault, and once more without one.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use iotcore_sandbox::{Sandbox, Shadow};
use serde_json::json;

use crate::PATIENCE;
use crate::common::services::THING;
use crate::common::{Device, LONG, drop_file, sandbox};
use crate::model::letter;
use crate::parts::Part;
use crate::points::{Counts, Point, counted, injected, watched};

/// At most so many messages are in flight.
pub const WINDOW: usize = 2;
/// Files in `messages/new/`; each payload is the name.
pub const GOOD: [(&str, &str); 4] = [
    ("m1", r#"{"topic":"t","payload":"m1"}"#),
    ("m2", r#"{"topic":"t","payload":"m2"}"#),
    ("m3", r#"{"topic":"t","payload":"m3"}"#),
    ("urgent", r#"{"topic":"t","payload":"urgent","priority":9}"#),
];
pub const BAD: &str = "{ no message";
pub const UPDATE: (&str, &str) = ("led.1", r#"{"on":true}"#);
/// The outfile before and after.
pub const OLD: &str = r#"{"a":0}"#;
pub const NEW: &str = r#"{"a":1}"#;

/// How the daemon fared with the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Killed,
    /// With this exit code.
    Ended(i32),
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
    /// Whole in `failed/`, with the reason that they cannot be read.
    pub given_up: usize,
    /// The last that the daemon said before it ended by itself.
    pub last_words: String,
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
    let last_words = story
        .device
        .log()
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned();
    let seen = fs::read_to_string(&trace).unwrap_or_default();
    let mut problems = story.half_written();
    if ending != Ending::WentOn {
        story.device.start();
    }
    let missing = story.until(LONG);
    problems.extend(missing.map(|what| format!("stuck: {what}")));
    problems.extend(story.half_written());
    problems.extend(story.too_often());
    if !problems.is_empty() {
        problems.push(story.device.log());
    }
    Outcome {
        point,
        reached: ending == Ending::Killed || seen.contains("INJECTED"),
        ending,
        lost: story.lost(),
        repeated: story.repeated(),
        given_up: story.given_up(),
        last_words,
        problems,
    }
}

pub struct Story {
    pub sandbox: Sandbox,
    pub shadow: Shadow,
    pub device: Device,
    pub updates: PathBuf,
    pub inbox: PathBuf,
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
        drop_file(&updates, UPDATE.0, UPDATE.1);
        let inbox = device.inbox("to-device", "inbox");
        for (name, contents) in GOOD {
            device.drop_file(name, contents);
        }
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
                Some(code) => Ending::Ended(code),
            };
        }
        if missing.is_none() {
            return Ending::WentOn;
        }
        self.device.kill();
        Ending::Waits
    }
}
