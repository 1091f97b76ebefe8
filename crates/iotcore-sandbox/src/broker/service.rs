//! The interface for the services of the cloud, such as shadows and fleet provisioning.

use std::time::Instant;

use super::Broker;
use super::clock::Moment;
use crate::packet::CloudMessage;

/// A service of the cloud. Devices use it by publishing to its topics.
///
/// It is called with the broker locked: it must decide quickly and must not call the sandbox.
pub trait Service: Send {
    /// A publish of a client was accepted. The cloud publishes the returned messages, in this order, right after the
    /// publish itself was delivered and before it is acknowledged. For a topic of no concern the service returns none.
    fn published(
        &mut self,
        client_id: &str,
        message: &CloudMessage,
        at: Moment,
    ) -> Vec<CloudMessage>;

    /// A client has connected, with this certificate, or another identity if it was not asked for one.
    fn connected(&mut self, _client_id: &str, _certificate_id: &str) {}

    /// The connection of a client ended.
    fn disconnected(&mut self, _client_id: &str) {}

    /// When it has something to publish without a request; read again after each of the other calls.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Returns what is to be published now. Called at the deadline, and possibly at other times.
    fn due(&mut self, _at: Moment) -> Vec<CloudMessage> {
        Vec::new()
    }
}

impl Broker {
    pub(crate) fn moment(&self, now: Instant) -> Moment {
        self.clock.moment(now)
    }

    /// Publishes what a service of the cloud returns, on behalf of the sandbox's handle.
    pub(crate) fn publish_for_service(
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

    /// Shows a publish to the services, and returns their answers.
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
