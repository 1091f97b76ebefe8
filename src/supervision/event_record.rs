//! Pure: an event as a line of JSON and as variables of a command. Both say the same.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::mqtt::{ConnectionEnd, ConnectionEvent};

/// One event, in the words that stand in the manual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    pub event: &'static str,
    pub reason: Option<String>,
    pub attempt: Option<u32>,
    pub retry: Option<Duration>,
    pub session_present: Option<bool>,
}

impl EventRecord {
    fn new(event: &'static str) -> EventRecord {
        EventRecord {
            event,
            reason: None,
            attempt: None,
            retry: None,
            session_present: None,
        }
    }

    /// The daemon ends, and this is why.
    pub fn stopped(reason: &str) -> EventRecord {
        EventRecord {
            reason: Some(plain(reason)),
            ..EventRecord::new("stopped")
        }
    }

    /// A JSON object on one line. `time`: since 1970.
    pub fn line(&self, time: Duration, pid: u32) -> String {
        let mut line = Map::new();
        let time = time.as_millis() as f64 / 1000.0;
        line.insert("time".to_owned(), json!(time));
        line.insert("pid".to_owned(), json!(pid));
        line.insert("event".to_owned(), json!(self.event));
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                line.insert(name.to_owned(), value);
            }
        };
        add("attempt", self.attempt.map(Value::from));
        add("reason", self.reason.clone().map(Value::from));
        add("next_retry_s", self.retry_seconds().map(Value::from));
        add("session_present", self.session_present.map(Value::from));
        Value::from(line).to_string() + "\n"
    }

    /// What a command finds in its environment. All are set; what does not apply is empty.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        let text = |value: Option<String>| value.unwrap_or_default();
        let present = self.session_present.map(u8::from);
        [
            ("EVENT", self.event.to_owned()),
            ("REASON", text(self.reason.clone())),
            ("ATTEMPT", text(self.attempt.map(|n| n.to_string()))),
            (
                "NEXT_RETRY_S",
                text(self.retry_seconds().map(|n| n.to_string())),
            ),
            ("SESSION_PRESENT", text(present.map(|n| n.to_string()))),
        ]
    }

    /// Rounded as in the log.
    fn retry_seconds(&self) -> Option<u64> {
        self.retry
            .map(|wait| (wait + Duration::from_millis(500)).as_secs())
    }
}

impl From<&ConnectionEvent> for EventRecord {
    fn from(event: &ConnectionEvent) -> EventRecord {
        let ended = |word: &'static str, ended: &ConnectionEnd| EventRecord {
            reason: Some(plain(&ended.reason)),
            attempt: Some(ended.attempt),
            retry: ended.retry,
            ..EventRecord::new(word)
        };
        let up = |word: &'static str, attempt: &u32, present: &bool| EventRecord {
            attempt: Some(*attempt),
            session_present: Some(*present),
            ..EventRecord::new(word)
        };
        match event {
            ConnectionEvent::Connecting { attempt } => EventRecord {
                attempt: Some(*attempt),
                ..EventRecord::new("connecting")
            },
            ConnectionEvent::Connected {
                attempt,
                session_present,
            } => up("connected", attempt, session_present),
            ConnectionEvent::Ready {
                attempt,
                session_present,
            } => up("ready", attempt, session_present),
            ConnectionEvent::Failed(how) => ended("failed", how),
            ConnectionEvent::Lost(how) => ended("lost", how),
        }
    }
}

/// A broker's words may hold anything; a variable cannot hold a NUL.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &ConnectionEvent) -> String {
        EventRecord::from(event).line(Duration::from_millis(1_790_000_000_123), 42)
    }

    fn variables(event: &ConnectionEvent) -> String {
        let all = EventRecord::from(event).variables();
        let all = all.map(|(name, value)| format!("{name}={value}"));
        all.join(" ")
    }

    fn ended(retry: Option<Duration>) -> ConnectionEnd {
        ConnectionEnd {
            attempt: 3,
            reason: "tcp: \"no\"\n\0route".to_owned(),
            retry,
        }
    }

    #[test]
    fn a_line_says_what_applies_and_is_one_line() {
        for (event, expect) in [
            (
                ConnectionEvent::Connecting { attempt: 1 },
                r#""connecting","attempt":1}"#,
            ),
            (
                ConnectionEvent::Ready {
                    attempt: 2,
                    session_present: false,
                },
                r#""ready","attempt":2,"session_present":false}"#,
            ),
            (
                ConnectionEvent::Failed(ended(Some(Duration::from_millis(3600)))),
                r#""failed","attempt":3,"reason":"tcp: \"no\"  route","next_retry_s":4}"#,
            ),
            (
                ConnectionEvent::Lost(ended(None)),
                r#""lost","attempt":3,"reason":"tcp: \"no\"  route"}"#,
            ),
        ] {
            let begin = r#"{"time":1790000000.123,"pid":42,"event":"#;
            assert_eq!(line(&event), format!("{begin}{expect}\n"));
        }
        let stopped = EventRecord::stopped("stopped by SIGTERM").line(Duration::ZERO, 1);
        let expect = r#"{"time":0.0,"pid":1,"event":"stopped","reason":"stopped by SIGTERM"}"#;
        assert_eq!(stopped.trim_end(), expect);
    }

    #[test]
    fn every_variable_is_set_and_empty_where_it_does_not_apply() {
        for (event, expect) in [
            (
                ConnectionEvent::Connecting { attempt: 1 },
                "EVENT=connecting REASON= ATTEMPT=1 NEXT_RETRY_S= SESSION_PRESENT=",
            ),
            (
                ConnectionEvent::Connected {
                    attempt: 2,
                    session_present: true,
                },
                "EVENT=connected REASON= ATTEMPT=2 NEXT_RETRY_S= SESSION_PRESENT=1",
            ),
            (
                ConnectionEvent::Lost(ended(Some(Duration::from_secs(7)))),
                "EVENT=lost REASON=tcp: \"no\"  route ATTEMPT=3 NEXT_RETRY_S=7 SESSION_PRESENT=",
            ),
        ] {
            assert_eq!(variables(&event), expect);
        }
    }
}
