//! The seam for the cloud's own services: shadows, provisioning, jobs.

use crate::packet::CloudMessage;

/// A service of the cloud that devices talk to by publishing to its topics.
pub trait Service: Send {
    /// A client's publish was accepted. What comes back is published by the cloud, in this order, right after the
    /// publish itself was routed and before it is acknowledged; a service that does not know the topic answers nothing.
    fn published(&mut self, client_id: &str, message: &CloudMessage) -> Vec<CloudMessage>;
}
