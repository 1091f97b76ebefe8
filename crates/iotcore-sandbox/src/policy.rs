//! Pure: policies: which clients and certificates are denied what. Everything that is not denied is allowed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::pki::Claims;
use crate::topic;

/// One thing that is denied. Filters use MQTT wildcards; `#` covers every topic, also those that begin with `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deny {
    Connect,
    /// Publishing to the topics of a filter.
    Publish(String),
    /// Subscribing to the filter itself, or to what it covers.
    Subscribe(String),
    /// Receiving messages on the topics of a filter: they are left out silently.
    Receive(String),
    /// Getting temporary access keys for a role alias; `*` stands for all of them.
    AssumeRole(String),
    /// Publishing to any topic that none of these filters covers.
    PublishExcept(Vec<String>),
    /// Subscribing to any filter that is neither one of these nor covered by one.
    SubscribeExcept(Vec<String>),
    /// Receiving messages on any topic that none of these filters covers.
    ReceiveExcept(Vec<String>),
}

impl Deny {
    /// What a claim certificate is denied by default: everything but connecting and the topics of fleet provisioning.
    pub fn for_claims() -> Vec<Deny> {
        Deny::all_but(&[CREATE, CREATE_FROM_CSR, PROVISION])
    }

    /// The same for the policies of older fleets, which do not allow `create-from-csr` either.
    pub fn for_claims_without_csr() -> Vec<Deny> {
        Deny::all_but(&[CREATE, PROVISION])
    }

    /// Everything but connecting and the topics of these filters.
    fn all_but(filters: &[&str]) -> Vec<Deny> {
        let allowed: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        vec![
            Deny::AssumeRole("*".to_owned()),
            Deny::PublishExcept(allowed.clone()),
            Deny::SubscribeExcept(allowed.clone()),
            Deny::ReceiveExcept(allowed),
        ]
    }

    fn publishing(&self, to: &str) -> bool {
        match self {
            Deny::Publish(filter) => topic::covers(filter, to),
            Deny::PublishExcept(filters) => !filters.iter().any(|one| topic::covers(one, to)),
            _ => false,
        }
    }

    fn subscribing(&self, to: &str) -> bool {
        let includes = |filter: &String| filter == to || topic::covers(filter, to);
        match self {
            Deny::Subscribe(filter) => includes(filter),
            Deny::SubscribeExcept(filters) => !filters.iter().any(includes),
            _ => false,
        }
    }

    fn receiving(&self, from: &str) -> bool {
        match self {
            Deny::Receive(filter) => topic::covers(filter, from),
            Deny::ReceiveExcept(filters) => !filters.iter().any(|one| topic::covers(one, from)),
            _ => false,
        }
    }
}

const CREATE: &str = "$aws/certificates/create/#";
const CREATE_FROM_CSR: &str = "$aws/certificates/create-from-csr/#";
const PROVISION: &str = "$aws/provisioning-templates/+/provision/#";

/// What each client (`*`: every client) and each certificate is denied.
pub(crate) struct Policies {
    clients: HashMap<String, Vec<Deny>>,
    certificates: HashMap<String, Vec<Deny>>,
    claims: Claims,
    /// What claim certificates without an entry of their own are denied.
    claim: Vec<Deny>,
    /// The certificate with which a client connected last.
    shown: HashMap<String, Arc<str>>,
}

impl Policies {
    pub(crate) fn new(claims: Claims) -> Policies {
        Policies {
            clients: HashMap::new(),
            certificates: HashMap::new(),
            claims,
            claim: Deny::for_claims(),
            shown: HashMap::new(),
        }
    }

    /// Replaces what is denied to this client (or `*`).
    pub(crate) fn set(&mut self, client_or_star: &str, deny: Vec<Deny>) {
        self.clients.insert(client_or_star.to_owned(), deny);
    }

    /// Replaces what is denied to clients with this certificate.
    pub(crate) fn set_of_certificate(&mut self, id: &str, deny: Vec<Deny>) {
        self.certificates.insert(id.to_owned(), deny);
    }

    /// Replaces what is denied to claim certificates that have no policy of their own.
    pub(crate) fn set_of_claims(&mut self, deny: Vec<Deny>) {
        self.claim = deny;
    }

    /// This client has connected with this certificate.
    pub(crate) fn connected(&mut self, client: &str, certificate: Arc<str>) {
        self.shown.insert(client.to_owned(), certificate);
    }

    pub(crate) fn denies_connect(&self, client: &str, certificate: &str) -> bool {
        let mut denied = self
            .of_client(client)
            .chain(self.of_certificate(certificate));
        denied.any(|deny| *deny == Deny::Connect)
    }

