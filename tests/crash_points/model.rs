//! The model of the story: what must have come of it in the end, and what nobody may ever see.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use iotcore_sandbox::Event;
use serde_json::{Value, json};

use crate::common::names;
use crate::story::{BAD, GOOD, NEW, OLD, Story, UPDATE, WINDOW};

impl Story {
    /// The first thing that is not done yet.
    pub fn missing(&self) -> Option<String> {
        let device = &self.device;
        let reported = match unreadable(&self.updates, UPDATE) {
            true => json!({"net": {"a": 1}}),
            false => json!({"net": {"a": 1}, "led": {"on": true}}),
        };
        let document = self.shadow.document().unwrap_or_default();
        let last = device.notified("net").pop().unwrap_or_default();
        let checks = [
            (device.waiting().is_empty(), "new/ is not empty"),
            (self.lost() == 0, "a message was not published"),
            (
                self.bad_is_told(),
                "the bad one is neither kept nor told of",
            ),
            (names(&self.updates.join("new")).is_empty(), "the update"),
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

    /// Where the move to `failed/` fails, the file is deleted, and that is an error in the log.
    fn bad_is_told(&self) -> bool {
        let deleted = "deleted 'bad', it cannot be moved to failed/";
        self.device.failed().contains(&"bad".to_owned()) || self.device.logged(deleted) > 0
    }

    pub fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for publish in self.sandbox.published() {
            if publish.topic == "t" {
                *times.entry(publish.text()).or_default() += 1;
            }
        }
        times
    }

    /// Neither published nor kept with a true reason.
    pub fn lost(&self) -> usize {
        let times = self.times();
        let messages = self.device.messages();
        let there = |one: &(&str, &str)| times.contains_key(one.0) || unreadable(&messages, *one);
        GOOD.iter().filter(|one| !there(one)).count()
    }

    pub fn given_up(&self) -> usize {
        let messages = self.device.messages();
        let all = GOOD.map(|one| unreadable(&messages, one));
        let update = unreadable(&self.updates, UPDATE);
        all.iter().filter(|one| **one).count() + usize::from(update)
    }

    pub fn repeated(&self) -> usize {
        self.times().values().map(|count| count - 1).sum()
    }

    /// A connection repeats no more than what was in flight on the one before.
    pub fn too_often(&self) -> Option<String> {
        let all = self.sandbox.record();
        let connects = all
            .iter()
            .filter(|one| matches!(one.event, Event::Connect { .. }));
        let most = WINDOW * connects.count().saturating_sub(1);
        let repeated = self.repeated();
        (repeated > most).then(|| format!("{repeated} repeated, {most} were in flight"))
    }

    /// What somebody who looks now would see in part.
    pub fn half_written(&self) -> Vec<String> {
        let mut found = Vec::new();
        let config = self.device.config("net");
        if config != OLD && config != NEW {
            found.push(format!("the outfile says {config:?}"));
        }
        let (messages, bad) = (self.device.messages(), ("bad", BAD));
        let all = GOOD.iter().chain([&bad]).map(|one| (&messages, *one));
        for (dir, (name, contents)) in all.chain([(&self.updates, UPDATE)]) {
            let file = fs::read_to_string(dir.join("failed").join(name));
            if file.is_ok_and(|text| text != contents) {
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
pub fn letter() -> String {
    "0123456789".repeat(2000)
}

fn whole(new: &Path, name: &str) -> bool {
    let payload = fs::read_to_string(new.join(name)).unwrap_or_default();
    let header = fs::read(new.join(format!(".{name}.json"))).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    payload == letter() && header["topic"] == "to-device"
}

/// Whether this file is in `failed/` because a call that reads it has failed.
fn unreadable(dir: &Path, (name, contents): (&str, &str)) -> bool {
    let failed = dir.join("failed");
    let reason = fs::read_to_string(failed.join(format!(".{name}.reason"))).unwrap_or_default();
    reason.contains("cannot be read: ")
        && fs::read_to_string(failed.join(name)).is_ok_and(|text| text == contents)
}
