//! The broker's thread: sockets, TLS and timers around [`Broker`](crate::broker::Broker), which decides.

mod connection;
mod server;
mod service_timer;
mod tls;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

pub(crate) use server::Server;
pub(crate) use tls::{Rules, Tls};

use crate::broker::Broker;
use crate::journal::Journal;
use crate::pki::Statuses;

/// What the handle and all connections share.
pub(crate) struct Hub {
    broker: Mutex<Broker>,
    pub journal: Arc<Journal>,
    pub tls: Tls,
    pub statuses: Statuses,
    /// Largest packet that is read.
    pub largest: u32,
}

impl Hub {
    pub(crate) fn new(
        broker: Broker,
        journal: Arc<Journal>,
        tls: Tls,
        statuses: Statuses,
        largest: u32,
    ) -> Hub {
        Hub {
            broker: Mutex::new(broker),
            journal,
            tls,
            statuses,
            largest,
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
