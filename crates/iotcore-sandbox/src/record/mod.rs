//! Pure: the record of what the broker has received and done, for tests and for people.

mod text;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::access::{AuthorizerCall, Proof, Transport};
use crate::cloud::provisioning::ProvisioningEvent;
use crate::cloud::shadow::ShadowEvent;
use crate::packet::{CloudMessage, Properties, Version};

/// One event. The events of one sandbox are in order.
#[derive(Clone, Debug)]
pub struct Record {
    /// Counts from 1, without gaps.
    pub sequence: u64,
    pub at: Instant,
    /// Which connection since the start, counting from 1; `None` if the event belongs to none.
    pub connection: Option<u64>,
    /// The client id, once the connection has sent its CONNECT.
    pub client_id: Option<Arc<str>>,
    pub event: Event,
}

/// What happened. Events named "sent" are recorded right before the packet is written to the socket, so that nothing
/// that a client does because of a packet can be recorded before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    ConnectionOpened,
    TlsFailed {
        reason: String,
    },
    TlsEstablished {
        sni: Option<String>,
        alpn: Option<String>,
        /// `None` if the client was not asked for one.
        certificate_id: Option<String>,
    },
    /// A request to upgrade to WebSocket was answered.
    Upgrade {
        path: String,
        /// The names of the parameters in the query, in order. Their values are left out: they are secrets.
        parameters: Vec<String>,
        /// 101 if it was accepted.
        status: u16,
        /// Why it was refused.
        refused: Option<String>,
    },
    /// A custom authoriser was asked about a client.
    Authorizer(AuthorizerCall),
    /// The credential provider was asked for a temporary access key.
    CredentialsRequested {
        /// `None` if the path names none.
        alias: Option<String>,
        thing: Option<String>,
        certificate_id: String,
        /// 200 if it was given.
        status: u16,
        /// Why it was not given.
        refused: Option<String>,
        access_key_id: Option<String>,
    },
    /// A client has proved who it is: after the TLS handshake, the upgrade to WebSocket, or the CONNECT.
    Admitted {
        transport: Transport,
        proof: Proof,
        /// For whom policies are made.
        identity: String,
    },
    Connect {
        version: Version,
        clean_start: bool,
        /// Seconds, as the client requested.
        keep_alive: u16,
        /// Seconds, as the client requested.
        session_expiry: Option<u32>,
        will: Option<CloudMessage>,
        /// Without what follows a question mark, if an authoriser decides: that may be secret.
        username: Option<String>,
    },
    ConnackSent {
        code: u8,
        session_present: bool,
    },
    /// A publish was accepted. Its PUBACK is another event.
    Publish(Received),
    PublishRefused {
        topic: String,
        reason: String,
    },
    PubackSent {
        packet_id: u16,
        code: u8,
    },
    /// No PUBACK will be sent for this publish on this connection.
    PubackWithheld {
        packet_id: u16,
        reason: String,
    },
    Subscribe {
        /// Filters and requested QoS.
        filters: Vec<(String, u8)>,
    },
    SubackSent {
        codes: Vec<u8>,
    },
    Unsubscribe {
        filters: Vec<String>,
    },
    UnsubackSent {
        codes: Vec<u8>,
    },
    Delivered {
        topic: String,
        packet_id: Option<u16>,
        qos: u8,
    },
    PubackReceived {
        packet_id: u16,
    },
    PingRequest,
    PingResponse,
    DisconnectReceived {
        reason: u8,
    },
    DisconnectSent {
        reason: u8,
    },
    WillPublished {
        topic: String,
        payload: Bytes,
    },
    Closed {
        why: String,
    },
    /// A request to a shadow, or something published about one.
    Shadow(ShadowEvent),
    /// A request to fleet provisioning, or a result of one.
    Provisioning(ProvisioningEvent),
    /// A file of a shadow is invalid, or cannot be written. It is not replaced until it is corrected.
    ShadowFile {
        file: PathBuf,
        why: String,
    },
}

/// A publish of a client that the broker accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    /// `None` for QoS 0.
    pub packet_id: Option<u16>,
    pub client_id: String,
    pub properties: Properties,
    pub connection: u64,
}

impl Received {
    /// The payload as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}
