//! Whatever happens in whatever order: the conversation never panics, says all it has to say in few steps,
//! and has one request in flight at most, while it is connected.

#![no_main]

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use chariotd::shadow::cloud::conversation::{Action, Conversation};
use chariotd::shadow::cloud::topics::Channel;
use chariotd::shadow::effect::{DesiredAnswer, Effect, FileId, Report, Scope};
use chariotd::spool::Name;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

const KEYS: [&str; 3] = ["a", "b", "c"];
const VERSIONS: [u64; 5] = [0, 1, u64::MAX - 1, u64::MAX, 7];
const CODES: [i64; 12] = [400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 0, -1];

#[derive(Arbitrary, Debug)]
enum Event {
    Connected,
    Disconnected,
    Afresh,
    Missed,
    Later(u16),
    Next,
    Overdue(u8),
    Unsent,
    Taken,
    FetchAt(u16),
    Patch(u8, u8, Document),
    Seed(Document),
    Reported(u8, Document, bool),
    TakenUp(u8, u8, Option<Document>),
    Answered(u8, Document, u8, u8),
    Released(u8),
    Heard(u8, Said),
    Garbage(u8, Vec<u8>),
}

/// Whose token a message has.
#[derive(Arbitrary, Debug)]
enum Whose {
    Ours,
    Earlier,
    Theirs,
    Nobodys,
}

#[derive(Arbitrary, Debug)]
struct Said {
    whose: Whose,
    /// From the newest version on, or one that comes from nowhere.
    version: i8,
    strange: bool,
    code: u8,
    desired: Document,
    reported: Document,
}

#[derive(Arbitrary, Clone, Debug)]
enum Document {
    Null,
    Number(i8),
    Text(String),
    List(Vec<i8>),
    Object(Vec<(u8, Document)>),
}

impl Document {
    fn value(self) -> Value {
        match self {
            Document::Null => Value::Null,
            Document::Number(number) => number.into(),
            Document::Text(text) => text.into(),
            Document::List(items) => items.into(),
            Document::Object(members) => object(members).into(),
        }
    }

    /// What services and the cloud have is an object.
    fn members(self) -> Map<String, Value> {
        match self {
            Document::Object(members) => object(members),
            other => Map::from_iter([("a".to_owned(), other.value())]),
        }
    }
}

fn object(members: Vec<(u8, Document)>) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(at, it)| (key(at), it.value()))
        .collect()
}

fn key(at: u8) -> String {
    KEYS[usize::from(at) % KEYS.len()].to_owned()
}

struct Talk {
    thing: Conversation,
    now: Instant,
    connected: bool,
    /// The token of the request that waits for its answer, and whether it is a fetch.
    waiting: Option<(String, bool)>,
    earlier: String,
    version: u64,
}

