//! The clocks at the edge. Timers use the monotonic one, and the pure parts get its readings as
//! arguments. The wall clock may be wrong by decades: a board without a battery wakes up in 1970.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock is looked at so often while somebody waits for it to be set.
const LOOK: Duration = Duration::from_secs(1);
/// A change of so much in one look is no drift.
const JUMP: Duration = Duration::from_secs(5);

/// The present, on the clock that timers use.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The present, as far as this machine knows.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// When this program was built: the wall clock is wrong if it shows an earlier time.
pub fn built() -> SystemTime {
    let seconds = env!("CHARIOTD_BUILT").parse().unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Resolves at `deadline`; never, when there is none.
pub async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Resolves when somebody has set the wall clock, within a second.
pub async fn set() {
    let mut before = (now(), wall());
    loop {
        tokio::time::sleep(LOOK).await;
        let after = (now(), wall());
        let expected = before.1 + after.0.duration_since(before.0);
        let ahead = after.1.duration_since(expected).unwrap_or_default();
        let behind = expected.duration_since(after.1).unwrap_or_default();
        if ahead.max(behind) > JUMP {
            return;
        }
        before = after;
    }
}
