//! The seam for the cloud's own services: shadows, provisioning, jobs.

use std::time::Instant;

use super::Broker;
use super::clock::Moment;
use crate::packet::CloudMessage;

/// A service of the cloud that devices talk to by publishing to its topics.
///
/// It is called with the broker locked: it decides quickly, and does not call the sandbox.
pub trait Service: Send {
    /// A client's publish was accepted. What comes back is published by the cloud, in this order, right after the
    /// publish itself was routed and before it is acknowledged; a service that does not know the topic answers nothing.
    fn published(
        &mut self,
        client_id: &str,
        message: &CloudMessage,
        at: Moment,
    ) -> Vec<CloudMessage>;

    /// A client has connected, with this certificate.
    fn connected(&mut self, _client_id: &str, _certificate_id: &str) {}

    /// The connection of a client ended.
    fn disconnected(&mut self, _client_id: &str) {}

    /// When it has something to publish of its own accord; asked again after each of the other calls.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has come, or nearly any other time: what is to be published now.
    fn due(&mut self, _at: Moment) -> Vec<CloudMessage> {
        Vec::new()
    }
}

impl Broker {
    pub(crate) fn moment(&self, now: Instant) -> Moment {
        self.clock.moment(now)
    }

    /// What a service of the cloud wants to publish, from within or on behalf of the sandbox's handle.
    pub(crate) fn let_cloud(
        &mut self,
        now: Instant,
        act: impl FnOnce(Moment) -> Vec<CloudMessage>,
    ) {
        let messages = act(self.clock.moment(now));
        self.route_all(&messages, now);
    }

    /// When [`services_due`](Broker::services_due) has something to do.
    pub(crate) fn services_deadline(&self) -> Option<Instant> {
        let deadlines = self.services.iter().map(|service| service.deadline());
        deadlines.flatten().min()
    }

    /// Lets the services publish what is due.
    pub(crate) fn services_due(&mut self, now: Instant) {
        let at = self.clock.moment(now);
        let due = self.services.iter_mut().flat_map(|service| service.due(at));
        let messages: Vec<CloudMessage> = due.collect();
        self.route_all(&messages, now);
    }

    /// Lets the services see a publish; what they answer.
    pub(super) fn ask_services(
        &mut self,
        client: &str,
        message: &CloudMessage,
        now: Instant,
    ) -> Vec<CloudMessage> {
        let at = self.clock.moment(now);
        let ask = |service: &mut Box<dyn Service>| service.published(client, message, at);
        self.services.iter_mut().flat_map(ask).collect()
    }

    pub(super) fn route_all(&mut self, messages: &[CloudMessage], now: Instant) {
        messages.iter().for_each(|message| {
            self.route(message, now);
        });
        self.service_deadline_changed.notify_one();
    }

    pub(super) fn tell_services_of(&mut self, client: &str, certificate: &str) {
        let services = self.services.iter_mut();
        services.for_each(|service| service.connected(client, certificate));
    }

    pub(super) fn tell_services_of_the_end(&mut self, client: &str) {
        let services = self.services.iter_mut();
        services.for_each(|service| service.disconnected(client));
    }
}
