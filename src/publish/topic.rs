//! Pure: which topics can be published to. Checked before the wire, because the broker answers a
//! violation by ending the connection.

const LONGEST: usize = 256;
const MOST_SLASHES: usize = 7;

/// Why nothing can be published to `topic`, or `None` when it can.
pub fn invalid(topic: &str) -> Option<String> {
    if topic.is_empty() {
        return Some("is empty".into());
    }
    if let Some(bad) = topic.chars().find(|c| matches!(c, '+' | '#' | '\0')) {
        return Some(format!(
            "contains {bad:?}, which a topic to publish to must not"
        ));
    }
    let counted = counted(topic);
    if counted.len() > LONGEST {
        return Some(format!("has {} bytes, more than {LONGEST}", counted.len()));
    }
    let slashes = counted.matches('/').count();
    (slashes > MOST_SLASHES).then(|| format!("has {slashes} slashes, more than {MOST_SLASHES}"))
}

/// The part of the topic that counts against the limits: the prefix of Basic Ingest does not.
fn counted(topic: &str) -> &str {
    topic
        .strip_prefix("$aws/rules/")
        .and_then(|rest| rest.split_once('/'))
        .map_or(topic, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(topic: &str, part: Option<&str>) {
        match (invalid(topic), part) {
            (None, None) => {}
            (Some(why), Some(part)) => assert!(why.contains(part), "{topic:?}: {why}"),
            (got, _) => panic!("{topic:?}: {got:?}"),
        }
    }

    #[test]
    fn topics_within_the_limits_of_the_cloud_pass() {
        check("a/b", None);
        check("/", None);
        check("1/2/3/4/5/6/7/8", None);
        check(&"x".repeat(256), None);
        check("$aws/rules/rule/1/2/3/4/5/6/7/8", None);
        check(&format!("$aws/rules/rule/{}", "x".repeat(256)), None);
    }

    #[test]
    fn topics_that_would_end_the_connection_do_not() {
        check("", Some("empty"));
        check("a/+/b", Some("'+'"));
        check("a/#", Some("'#'"));
        check("a\0b", Some("contains"));
        check("1/2/3/4/5/6/7/8/9", Some("8 slashes"));
        check(&"x".repeat(257), Some("257 bytes"));
        check(&"é".repeat(129), Some("258 bytes"));
    }
}
