//! Pure: which topic filter a received topic belongs to, by the rules of MQTT 3.1.1 section 4.7.

/// The most filters that one SUBSCRIBE packet may hold on AWS IoT Core.
pub const FILTERS_PER_SUBSCRIBE: usize = 8;

/// Whether `topic` belongs to `filter`. `a/#` takes `a` too, as the standard says: whether such a
/// message comes at all is the broker's decision (AWS IoT Core does not send it).
pub fn matches(filter: &str, topic: &str) -> bool {
    let filter = unshared(filter);
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            (_, _) => return false,
        }
    }
    levels.next().is_none()
}

/// Why `filter` is not a valid topic filter, or `None` when it is one.
pub fn invalid(filter: &str) -> Option<&'static str> {
    let filter = unshared(filter);
    if filter.is_empty() {
        return Some("is empty");
    }
    if filter.contains('\0') {
        return Some("contains a NUL character");
    }
    if filter.len() > 256 {
        return Some("is longer than 256 bytes");
    }
    let levels: Vec<&str> = filter.split('/').collect();
    if levels.len() > 8 {
        return Some("has more than 7 slashes");
    }
    if levels
        .iter()
        .any(|level| level.len() > 1 && level.contains(['+', '#']))
    {
        return Some("has a wildcard that is not a whole level");
    }
    if levels.iter().rev().skip(1).any(|level| *level == "#") {
        return Some("has '#' before its last level");
    }
    None
}

/// The filter behind `$share/NAME/`, which decides what a shared subscription receives.
fn unshared(filter: &str) -> &str {
    filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'))
        .map_or(filter, |(_, filter)| filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic) in [
            ("a/b", "a/b"),
            ("a/+", "a/b"),
            ("a/+", "a/"),
            ("+/+", "/b"),
            ("#", "a/b/c"),
            ("a/#", "a"),
            ("a/#", "a/b/c"),
            ("+", "a"),
            ("$aws/things/+/shadow", "$aws/things/x/shadow"),
            ("$share/group/a/+", "a/b"),
        ] {
            assert!(matches(filter, topic), "{filter} takes {topic}");
        }
    }

    #[test]
    fn filters_do_not_take_what_is_not_theirs() {
        for (filter, topic) in [
            ("a/b", "a"),
            ("a", "a/b"),
            ("a/+", "a"),
            ("a/+", "a/b/c"),
            ("#", "$aws/things"),
            ("+/things", "$aws/things"),
            ("A", "a"),
            ("a/#", "ab"),
        ] {
            assert!(!matches(filter, topic), "{filter} does not take {topic}");
        }
    }

    #[test]
    fn an_invalid_filter_is_named_with_its_reason() {
        for (filter, part) in [
            ("", "empty"),
            ("a/b#", "whole level"),
            ("a+/b", "whole level"),
            ("#/a", "last level"),
            ("a\0", "NUL"),
            ("1/2/3/4/5/6/7/8/9", "slashes"),
        ] {
            assert!(
                invalid(filter).is_some_and(|why| why.contains(part)),
                "{filter:?}"
            );
        }
        assert_eq!(invalid("$aws/things/+/shadow/#"), None);
        assert!(invalid(&"x".repeat(257)).is_some());
    }
}
