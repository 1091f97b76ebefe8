//! What the broker publishes about this device: that it is there, and that it is gone.

use super::problems::Problems;
use crate::cli::Cli;
use crate::mqtt::{Birth, LastWill};
use crate::publish::topic;

/// What MQTT allows.
const LARGEST_WILL: usize = 65_535;
/// What AWS IoT Core allows.
const LARGEST_BIRTH: usize = 128 * 1024;

pub fn last_will(cli: &Cli, problems: &mut Problems) -> Option<LastWill> {
    let options = AnnouncementOptions {
        name: "last-will",
        what: "a last will has a topic and a payload",
        topic: cli.last_will_topic.as_ref(),
        payload: cli.last_will_payload.as_ref(),
        retain: cli.last_will_retain,
        largest: LARGEST_WILL,
    };
    let (topic, payload) = options.read(problems)?;
    Some(LastWill {
        topic,
        payload,
        retain: cli.last_will_retain,
    })
}

pub fn birth(cli: &Cli, problems: &mut Problems) -> Option<Birth> {
    let options = AnnouncementOptions {
        name: "birth",
        what: "a birth message has a topic and a payload",
        topic: cli.birth_topic.as_ref(),
        payload: cli.birth_payload.as_ref(),
        retain: cli.birth_retain,
        largest: LARGEST_BIRTH,
    };
    let (topic, payload) = options.read(problems)?;
    Some(Birth {
        topic,
        payload,
        retain: cli.birth_retain,
    })
}

/// The options `--NAME-topic`, `--NAME-payload` and `--NAME-retain`.
struct AnnouncementOptions<'a> {
    name: &'a str,
    what: &'a str,
    topic: Option<&'a String>,
    payload: Option<&'a String>,
    retain: bool,
    largest: usize,
}

impl AnnouncementOptions<'_> {
    fn read(&self, problems: &mut Problems) -> Option<(String, String)> {
        let option = |member: &str| format!("{}-{member}", self.name);
        let (Some(topic), Some(payload)) = (self.topic, self.payload) else {
            if self.topic.is_none() && (self.payload.is_some() || self.retain) {
                problems.missing(&option("topic"), self.what);
            }
            if self.payload.is_none() && (self.topic.is_some() || self.retain) {
                problems.missing(&option("payload"), self.what);
            }
            return None;
        };
        if let Some(why) = topic::invalid(topic) {
            problems.add(&option("topic"), topic, &format!("the topic {why}"));
        }
        if payload.len() > self.largest {
            let (option, most) = (option("payload"), self.largest);
            problems
                .0
                .push(format!("--{option}: is longer than {most} bytes"));
        }
        Some((topic.clone(), payload.clone()))
    }
}
