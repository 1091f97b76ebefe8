//! What a session logs about its connections.

use log::{Level, debug, error, info, log, warn};

use crate::log_throttle::{LogThrottle, worth_a_line};
use crate::mqtt::options::{ConnectionOptions, Version};
use crate::mqtt::publish_error::{PossibleCause, PublishError};
use crate::mqtt::wire::Connack;
use crate::net::{Class, Ending};

/// The log lines of one session. The same failure in a row is logged at 2, 4, 8, …
pub struct SessionLog {
    client_id: String,
    connected: String,
    /// It is there for further subscriptions, so its lines name it.
    further: bool,
    failures: LogThrottle,
    /// Refusals of the birth message.
    births: LogThrottle,
    unmatched: u32,
}

impl SessionLog {
    pub fn new(options: &ConnectionOptions, further: bool) -> SessionLog {
        let ConnectionOptions {
            client_id,
            endpoint,
            version,
            ..
        } = options;
        let version = match version {
            Version::V311 => "3.1.1",
            Version::V5 => "5",
        };
        SessionLog {
            client_id: client_id.clone(),
            connected: format!("connected to {endpoint} as '{client_id}' (MQTT {version})"),
            further,
            failures: LogThrottle::default(),
            births: LogThrottle::default(),
            unmatched: 0,
        }
    }

    pub fn connected(&self) {
        info!("{}", self.connected);
    }

    /// The connection is good: a failure from now on is a new one.
    pub fn progress(&mut self) {
        self.failures.clear();
    }

    /// A connection was lost, or came to nothing. `next` says what follows. `filters` are those that
    /// nothing is received on until there is one.
    pub fn ended(&mut self, ending: &Ending, was_up: bool, next: &str, filters: Vec<&str>) {
        let which = if self.further {
            format!(" of '{}'", self.client_id)
        } else {
            String::new()
        };
        let what = if was_up { "lost" } else { "failed" };
        let again = self.failures.again(Level::Warn, &ending.to_string());
        log!(
            again.level,
            "connection{which} {what}: {ending}{again}, {next}"
        );
        if self.further && ending.class == Class::Refused && again.count == 1 {
            self.may_not_connect(&filters);
        }
    }

    fn may_not_connect(&self, filters: &[&str]) {
        let (id, filters) = (&self.client_id, filters.join(", "));
        error!(
            "'{id}' may not connect, so nothing is received on {filters}; allow iot:Connect for this client id too, or set --max-connections=1"
        );
    }

    /// What the broker says about messages that durable readers have not acknowledged.
    pub fn session(&self, accepted: Connack, again: bool) {
        let id = &self.client_id;
        if again && !accepted.session_present {
            warn!("the broker has lost the session of '{id}', and what it kept for us meanwhile");
        }
        if let Some(seconds) = accepted.session_expiry {
            debug!(
                "the broker keeps the session of '{id}' for {seconds} s while we are disconnected"
            );
        }
    }

    /// What the broker answered to the birth message.
    pub fn birth_answered(&mut self, answer: &Result<(), PublishError>) {
        match answer {
            Ok(()) => {
                debug!("published the birth message");
                self.births.clear();
            }
            Err(PublishError::Refused { reason, .. })
                if worth_a_line(self.births.count(reason)) =>
            {
                warn!("the birth message was refused: {reason}");
            }
            // MQTT 3.1.1 has no other way to refuse it, and this repeats itself with each connection.
            Err(PublishError::Disconnected {
                blame: Some(PossibleCause { oldest: true, .. }),
            }) if worth_a_line(self.births.count("ended")) => {
                warn!(
                    "the broker ended the connection with the birth message as the first without an answer; probably the policy forbids the topic of --birth-topic"
                );
            }
            // The next connection publishes it again.
            Err(_) => {}
        }
    }

    /// A message that nobody wants: the session is that of an earlier process with other options.
    pub fn unmatched(&mut self, topic: &str) {
        self.unmatched = self.unmatched.saturating_add(1);
        if worth_a_line(self.unmatched) {
            let (id, count) = (&self.client_id, self.unmatched);
            warn!(
                "dropped a message on '{topic}', which no option asks for any more, but the session of '{id}' still does ({count} so far)"
            );
        }
    }
}
