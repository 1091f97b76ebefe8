//! Pure: which topics can be published to. Checked before the wire, because the broker answers a
//! violation by ending the connection.

const BASIC_INGEST: &str = "$aws/rules/";
const LONGEST: usize = 256;
const MOST_SLASHES: usize = 7;
/// The longest name of a rule, which does not count against the limits of a topic.
const LONGEST_RULE: usize = 128;

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
    if rule(topic).is_some_and(|rule| rule.len() > LONGEST_RULE) {
        return Some(format!("has a rule name of more than {LONGEST_RULE} bytes"));
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
    rule(topic).map_or(topic, |rule| &topic[BASIC_INGEST.len() + rule.len() + 1..])
}

/// The rule that a topic of Basic Ingest names.
fn rule(topic: &str) -> Option<&str> {
    let (rule, _) = topic.strip_prefix(BASIC_INGEST)?.split_once('/')?;
    Some(rule)
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
        check(
            &format!("$aws/rules/{}/x", "r".repeat(129)),
            Some("rule name"),
        );
        check(
            &format!("$aws/rules/{}", "r".repeat(300)),
            Some("311 bytes"),
        );
        check("", Some("empty"));
        check("a/+/b", Some("'+'"));
        check("a/#", Some("'#'"));
        check("a\0b", Some("contains"));
        check("1/2/3/4/5/6/7/8/9", Some("8 slashes"));
        check(&"x".repeat(257), Some("257 bytes"));
        check(&"é".repeat(129), Some("258 bytes"));
    }
}
