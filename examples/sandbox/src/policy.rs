//! Pure: who may not do what. Everything that is not denied is allowed.

use std::collections::HashMap;

use crate::topic;

/// One thing that is denied. Filters use MQTT wildcards; `#` is about every topic, those that begin with `$` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deny {
    Connect,
    /// Publishing to the topics of a filter.
    Publish(String),
    /// Subscribing to the filter itself, or to what it covers.
    Subscribe(String),
    /// Being given messages on the topics of a filter: they are left out silently.
    Receive(String),
}

/// What each client, and `*` for all of them, is denied.
#[derive(Default)]
pub(crate) struct Policies(HashMap<String, Vec<Deny>>);

impl Policies {
    /// Replaces what is denied to this client (or `*`).
    pub(crate) fn set(&mut self, client_or_star: &str, deny: Vec<Deny>) {
        self.0.insert(client_or_star.to_owned(), deny);
    }

    pub(crate) fn denies_connect(&self, client: &str) -> bool {
        self.any(client, |deny| *deny == Deny::Connect)
    }

    pub(crate) fn denies_publish(&self, client: &str, to: &str) -> bool {
        self.any(
            client,
            |deny| matches!(deny, Deny::Publish(filter) if topic::covers(filter, to)),
        )
    }

    pub(crate) fn denies_subscribe(&self, client: &str, to: &str) -> bool {
        let to = topic::share(to).map_or(to, |(_, filter)| filter);
        self.any(client, |deny| matches!(deny, Deny::Subscribe(filter) if filter == to || topic::covers(filter, to)))
    }

    pub(crate) fn denies_receive(&self, client: &str, from: &str) -> bool {
        self.any(
            client,
            |deny| matches!(deny, Deny::Receive(filter) if topic::covers(filter, from)),
        )
    }

    fn any(&self, client: &str, applies: impl Fn(&Deny) -> bool) -> bool {
        [client, "*"]
            .iter()
            .filter_map(|name| self.0.get(*name))
            .flatten()
            .any(applies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_for_one_client_or_for_all() {
        let mut policies = Policies::default();
        policies.set("pump", vec![Deny::Publish("a/#".to_owned())]);
        policies.set("*", vec![Deny::Connect]);

        assert!(policies.denies_publish("pump", "a/b"));
        assert!(!policies.denies_publish("pump", "b"));
        assert!(!policies.denies_publish("valve", "a/b"));
        assert!(policies.denies_connect("valve"));
    }

    #[test]
    fn a_denied_filter_covers_narrower_ones_and_shares() {
        let mut policies = Policies::default();
        policies.set("*", vec![Deny::Subscribe("a/+".to_owned())]);
        let check = |filter, denied| {
            assert_eq!(
                policies.denies_subscribe("pump", filter),
                denied,
                "{filter}"
            )
        };
        check("a/+", true);
        check("a/b", true);
        check("$share/all/a/b", true);
        check("a/b/c", false);
    }
}
