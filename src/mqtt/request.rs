//! Pure: request and reply over topics, as the services of AWS IoT Core have it: what is asked on a topic
//! is answered on `TOPIC/accepted` or `TOPIC/rejected`, with the client token of the request if the
//! service knows such (AWS IoT developer guide, Device Shadow, Fleet provisioning and Jobs MQTT APIs).

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::text::shortened;

/// A reply takes this long at most, from when the broker has taken the request; the AWS Device Client
/// waits as long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until then a slow link may have much else to carry. The connection is given up before this.
const ON_THE_WAY: Duration = Duration::from_secs(180);
/// A service's words go to the log in one line.
const LONGEST_WORDS: usize = 200;

/// Where a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTopics {
    pub accepted: String,
    pub rejected: String,
}

impl ReplyTopics {
    /// Those of the request on `topic`.
    pub fn of(topic: &str) -> ReplyTopics {
        ReplyTopics {
            accepted: format!("{topic}/accepted"),
            rejected: format!("{topic}/rejected"),
        }
    }

    /// To be subscribed before the request is sent.
    pub fn filters(&self) -> [&str; 2] {
        [&self.accepted, &self.rejected]
    }
}

/// Makes client tokens.
#[derive(Debug)]
pub struct ClientTokens {
    prefix: String,
    count: u64,
}

impl ClientTokens {
    /// `prefix` makes them unique among all that talk to the same service, at most 40 bytes: a token
    /// has 64 at most.
    pub fn new(prefix: &str) -> ClientTokens {
        ClientTokens {
            prefix: prefix.to_owned(),
            count: 0,
        }
    }

    /// Whether a token is one of these.
    pub fn made(&self, token: &str) -> bool {
        let number = token
            .strip_prefix(&self.prefix)
            .and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|text| {
            let number = text.parse().unwrap_or(0);
            // Written as we write it, without a sign and zeros before it.
            (1..=self.count).contains(&number) && text == number.to_string()
        })
    }

    /// Another one.
    pub fn make(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.prefix, self.count)
    }
}

/// A request that waits for its reply.
#[derive(Debug)]
pub struct PendingRequest<R> {
    token: String,
    pub request: R,
    deadline: Instant,
}

impl<R> PendingRequest<R> {
    /// It is handed to the connection now.
    pub fn new(token: String, request: R, now: Instant) -> PendingRequest<R> {
        PendingRequest {
            token,
            request,
            deadline: now + ON_THE_WAY,
        }
    }

    /// The broker has taken the request with this token: the reply should come soon.
    pub fn taken(&mut self, token: &str, now: Instant) {
        if self.token == token {
            self.deadline = now + PATIENCE;
        }
    }

    /// From then on the reply is overdue.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether a reply with this token is meant for it.
    pub fn is_answered_by(&self, token: Option<&str>) -> bool {
        token == Some(self.token.as_str())
    }
}

/// A service's refusal. Nothing in it is trusted to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// `None`: it does not say whose request it refuses.
    pub token: Option<String>,
    /// Like one of HTTP.
    pub status: Option<i64>,
    /// The service's own word, such as `InvalidParameters`.
    pub code: Option<String>,
    pub message: Option<String>,
}

impl Rejection {
    /// Reads the members of the reply, by the names of all these services.
    pub fn read(reply: &Map<String, Value>) -> Rejection {
        let text = |names: [&str; 2]| {
            let mut values = names
                .into_iter()
                .filter_map(|name| reply.get(name)?.as_str());
            values.next().map(|text| shortened(text, LONGEST_WORDS))
        };
        let number = |name: &str| reply.get(name).and_then(Value::as_i64);
        Rejection {
            token: reply
                .get("clientToken")
                .and_then(Value::as_str)
                .map(str::to_owned),
            status: number("code").or_else(|| number("statusCode")),
            code: text(["errorCode", "code"]),
            message: text(["message", "errorMessage"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(reply: Value) -> Rejection {
        Rejection::read(reply.as_object().unwrap())
    }

    #[test]
    fn the_refusals_of_all_services_are_read() {
        let shadow = json!({"code": 409, "message": "Version conflict", "clientToken": "a-1"});
        let provisioning =
            json!({"statusCode": 400, "errorCode": "InvalidTemplate", "errorMessage": "gone"});
        let jobs = json!({"code": "InvalidTopic", "message": "no such job", "clientToken": "a-2"});
        let expect = |token: Option<&str>, status, code: Option<&str>, message: &str| Rejection {
            token: token.map(str::to_owned),
            status,
            code: code.map(str::to_owned),
            message: Some(message.to_owned()),
        };
        assert_eq!(
            read(shadow),
            expect(Some("a-1"), Some(409), None, "Version conflict")
        );
        let template = expect(None, Some(400), Some("InvalidTemplate"), "gone");
        assert_eq!(read(provisioning), template);
        assert_eq!(
            read(jobs),
            expect(Some("a-2"), None, Some("InvalidTopic"), "no such job")
        );
        assert_eq!(
            read(json!({"code": [], "message": 7})),
            Rejection::default()
        );
    }

    #[test]
    fn a_token_is_known_only_as_it_was_made() {
        let mut tokens = ClientTokens::new("x");
        assert_eq!(tokens.make(), "x-1");
        assert!(tokens.made("x-1"));
        for other in ["x-+1", "x-01", "x-0", "x-2", "x-", "x1", "y-1"] {
            assert!(!tokens.made(other), "{other}");
        }
    }

    #[test]
    fn a_reply_is_due_soon_only_after_the_broker_has_taken_the_request() {
        let now = Instant::now();
        let mut tokens = ClientTokens::new("x");
        let mut pending = PendingRequest::new(tokens.make(), (), now);
        assert_eq!(pending.deadline(), now + ON_THE_WAY);
        pending.taken("x-7", now);
        assert_eq!(pending.deadline(), now + ON_THE_WAY, "another one's");
        pending.taken("x-1", now);
        assert_eq!(pending.deadline(), now + PATIENCE);
        assert!(pending.is_answered_by(Some("x-1")) && !pending.is_answered_by(None));
    }

    #[test]
    fn a_token_is_known_by_who_made_it() {
        let mut tokens = ClientTokens::new("x");
        let token = tokens.make();
        assert!(tokens.made(&token));
        for other in ["x-2", "x-0", "x", "y-1", "x-1-1"] {
            assert!(!tokens.made(other), "{other}");
        }
    }
}