    pub(crate) fn denies_role(&self, certificate: &str, alias: &str) -> bool {
        let mut denied = self.of_certificate(certificate);
        denied.any(|deny| matches!(deny, Deny::AssumeRole(name) if name == "*" || name == alias))
    }

    pub(crate) fn denies_publish(&self, client: &str, to: &str) -> bool {
        self.of(client).any(|deny| deny.publishing(to))
    }

    pub(crate) fn denies_subscribe(&self, client: &str, to: &str) -> bool {
        let to = topic::share(to).map_or(to, |(_, filter)| filter);
        self.of(client).any(|deny| deny.subscribing(to))
    }

    pub(crate) fn denies_receive(&self, client: &str, from: &str) -> bool {
        self.of(client).any(|deny| deny.receiving(from))
    }

    fn of(&self, client: &str) -> impl Iterator<Item = &Deny> {
        let certificate = self.shown.get(client);
        let shown = certificate.map(|id| self.of_certificate(id));
        self.of_client(client).chain(shown.into_iter().flatten())
    }

    fn of_client(&self, client: &str) -> impl Iterator<Item = &Deny> {
        let denied = [self.clients.get(client), self.clients.get("*")];
        denied.into_iter().flatten().flatten()
    }

    fn of_certificate(&self, id: &str) -> impl Iterator<Item = &Deny> {
        let claim = self.claims.contain(id).then_some(&self.claim);
        self.certificates.get(id).or(claim).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_for_one_client_or_for_all() {
        let mut policies = Policies::new(Claims::default());
        policies.set("pump", vec![Deny::Publish("a/#".to_owned())]);
        policies.set("*", vec![Deny::Connect]);

        assert!(policies.denies_publish("pump", "a/b"));
        assert!(!policies.denies_publish("pump", "b"));
        assert!(!policies.denies_publish("valve", "a/b"));
        assert!(policies.denies_connect("valve", "c"));
    }

    #[test]
    fn a_denied_filter_covers_narrower_ones_and_shares() {
        let mut policies = Policies::new(Claims::default());
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

    #[test]
    fn a_claim_may_provision_and_nothing_else() {
        let claims = Claims::default();
        claims.add("claim");
        let mut policies = Policies::new(claims);
        policies.connected("new-fp", "claim".into());
        policies.connected("pump", "own".into());
        let check = |policies: &Policies, topic: &str, allowed: bool| {
            let denied = [
                policies.denies_publish("new-fp", topic),
                policies.denies_subscribe("new-fp", topic),
                policies.denies_receive("new-fp", topic),
            ];
            assert_eq!(denied, [!allowed; 3], "{topic}");
            assert!(!policies.denies_publish("pump", topic));
        };
        check(&policies, "$aws/certificates/create/json", true);
        check(&policies, "$aws/certificates/create/json/accepted", true);
        check(&policies, "$aws/certificates/create-from-csr/json", true);
        check(
            &policies,
            "$aws/provisioning-templates/t/provision/json",
            true,
        );
        check(&policies, "$aws/things/t/shadow/get", false);
        check(&policies, "a", false);
        assert!(policies.denies_subscribe("new-fp", "#"));
        assert!(!policies.denies_connect("new-fp", "claim"));

        policies.set_of_claims(Deny::for_claims_without_csr());
        check(&policies, "$aws/certificates/create/json", true);
        check(&policies, "$aws/certificates/create-from-csr/json", false);

        policies.set_of_certificate("claim", Vec::new());
        check(&policies, "a", true);
    }

    #[test]
    fn a_certificate_is_denied_a_role_alias_or_all() {
        let claims = Claims::default();
        claims.add("claim");
        let mut policies = Policies::new(claims);
        policies.set_of_certificate("own", vec![Deny::AssumeRole("pumps".to_owned())]);
        assert!(policies.denies_role("own", "pumps"));
        assert!(!policies.denies_role("own", "valves"));
        assert!(!policies.denies_role("other", "pumps"));
        assert!(policies.denies_role("claim", "pumps"));
    }

    #[test]
    fn a_certificate_has_a_policy_of_its_own() {
        let mut policies = Policies::new(Claims::default());
        policies.set_of_certificate("own", vec![Deny::Connect, Deny::Publish("a".to_owned())]);
        assert!(policies.denies_connect("pump", "own"));
        assert!(!policies.denies_connect("pump", "other"));
        assert!(!policies.denies_publish("pump", "a"));
        policies.connected("pump", "own".into());
        assert!(policies.denies_publish("pump", "a"));
    }
}
