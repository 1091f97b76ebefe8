//! Pure: an event as a line of JSON and as variables of a command. Both say the same.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::mqtt::{ConnectionEnd, ConnectionEvent};

/// One event, in the words that stand in the manual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventRecord {
    pub event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rounded as in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_retry_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_present: Option<bool>,
}

/// An event with what all have.
#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    pid: u32,
    #[serde(flatten)]
    event: &'a EventRecord,
}

impl EventRecord {
    /// The daemon ends, and this is why.
    pub fn stopped(reason: &str) -> EventRecord {
        EventRecord {
            event: "stopped",
            reason: Some(plain(reason)),
            ..EventRecord::default()
        }
    }

    /// A JSON object on one line. `time`: since 1970.
    pub fn line(&self, time: Duration, pid: u32) -> String {
        let line = Line {
            time: time.as_millis() as f64 / 1000.0,
            pid,
            event: self,
        };
        json!(line).to_string() + "\n"
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
                text(self.next_retry_s.map(|n| n.to_string())),
            ),
            ("SESSION_PRESENT", text(present.map(|n| n.to_string()))),
        ]
    }
}

impl From<&ConnectionEvent> for EventRecord {
    fn from(event: &ConnectionEvent) -> EventRecord {
        let ended = |word: &'static str, ended: &ConnectionEnd| EventRecord {
            event: word,
            attempt: Some(ended.attempt),
            reason: Some(plain(&ended.reason)),
            next_retry_s: ended.retry.map(rounded),
            session_present: None,
        };
        let up = |word: &'static str, attempt: &u32, present: &bool| EventRecord {
            event: word,
            attempt: Some(*attempt),
            session_present: Some(*present),
            ..EventRecord::default()
        };
        match event {
            ConnectionEvent::Connecting { attempt } => EventRecord {
                event: "connecting",
                attempt: Some(*attempt),
                ..EventRecord::default()
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

fn rounded(wait: Duration) -> u64 {
    (wait + Duration::from_millis(500)).as_secs()
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
