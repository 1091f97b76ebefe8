//! The broker's thread: sockets, TLS, WebSockets and timers around [`Broker`](crate::broker::Broker), which decides.

mod arrive;
mod carrier;
mod connection;
mod credentials;
mod server;
mod service_timer;
mod tls;
mod web;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

pub(crate) use server::{Entrance, Ports, Server};
pub(crate) use tls::{Rules, Tls};

use crate::access::Access;
use crate::broker::Broker;
use crate::journal::Journal;
use crate::pki::Statuses;

/// What the handle and all connections share.
pub(crate) struct Hub {
    broker: Mutex<Broker>,
    pub journal: Arc<Journal>,
    pub tls: Tls,
    pub statuses: Statuses,
    pub access: Arc<Access>,
    /// Largest packet that is read.
    pub largest: u32,
    /// Most bytes in one WebSocket message that is written.
    pub largest_frame: usize,
}

impl Hub {
    pub(crate) fn new(
        broker: Broker,
        journal: Arc<Journal>,
        tls: Tls,
        statuses: Statuses,
        access: Arc<Access>,
        (largest, largest_frame): (u32, usize),
    ) -> Hub {
        Hub {
            broker: Mutex::new(broker),
            journal,
            tls,
            statuses,
            access,
            largest,
            largest_frame,
        }
    }

    /// The broker decides quickly and never waits: the lock is held for one decision.
    pub(crate) fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().expect("the broker has not panicked")
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
