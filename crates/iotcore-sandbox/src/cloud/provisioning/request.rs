//! Pure: a request to fleet provisioning, as it is given to the request handler.

use bytes::Bytes;

use super::topic::Topic;
use crate::broker::Moment;

/// Who requests what, and when.
#[derive(Clone)]
pub(super) struct ProvisioningRequest {
    pub topic: Topic,
    pub client: String,
    /// The id of the certificate with which the client is connected.
    pub certificate: String,
    pub payload: Bytes,
    pub at: Moment,
}
