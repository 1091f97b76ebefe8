//! Waiting for a condition that nothing announces.

use std::thread;
use std::time::{Duration, Instant};

/// Looks twice a millisecond. `false`: the time is up.
pub fn wait_for(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_micros(500));
    }
    true
}
