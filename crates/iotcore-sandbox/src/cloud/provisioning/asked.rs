//! Pure: a request as it lies on the desk.

use bytes::Bytes;

use super::topic::Topic;
use crate::broker::Moment;

/// Who asks what, and when.
#[derive(Clone)]
pub(super) struct Asked {
    pub topic: Topic,
    pub client: String,
    /// The id of the certificate with which the client is connected.
    pub certificate: String,
    pub payload: Bytes,
    pub at: Moment,
}
