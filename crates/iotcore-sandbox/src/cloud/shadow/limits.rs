//! Pure: the quotas of the shadow service, and its behaviour that AWS does not document.

use std::time::Duration;

/// The rules of the shadow service. The default is AWS as documented.
#[derive(Clone, Debug)]
pub struct ShadowLimits {
    /// Most bytes of `desired` and `reported` together, as compact JSON. Above it: 413.
    pub document: usize,
    /// Most levels of objects and arrays in `desired` or `reported`, which are level 1 themselves. Above it: 400. AWS's
    /// pages say 5, 6 and 8.
    pub depth: usize,
    /// Most requests of one thing that are not answered. One above it: 429.
    pub in_flight: usize,
    /// How long a request that is never answered counts as in flight, on the cloud's clock. It ends with the connection
    /// of its client too.
    pub in_flight_for: Duration,
    /// How long the version of a deleted shadow is kept, on the cloud's clock.
    pub version_memory: Duration,
    /// By how much the first version of a shadow that is created again exceeds the last one before the deletion.
    pub version_step: u64,
    /// Whether an object that is empty after an update is removed.
    pub drops_empty_objects: bool,
    /// What `update/documents` holds as `previous` at the first update.
    pub first_previous: FirstPrevious,
}

/// The `previous` of a shadow that has just been created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPrevious {
    /// There is no such member.
    Absent,
    /// An object without members.
    Empty,
    Null,
}

impl Default for ShadowLimits {
    fn default() -> ShadowLimits {
        ShadowLimits {
            document: 8 * 1024,
            depth: 8,
            in_flight: 10,
            in_flight_for: Duration::from_secs(60),
            version_memory: Duration::from_secs(48 * 3600),
            version_step: 1,
            drops_empty_objects: true,
            first_previous: FirstPrevious::Absent,
        }
    }
}
