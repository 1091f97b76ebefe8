//! The monotonic clock at the edge: the pure parts get its readings as arguments.

use std::time::Instant;

/// The present, on the clock that timers use.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Resolves at `deadline`; never, when there is none.
pub async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
