//! Pure: what a connection needs to know, apart from certificates.

use std::time::{Duration, SystemTime};

use super::rate_limit::Rates;
use crate::identity::Endpoint;
use crate::net::Route;

/// What a connection needs to know, apart from certificates.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    pub client_id: String,
    pub endpoint: Endpoint,
    pub route: Route,
    pub version: Version,
    /// At least 5 s, which is the least that the MQTT client takes.
    pub keep_alive: Duration,
    /// How long the broker keeps our session while we are away; zero asks for a clean one.
    pub session_expiry: Duration,
    pub last_will: Option<LastWill>,
    /// Published, with QoS 1, at the beginning of each first connection, before all else.
    pub birth: Option<Birth>,
    /// Connections at most: further ones, each with its own client id, are made for subscriptions.
    pub connections: usize,
    /// Consecutive failures before giving up; 0 never gives up.
    pub attempts: u32,
    /// What is published a second at most.
    pub rates: Rates,
    /// The wall clock is not set if it shows an earlier time.
    pub clock_floor: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

/// Published by the broker, with QoS 1, when the connection ends without a DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWill {
    pub topic: String,
    pub payload: String,
    pub retain: bool,
}

/// What a connection begins with: the counterpart of the last will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    pub topic: String,
    pub payload: String,
    pub retain: bool,
}
