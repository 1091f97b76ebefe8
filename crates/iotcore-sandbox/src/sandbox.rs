//! The handle on a running sandbox. Its methods return at once, or wait with a deadline; none is async.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access::Access;
use crate::broker::Cut;
use crate::builder::Builder;
use crate::cloud::provisioning::Provisioning;
use crate::cloud::shadow::{FileSync, Shadow, ShadowFault, Shadows};
use crate::faults::Fault;
use crate::net::{Hub, Server};
use crate::packet::CloudMessage;
use crate::pki::{CertificateStatus, Pki};
use crate::policy::Deny;
use crate::record::{Event, Received, Record};

/// A running broker. It stops, and its connections are cut, when this is dropped.
pub struct Sandbox {
    // Dropped first: nothing is served while the rest is dropped.
    server: Server,
    hub: Arc<Hub>,
    pki: Arc<Pki>,
    shadows: Shadows,
    provisioning: Provisioning,
    _file_sync: Option<FileSync>,
}

impl Sandbox {
    pub(crate) fn new(
        server: Server,
        hub: Arc<Hub>,
        pki: Arc<Pki>,
        shadows: Shadows,
        provisioning: Provisioning,
        file_sync: Option<FileSync>,
    ) -> Sandbox {
        Sandbox {
            server,
            hub,
            pki,
            shadows,
            provisioning,
            _file_sync: file_sync,
        }
    }

    pub(crate) fn access(&self) -> &Access {
        &self.hub.access
    }

