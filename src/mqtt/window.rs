//! The window: how much of what is published may be on its way at one time, in messages and in bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Publishes of all directories together that are on the way at one time. AWS IoT Core allows 100
/// unacknowledged on one connection; ten are left for what is not a message file.
pub const WINDOW_MESSAGES: usize = WINDOW as usize;
const WINDOW: u32 = 90;
/// Requests to the cloud's services, beside the messages.
pub const REQUESTS: usize = 8;
/// Their payloads together, in KiB: what a slow link can carry within a keep-alive.
const WINDOW_KIB: usize = 1024;
/// The window that all publishers share, and that of requests beside it.
#[derive(Clone, Debug)]
pub struct Window {
    messages: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    services: Arc<Semaphore>,
}

impl Default for Window {
    fn default() -> Window {
        Window {
            messages: Arc::new(Semaphore::new(WINDOW_MESSAGES)),
            kib: Arc::new(Semaphore::new(WINDOW_KIB)),
            services: Arc::new(Semaphore::new(REQUESTS)),
        }
    }
}

impl Window {
    /// Waits for a place, with room for so many bytes.
    pub async fn place(&self, bytes: u64) -> PublishPermit {
        let slot = WindowPermit(acquire(&self.messages, 1).await);
        PublishPermit {
            room: Some(self.room(bytes).await),
            slot,
        }
    }

    /// Waits for all places.
    pub async fn all(&self) -> WindowPermit {
        WindowPermit(acquire(&self.messages, WINDOW).await)
    }

    /// The same place, with room for exactly so many bytes.
    pub async fn fitted(&self, place: PublishPermit, bytes: u64) -> PublishPermit {
        let PublishPermit { slot, room } = place;
        let room = match room {
            Some(room) if room.0.num_permits() >= kib(bytes) => room.shrunk(kib(bytes)),
            // A letterhead has added to it. What there was is given back first: whoever holds some and
            // waits for more could wait for another one who does the same.
            other => {
                drop(other);
                self.room(bytes).await
            }
        };
        PublishPermit {
            slot,
            room: Some(room),
        }
    }

    /// Waits for a place beside the messages, for a request to a service of the cloud.
    pub async fn service(&self) -> OwnedSemaphorePermit {
        acquire(&self.services, 1).await
    }

    async fn room(&self, bytes: u64) -> BytesPermit {
        let kib = u32::try_from(kib(bytes)).unwrap_or(1);
        BytesPermit(acquire(&self.kib, kib).await)
    }
}

/// One or more places in the window. Given back when dropped.
#[derive(Debug)]
pub struct WindowPermit(OwnedSemaphorePermit);

impl WindowPermit {
    /// Takes one place out of several. `None`: there is only one.
    pub fn split(&mut self) -> Option<WindowPermit> {
        let more = self.0.num_permits() > 1;
        more.then(|| self.0.split(1)).flatten().map(WindowPermit)
    }
}

/// A place in the window, with room for the bytes of a message.
#[derive(Debug)]
pub struct PublishPermit {
    slot: WindowPermit,
    /// `None`: it is taken when the size of the payload is known.
    room: Option<BytesPermit>,
}

impl PublishPermit {
    /// Without room: for the few that fly alone.
    pub fn of(slot: WindowPermit) -> PublishPermit {
        PublishPermit { slot, room: None }
    }

    /// Whether there is room for so many bytes.
    pub fn holds(&self, bytes: u64) -> bool {
        self.room
            .as_ref()
            .is_none_or(|room| room.0.num_permits() >= kib(bytes))
    }
}

/// KiB of the window. Given back when dropped.
#[derive(Debug)]
struct BytesPermit(OwnedSemaphorePermit);

impl BytesPermit {
    fn shrunk(mut self, kib: usize) -> BytesPermit {
        let excess = self.0.num_permits().saturating_sub(kib);
        drop(self.0.split(excess));
        self
    }
}

/// What so many bytes take of the window. More than all of it is never asked for.
fn kib(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(1024))
        .unwrap_or(WINDOW_KIB)
        .clamp(1, WINDOW_KIB)
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    semaphore
        .clone()
        .acquire_many_owned(permits)
        .await
        .expect("the window is never closed")
}
