//! Pure: the quotas and deviations of AWS IoT Core, each of which a test may change or switch off.

use std::time::Duration;

use crate::cloud::provisioning::ProvisioningLimits;
use crate::cloud::shadow::ShadowLimits;

/// The rules of the broker. The default is AWS as documented.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest payload in bytes. Above it the connection ends.
    pub payload: usize,
    /// Largest packet in bytes, as announced to MQTT 5 clients. Above it the connection ends.
    pub packet: u32,
    /// Longest topic or filter in bytes, without `$aws/rules/<rule>/` or `$share/<name>/`.
    pub topic_length: usize,
    /// Most slashes in a topic or filter, without the same prefixes.
    pub topic_slashes: usize,
    /// Longest client id in bytes.
    pub client_id_length: usize,
    /// Most filters in one SUBSCRIBE. Above it the connection ends.
    pub filters_per_subscribe: usize,
    /// Most subscriptions of one client. Each one above it gets a failure code.
    pub subscriptions: usize,
    /// Most publishes of a client that the broker has not acknowledged.
    pub inbound_window: usize,
    /// Most deliveries that a client has not acknowledged.
    pub outbound_window: usize,
    /// Highest topic alias a client may use.
    pub topic_aliases: u16,
    /// A shorter keep-alive counts as this. Tests may allow shorter ones.
    pub min_keep_alive: Duration,
    /// A longer keep-alive, or none, counts as this. Zero, with the other one, turns it off.
    pub max_keep_alive: Duration,
    /// One CONNECT for each client id in this time; zero allows any number.
    pub connect_interval: Duration,
    /// How long a persistent session outlives its connection, at most.
    pub session_expiry: Duration,
    /// Publishes per second of one connection; `None` allows any number.
    pub publish_rate: Option<u32>,
    /// Stored messages per second that are delivered to a resumed session; `None` delivers them at once.
    pub backlog_rate: Option<u32>,
    /// Whether `a/#` matches `a`, as the MQTT specification says and AWS does not.
    pub hash_matches_parent: bool,
    /// Whether retained messages are delivered for a filter with wildcards, as the specification says and AWS does not.
    pub retained_on_wildcards: bool,
    /// What a client of MQTT 3.1.1 sees when policy denies its subscription.
    pub denied_subscription: DeniedSubscription,
    /// Beginnings of the `$` topics that exist. All others end the connection.
    pub reserved_topics: Vec<String>,
    /// The rules of the shadow service.
    pub shadow: ShadowLimits,
    /// The rules of fleet provisioning.
    pub provisioning: ProvisioningLimits,
}

/// The two answers of AWS to a SUBSCRIBE of MQTT 3.1.1 that policy denies; both have been observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedSubscription {
    /// A SUBACK with code 0x80 for the filter.
    Suback,
    /// The connection is closed.
    Close,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            payload: 128 * 1024,
            packet: 149_504,
            topic_length: 256,
            topic_slashes: 7,
            client_id_length: 128,
            filters_per_subscribe: 8,
            subscriptions: 50,
            inbound_window: 100,
            outbound_window: 100,
            topic_aliases: 8,
            min_keep_alive: Duration::from_secs(30),
            max_keep_alive: Duration::from_secs(1200),
            connect_interval: Duration::from_secs(1),
            session_expiry: Duration::from_secs(3600),
            publish_rate: None,
            backlog_rate: Some(10),
            hash_matches_parent: false,
            retained_on_wildcards: false,
            denied_subscription: DeniedSubscription::Suback,
            reserved_topics: [
                "things/",
                "provisioning-templates/",
                "certificates/",
                "events/",
                "rules/",
            ]
            .map(|feature| format!("$aws/{feature}"))
            .to_vec(),
            shadow: ShadowLimits::default(),
            provisioning: ProvisioningLimits::default(),
        }
    }
}

impl Limits {
    /// The keep-alive of a client that requested `seconds`.
    pub(crate) fn keep_alive(&self, seconds: u16) -> Duration {
        match seconds {
            0 => self.max_keep_alive,
            asked => {
                Duration::from_secs(asked.into()).clamp(self.min_keep_alive, self.max_keep_alive)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keep_alive_is_between_30_and_1200_seconds_and_none_means_1200() {
        let check = |asked, seconds| {
            assert_eq!(
                Limits::default().keep_alive(asked),
                Duration::from_secs(seconds)
            )
        };
        check(0, 1200);
        check(1, 30);
        check(29, 30);
        check(60, 60);
        check(65_535, 1200);
    }
}
