//! Pure: which topics and filters AWS accepts, and which filter matches which topic.

use crate::limits::Limits;

/// Why AWS refuses to publish to `topic`, if it does.
pub(crate) fn refuse_topic(topic: &str, limits: &Limits) -> Option<String> {
    if topic.is_empty() || topic.contains(['+', '#', '\0']) {
        return Some(format!("'{topic}' is not a topic"));
    }
    refuse_size(after_rule(topic), limits).or_else(|| refuse_reserved(topic, limits))
}

/// Why AWS refuses to subscribe to `filter`, if it does.
pub(crate) fn refuse_filter(filter: &str, limits: &Limits) -> Option<String> {
    let Some((name, filter)) =
        share(filter).or_else(|| (!filter.starts_with("$share/")).then_some(("all", filter)))
    else {
        return Some(format!("'{filter}' is not a shared subscription"));
    };
    if name.is_empty() || name.len() > 128 || name.contains(['+', '#']) {
        return Some(format!("'{name}' is not the name of a share"));
    }
    if !well_formed(filter) {
        return Some(format!("'{filter}' is not a topic filter"));
    }
    if filter.starts_with("$aws/rules/") {
        return Some("basic ingest topics cannot be subscribed to".to_owned());
    }
    refuse_size(filter, limits)
}

/// Why AWS refuses a topic or filter that begins with `$`, if it does.
pub(crate) fn refuse_reserved(topic: &str, limits: &Limits) -> Option<String> {
    let topic = share(topic).map_or(topic, |(_, filter)| filter);
    let known = limits
        .reserved_topics
        .iter()
        .any(|begin| topic.starts_with(begin.as_str()));
    (topic.starts_with('$') && !known).then(|| format!("there is no '{topic}'"))
}

/// Name and filter of a shared subscription.
pub(crate) fn share(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// Whether a message on `topic` is delivered to a subscriber of `filter` (without its share). The MQTT specification lets
/// `a/#` match `a`; AWS does not.
pub(crate) fn matches(filter: &str, topic: &str, hash_matches_parent: bool) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    covers(filter, topic) && (hash_matches_parent || !bare(filter, topic))
}

/// Whether a policy for `filter` applies to `topic`: like [`matches`], but `#` covers everything, including `$` and parents.
pub(crate) fn covers(filter: &str, topic: &str) -> bool {
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            (_, _) => return false,
        }
    }
    names.next().is_none()
}

/// Whether `filter` covers `topic` only because `#` may stand for no level: it has one level more.
fn bare(filter: &str, topic: &str) -> bool {
    filter.ends_with("/#") && filter.split('/').count() == topic.split('/').count() + 1
}

fn well_formed(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let sound = |(at, level): (usize, &&str)| match *level {
        "#" => at + 1 == levels.len(),
        "+" => true,
        name => !name.contains(['+', '#', '\0']),
    };
    !filter.is_empty() && levels.iter().enumerate().all(sound)
}

fn refuse_size(topic: &str, limits: &Limits) -> Option<String> {
    if topic.len() > limits.topic_length {
        return Some(format!(
            "{} bytes of topic, {} are allowed",
            topic.len(),
            limits.topic_length
        ));
    }
    let slashes = topic.matches('/').count();
    (slashes > limits.topic_slashes)
        .then(|| format!("{slashes} slashes, {} are allowed", limits.topic_slashes))
}

fn after_rule(topic: &str) -> &str {
    let rest = topic
        .strip_prefix("$aws/rules/")
        .and_then(|rest| rest.split_once('/'));
    rest.map_or(topic, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_aws_says() {
        let check = |filter, topic, expected| {
            assert_eq!(matches(filter, topic, false), expected, "{filter} {topic}")
        };
        check("a/b", "a/b", true);
        check("a/b", "a/b/c", false);
        check("a/+", "a/b", true);
        check("a/+", "a", false);
        check("a/+", "a/", true);
        check("a/+/c", "a/b/c", true);
        check("+/+", "/a", true);
        check("#", "a/b/c", true);
        check("a/#", "a/b/c", true);
        check("a/#", "a/", true);
        check("a/#", "a", false);
        check("+/#", "a", false);
        check("#", "$aws/things/t/shadow/get", false);
        check("+/things/#", "$aws/things/t", false);
        check("$aws/things/+/shadow/#", "$aws/things/t/shadow/get", true);
    }

    #[test]
    fn the_specification_lets_hash_match_the_parent() {
        assert!(matches("a/#", "a", true));
        assert!(matches("+/#", "a", true));
    }

    #[test]
    fn a_policy_for_hash_is_about_everything() {
        assert!(covers("#", "$aws/things/t"));
        assert!(covers("a/#", "a"));
        assert!(!covers("a/#", "b"));
    }

    #[test]
    fn topics_have_256_bytes_and_seven_slashes() {
        let check = |topic: &str, taken| {
            assert_eq!(
                refuse_topic(topic, &Limits::default()).is_none(),
                taken,
                "{topic}"
            );
        };
        check("1/2/3/4/5/6/7/8", true);
        check("1/2/3/4/5/6/7/8/9", false);
        check(&"x".repeat(256), true);
        check(&"x".repeat(257), false);
        check("$aws/rules/rule/1/2/3/4/5/6/7/8", true);
        check("$aws/rules/rule/1/2/3/4/5/6/7/8/9", false);
        check("$aws/things/t/shadow/update", true);
        check("$SYS/uptime", false);
        check("a/+", false);
        check("a/#", false);
        check("", false);
    }

    #[test]
    fn filters_have_the_same_limits_and_shares_do_not_count() {
        let check = |filter: &str, taken| {
            assert_eq!(
                refuse_filter(filter, &Limits::default()).is_none(),
                taken,
                "{filter}"
            );
        };
        check("1/2/3/4/5/6/7/8", true);
        check("1/2/3/4/5/6/7/8/9", false);
        check("$share/all/1/2/3/4/5/6/7/#", true);
        check("$share/all", false);
        check("$share//a", false);
        check("$share/+/a", false);
        check("a/#/b", false);
        check("a#", false);
        check("a/b+", false);
        check("", false);
        check("$aws/rules/rule/a", false);
    }

    #[test]
    fn only_the_known_dollar_topics_exist() {
        let check = |topic: &str, exists| {
            assert_eq!(
                refuse_reserved(topic, &Limits::default()).is_none(),
                exists,
                "{topic}"
            );
        };
        check("$SYS/#", false);
        check("$aws/commands/things/t/executions/+/request/json", false);
        check("$share/all/$SYS/#", false);
        check("$share/all/a", true);
        check("$aws/things/t/jobs/notify", true);
        check("a/$b", true);
    }
}