impl Talk {
    fn happens(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Connected => {
                // The agent says so once.
                if !self.connected {
                    self.thing.connected(now);
                }
                self.connected = true;
            }
            Event::Disconnected => {
                self.thing.disconnected();
                (self.connected, self.waiting) = (false, None);
            }
            Event::Afresh => self.thing.start_afresh(),
            Event::Missed => self.thing.missed(now),
            Event::Later(tenths) => self.now += Duration::from_millis(100 * u64::from(tenths)),
            Event::Next => self.all_there_is(),
            Event::Overdue(jitter) => {
                if self.thing.overdue(now, f64::from(jitter) / 255.0).is_some() {
                    self.waiting = None;
                }
            }
            Event::Unsent => {
                self.thing.unsent("no", now, 0.5);
                self.waiting = None;
            }
            Event::Taken => {
                let token = self.waiting.as_ref().map(|(token, _)| token.clone());
                self.thing.taken(&token.unwrap_or_default(), now);
            }
            Event::FetchAt(seconds) => {
                self.thing
                    .refetch_at(now + Duration::from_secs(seconds.into()));
            }
            Event::Patch(name, at, patch) => {
                self.thing.patch(file(name), &key(at), patch.value());
            }
            Event::Seed(members) => self.thing.seed(members.members()),
            Event::Heard(channel, said) => self.hear(channel, said),
            Event::Garbage(channel, bytes) => self.receive(channel_of(channel), &bytes),
            effect => self.apply(effect),
        }
    }

    fn apply(&mut self, event: Event) {
        let effect = match event {
            Event::Reported(at, config, everything) => Effect::Reported {
                key: key(at),
                report: Report {
                    config: config.members().into(),
                    scope: match everything {
                        true => Scope::Everything,
                        false => Scope::These(vec![key(at)]),
                    },
                },
            },
            Event::TakenUp(name, at, rest) => Effect::TakenUp {
                id: file(name),
                key: key(at),
                rest: rest.map(Document::value),
            },
            Event::Answered(at, desired, version, how) => Effect::Answered {
                key: key(at),
                desired: desired.value(),
                version: self.version.saturating_sub(version.into()),
                answer: match how % 4 {
                    0 => DesiredAnswer::InForce,
                    1 => DesiredAnswer::Held,
                    2 => DesiredAnswer::Command(None),
                    _ => DesiredAnswer::Command(Some(json!({"go": how}))),
                },
            },
            Event::Released(at) => Effect::Released { key: key(at) },
            other => unreachable!("{other:?}"),
        };
        let _ = self.thing.apply(effect);
    }

    fn all_there_is(&mut self) {
        let most = 100;
        for _ in 0..most {
            let (request, is_get) = match self.thing.next(self.now) {
                None => return,
                Some(Action::Get(request)) => (request, true),
                Some(Action::Update(request)) => (request, false),
                Some(Action::Settled(files) | Action::GiveUp(files)) => {
                    assert!(!files.is_empty());
                    continue;
                }
                Some(Action::Undone { .. }) => continue,
            };
            assert!(self.connected, "{request}");
            assert!(self.waiting.is_none(), "two in flight: {request}");
            let token = request["clientToken"].as_str().expect("a token").to_owned();
            self.earlier.clone_from(&token);
            self.waiting = Some((token, is_get));
            assert!(
                self.thing.deadline().is_some(),
                "nobody waits for {request}"
            );
        }
        panic!("it never comes to an end");
    }

    fn hear(&mut self, channel: u8, said: Said) {
        let channel = channel_of(channel);
        let version = match said.strange {
            true => VERSIONS[usize::from(said.code) % VERSIONS.len()],
            false => self.version.saturating_add_signed(said.version.into()),
        };
        self.version = self.version.max(version);
        let mut message = match channel {
            Channel::Delta => json!({"state": said.desired.members()}),
            Channel::GetRejected | Channel::UpdateRejected => {
                json!({"code": CODES[usize::from(said.code) % CODES.len()], "message": "no"})
            }
            _ => {
                json!({"state": {"desired": said.desired.value(), "reported": said.reported.value()}})
            }
        };
        message["version"] = version.into();
        let waiting = self.waiting.as_ref().map(|(token, _)| token.clone());
        let token = match said.whose {
            Whose::Ours => Some(waiting.unwrap_or_else(|| self.earlier.clone())),
            Whose::Earlier => Some(self.earlier.clone()),
            Whose::Theirs => Some("them-1".to_owned()),
            Whose::Nobodys => None,
        };
        if let Some(token) = token {
            message["clientToken"] = token.into();
        }
        self.receive(channel, message.to_string().as_bytes());
    }

    fn receive(&mut self, channel: Channel, payload: &[u8]) {
        let services = KEYS.into_iter().take(2);
        let (_, targets) = self
            .thing
            .received(channel, payload, services, self.now, 0.5);
        assert!(targets.len() <= 2);
        let get = match channel {
            Channel::GetAccepted | Channel::GetRejected => true,
            Channel::UpdateAccepted | Channel::UpdateRejected => false,
            Channel::Delta | Channel::DeleteAccepted => return,
        };
        let message: Value = serde_json::from_slice(payload).unwrap_or_default();
        let token = message["clientToken"].as_str();
        self.waiting
            .take_if(|(own, is_get)| token == Some(own) && *is_get == get);
    }
}

fn channel_of(at: u8) -> Channel {
    Channel::ALL[usize::from(at) % Channel::ALL.len()]
}

fn file(name: u8) -> FileId {
    FileId {
        dir: usize::from(name % 2),
        name: Name::new(OsStr::new(if name < 128 { "x" } else { "y" })),
    }
}

fuzz_target!(|input: (bool, Vec<Event>)| {
    let (updates_only, events) = input;
    let mut talk = Talk {
        thing: Conversation::new("us", updates_only),
        now: Instant::now(),
        connected: false,
        waiting: None,
        earlier: "us-0".to_owned(),
        version: 1,
    };
    for event in events {
        talk.happens(event);
    }
    talk.all_there_is();
});
