//! Pure: whether keys that are lent are still good, and when to ask for others.

use std::time::{Duration, Instant, SystemTime};

use crate::aws::AccessKeys;
use crate::net::Ending;

/// Keys are replaced so long before they end.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// Who was refused asks no sooner again.
const PAUSE: Duration = Duration::from_secs(60);

/// What is known of the keys.
#[derive(Clone, Debug, Default)]
pub struct LentKeys {
    keys: Option<AccessKeys>,
    refused: Option<(Instant, Ending)>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyAdvice {
    Use(AccessKeys),
    Ask,
    /// There are none, and it is too soon to ask.
    Fail(Ending),
}

impl LentKeys {
    pub fn advice(&self, now: Instant, wall: SystemTime) -> KeyAdvice {
        let usable = self.usable(wall);
        let early = wall + EARLY;
        match (usable, &self.refused) {
            (Some(keys), _) if keys.expired(early).is_none() => KeyAdvice::Use(keys),
            (usable, Some((at, why))) if now.saturating_duration_since(*at) < PAUSE => {
                usable.map_or_else(|| KeyAdvice::Fail(why.clone()), KeyAdvice::Use)
            }
            (_, Some(_) | None) => KeyAdvice::Ask,
        }
    }

    /// Keys that have not ended.
    pub fn usable(&self, wall: SystemTime) -> Option<AccessKeys> {
        let keys = self.keys.as_ref();
        keys.filter(|keys| keys.expired(wall).is_none()).cloned()
    }

    pub fn got(&mut self, keys: AccessKeys) {
        self.keys = Some(keys);
        self.refused = None;
    }

    /// The provider has answered, but not with keys.
    pub fn refused(&mut self, ending: Ending, now: Instant) {
        self.refused = Some((now, ending));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Class;
    use std::time::UNIX_EPOCH;

    fn wall(minutes: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 60 * minutes)
    }

    fn keys(end: u64) -> AccessKeys {
        AccessKeys::new("AKID", "s", Some("t"), Some(wall(end))).unwrap()
    }

    #[test]
    fn keys_are_replaced_five_minutes_before_they_end() {
        let now = Instant::now();
        let mut lent = LentKeys::default();
        assert_eq!(lent.advice(now, wall(0)), KeyAdvice::Ask);
        lent.got(keys(60));
        assert_eq!(lent.advice(now, wall(54)), KeyAdvice::Use(keys(60)));
        assert_eq!(lent.advice(now, wall(55)), KeyAdvice::Ask);
        assert_eq!(lent.advice(now, wall(61)), KeyAdvice::Ask);
    }

    #[test]
    fn who_was_refused_waits_a_minute_and_uses_what_there_is() {
        let now = Instant::now();
        let why = Ending::new(Class::Http, "403");
        let mut lent = LentKeys::default();
        lent.got(keys(60));
        lent.refused(why.clone(), now);
        let soon = now + Duration::from_secs(59);
        assert_eq!(lent.advice(soon, wall(57)), KeyAdvice::Use(keys(60)));
        assert_eq!(lent.advice(soon, wall(60)), KeyAdvice::Fail(why));
        let later = now + PAUSE;
        assert_eq!(lent.advice(later, wall(57)), KeyAdvice::Ask);
        lent.got(keys(120));
        assert_eq!(lent.advice(later, wall(60)), KeyAdvice::Use(keys(120)));
    }
}