    /// Starts on any free port with all of AWS's limits.
    pub fn start() -> anyhow::Result<Sandbox> {
        Sandbox::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The port of MQTT with client certificates, as AWS's 8883.
    pub fn port(&self) -> u16 {
        self.server.ports().mqtt
    }

    /// The port that is as AWS's 443: of MQTT over WebSocket, and of MQTT with a custom authoriser. See
    /// [`Builder::wss_port`].
    pub fn wss_port(&self) -> u16 {
        self.server.ports().web
    }

    /// The port of the credential provider: `https://localhost:PORT/role-aliases/ALIAS/credentials`.
    pub fn credential_port(&self) -> u16 {
        self.server.ports().credentials
    }

    /// The name in the server's certificate. Its address is 127.0.0.1, which is in the certificate too.
    pub fn host(&self) -> &str {
        "localhost"
    }

    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Replaces the fault script, for open connections too.
    pub fn faults(&self, script: Vec<Fault>) {
        self.hub.broker().script.replace(script);
    }

    /// Adds to the end of the fault script.
    pub fn add_fault(&self, fault: Fault) {
        self.hub.broker().script.add(fault);
    }

    /// Empties the fault script. Connections that are silenced already stay so.
    pub fn clear_faults(&self) {
        self.faults(Vec::new());
    }

    /// Everything that was received and done so far, in order.
    pub fn record(&self) -> Vec<Record> {
        self.hub.journal.since(0)
    }

    /// What was recorded after this sequence number, as soon as there is something; empty when the time is up.
    pub fn records_after(&self, sequence: u64, limit: Duration) -> Vec<Record> {
        self.hub
            .journal
            .wait_beyond(sequence, Instant::now() + limit);
        self.hub.journal.since(sequence)
    }

    /// Calls `look` with all records so far, and again whenever there are more, until it returns something or the time is
    /// up.
    pub fn wait_for<T>(
        &self,
        limit: Duration,
        look: impl FnMut(&[Record]) -> Option<T>,
    ) -> Option<T> {
        self.hub.journal.wait_for(limit, look)
    }

    /// The first record of an event like this, as soon as there is one; `None` when the time is up.
    pub fn wait_for_event(&self, limit: Duration, fits: impl Fn(&Event) -> bool) -> Option<Record> {
        self.wait_for(limit, |records| {
            records.iter().find(|record| fits(&record.event)).cloned()
        })
    }

    /// Waits until at least `count` publishes of clients were accepted, or the time is up. Returns all that were accepted.
    pub fn wait_for_publishes(&self, count: usize, limit: Duration) -> Vec<Received> {
        self.hub.journal.wait_for_publishes(count, limit);
        self.published()
    }

    /// The publishes of clients that were accepted so far.
    pub fn published(&self) -> Vec<Received> {
        self.hub.journal.published()
    }

    /// Publishes from the cloud. Returns how many subscribers match, including persistent sessions, for which it is stored.
    pub fn publish(&self, topic: &str, payload: &[u8], qos: u8) -> usize {
        self.publish_with(CloudMessage::new(topic, payload.to_vec()).qos(qos))
    }

    /// The same with properties, or to be retained.
    ///
    /// # Panics
    /// When the QoS is above 1, which AWS does not have, or the topic is invalid.
    pub fn publish_with(&self, message: CloudMessage) -> usize {
        let topic = !message.topic.is_empty() && !message.topic.contains(['+', '#', '\0']);
        assert!(message.qos <= 1 && topic, "AWS cannot publish {message:?}");
        self.hub
            .broker()
            .publish_from_cloud(&message, Instant::now())
    }

    /// The classic shadow of a thing, whether it exists or not.
    ///
    /// # Panics
    /// When AWS does not allow such a name.
    pub fn shadow(&self, thing: &str) -> Shadow {
        Shadow::new(Arc::clone(&self.hub), self.shadows.clone(), thing, None)
    }

    /// A named shadow of a thing, whether it exists or not.
    ///
    /// # Panics
    /// When AWS does not allow such names.
    pub fn named_shadow(&self, thing: &str, shadow: &str) -> Shadow {
        let hub = Arc::clone(&self.hub);
        Shadow::new(hub, self.shadows.clone(), thing, Some(shadow))
    }

    /// Adds to the end of the fault script of the shadow service, for all shadows. For one of them: [`Shadow::fault`].
    pub fn shadow_fault(&self, fault: ShadowFault) {
        self.shadows.add_fault(fault);
    }

    /// Empties the fault script of the shadow service. Answers that are delayed already are still published.
    pub fn clear_shadow_faults(&self) {
        self.shadows.clear_faults();
    }

    /// The most requests to the shadows of this thing that devices had in flight at the same time, as seen by the
    /// cloud: it answers at once, so this is above one only if answers are delayed or withheld.
    pub fn most_in_flight(&self, thing: &str) -> usize {
        self.shadows.most_in_flight(thing)
    }

    /// Fleet provisioning: its certificates, templates and faults.
    pub fn provisioning(&self) -> &Provisioning {
        &self.provisioning
    }

    /// The client ids that are connected.
    pub fn connected(&self) -> Vec<String> {
        self.hub.broker().connected()
    }

    /// Ends the connection of this client, if it has one. Its will is published.
    pub fn cut(&self, client_id: &str, how: Cut) {
        self.hub.broker().cut(client_id, how, Instant::now());
    }

    /// Stops listening on all ports and cuts all connections; sessions are kept. Connections are refused when this returns.
    pub fn pause(&self) {
        self.server.pause();
        self.hub.broker().cut_all(Instant::now());
    }

    /// Listens again, on the same ports.
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Cuts all connections and removes all sessions, like a restart of the broker. It continues to listen.
    pub fn restart(&self) {
        let mut broker = self.hub.broker();
        broker.cut_all(Instant::now());
        broker.forget_sessions();
    }

    /// Replaces what this client (or `*`: every client) is denied. Takes effect on the next packet.
    pub fn policy(&self, client_or_star: &str, deny: Vec<Deny>) {
        self.hub.broker().policies.set(client_or_star, deny);
    }

    /// Replaces what is denied to clients with this certificate; for a claim certificate this replaces
    /// [`Deny::for_claims`]. Takes effect on the next packet.
    pub fn certificate_policy(&self, certificate_id: &str, deny: Vec<Deny>) {
        let policies = &mut self.hub.broker().policies;
        policies.set_of_certificate(certificate_id, deny);
    }

    /// Ends all connections, with a TCP reset or without. It continues to listen.
    pub fn cut_all(&self, how: Cut) {
        self.hub.broker().cut_each(how, Instant::now());
    }

    /// Replaces what is denied to claim certificates without a policy of their own; the default is [`Deny::for_claims`]. Takes effect on the next packet.
    pub fn claim_policy(&self, deny: Vec<Deny>) {
        self.hub.broker().policies.set_of_claims(deny);
    }

    /// The status of this certificate. Only an active one may connect.
    pub fn certificate_status(&self, certificate_id: &str) -> CertificateStatus {
        self.pki.statuses().of(certificate_id)
    }

    /// Revokes this certificate: new connections with it are closed right after the TLS handshake.
    pub fn revoke(&self, certificate_id: &str) {
        self.pki
            .statuses()
            .set(certificate_id, CertificateStatus::Revoked);
    }

    /// Makes this certificate inactive, with the same effect as [`revoke`](Sandbox::revoke).
    pub fn deactivate(&self, certificate_id: &str) {
        self.pki
            .statuses()
            .set(certificate_id, CertificateStatus::Inactive);
    }

    /// Activates this certificate: new connections with it are accepted.
    pub fn activate(&self, certificate_id: &str) {
        self.pki
            .statuses()
            .set(certificate_id, CertificateStatus::Active);
    }

    /// Removes all sessions. Connected clients stay connected, and find no session when they connect again.
    pub fn forget_sessions(&self) {
        self.hub.broker().forget_sessions();
    }
}
