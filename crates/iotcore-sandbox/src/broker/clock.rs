//! Pure: the clock of the cloud, which may run faster than this machine's.

use std::time::{Duration, Instant};

/// One moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On this machine's clock.
    pub now: Instant,
    /// On the cloud's clock, since the epoch.
    pub cloud: Duration,
}

/// Converts times of this machine to times of the cloud.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Moment,
    /// How many times faster than real time the cloud's clock runs.
    pub speed: f64,
}

impl Clock {
    /// A clock on which it is `started` now.
    pub(crate) fn new(started: Moment, speed: f64) -> Clock {
        Clock { started, speed }
    }

    pub(crate) fn moment(&self, now: Instant) -> Moment {
        let passed = now.saturating_duration_since(self.started.now);
        let cloud = self.started.cloud + passed.mul_f64(self.speed);
        Moment { now, cloud }
    }

    /// The duration on this machine's clock of a duration on the cloud's clock.
    pub(crate) fn real(&self, cloud: Duration) -> Duration {
        cloud.div_f64(self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cloud_s_clock_runs_at_its_own_speed() {
        let now = Instant::now();
        let cloud = Duration::from_secs(1_790_000_000);
        let clock = Clock::new(Moment { now, cloud }, 100.0);
        let later = clock.moment(now + Duration::from_secs(2));
        assert_eq!(later.cloud, cloud + Duration::from_secs(200));
        assert_eq!(clock.real(Duration::from_secs(200)), Duration::from_secs(2));
    }
}
