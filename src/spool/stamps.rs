//! Pure: the names of the files of an inbox, `TIME.SEQUENCE`: they sort in the order of arrival, and
//! none comes twice, also when the clock is set back.

/// Gives out names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// Seconds since 1970 of the newest name.
    time: u64,
    sequence: u64,
    /// The newest name that was used.
    used: (u64, u64),
}

impl Stamps {
    /// Takes note of a name that is used, by this run or an earlier one. Other names are ignored.
    pub fn used(&mut self, name: &str) {
        if let Some((time, sequence)) = parsed(name) {
            self.time = self.time.max(time);
            self.sequence = self.sequence.max(sequence);
            self.used = self.used.max((time, sequence));
        }
    }

    /// The next name, at `now` seconds since 1970, or at the time of the newest one if that is later.
    pub fn next(&mut self, now: u64) -> String {
        self.time = self.time.max(now);
        self.sequence += 1;
        format!("{:010}.{:010}", self.time, self.sequence)
    }

    /// Whether this is the newest name of those that are used: the one to go on from.
    pub fn is_newest(&self, name: &str) -> bool {
        parsed(name) == Some(self.used)
    }
}

/// Whether it is a name of this kind.
pub fn is_stamp(name: &str) -> bool {
    parsed(name).is_some()
}

fn parsed(name: &str) -> Option<(u64, u64)> {
    let (time, sequence) = name.split_once('.')?;
    Some((digits(time)?, digits(sequence)?))
}

fn digits(text: &str) -> Option<u64> {
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_in_the_order_in_which_they_are_given() {
        let mut stamps = Stamps::default();
        let names: Vec<String> = [5, 5, 1_700_000_000, 6, 1_700_000_001]
            .map(|now| stamps.next(now))
            .into();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names[0], "0000000005.0000000001");
        assert_eq!(names[3], "1700000000.0000000004", "the clock was set back");
        stamps.used(&names[2]);
        assert!(stamps.is_newest(&names[2]), "later ones were not used");
    }

    #[test]
    fn a_later_run_goes_on_where_the_earlier_one_ended() {
        let mut stamps = Stamps::default();
        for name in [
            "1700000000.0000000041",
            "1700000009.0000000007",
            "1700000099.7",
            "note",
            "170000000x.0000000099",
        ] {
            stamps.used(name);
        }
        assert_eq!(stamps.next(0), "1700000009.0000000042");
    }

    #[test]
    fn only_names_of_this_form_are_its_own() {
        for (name, stamp) in [
            ("1700000000.0000000041", true),
            ("1700000000.0000000041.json", false),
            (".1700000000.0000000041", false),
            ("1700000000", false),
            ("+700000000.0000000041", false),
        ] {
            assert_eq!(is_stamp(name), stamp, "{name}");
        }
    }
}
