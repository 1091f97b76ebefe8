//! Pure: the names of shadows, and their topics.

use std::fmt;

/// Which shadow. Displayed as `thing` or `thing~shadow`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShadowName {
    pub thing: String,
    /// `None` for the classic shadow.
    pub shadow: Option<String>,
}

/// What can be requested of a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShadowOperation {
    Get,
    Update,
    Delete,
}

impl ShadowName {
    /// `None` if AWS does not allow these names.
    pub(super) fn new(thing: &str, shadow: Option<&str>) -> Option<ShadowName> {
        let sound = is_name(thing, 128) && shadow.is_none_or(|shadow| is_name(shadow, 64));
        sound.then(|| ShadowName {
            thing: thing.to_owned(),
            shadow: shadow.map(str::to_owned),
        })
    }

    /// Which shadow a publish to `topic` is a request to, and the operation.
    pub(super) fn of_request(topic: &str) -> Option<(ShadowName, ShadowOperation)> {
        let levels: Vec<&str> = topic.split('/').collect();
        let (thing, shadow, operation) = match levels[..] {
            ["$aws", "things", thing, "shadow", operation] => (thing, None, operation),
            ["$aws", "things", thing, "shadow", "name", shadow, operation] => {
                (thing, Some(shadow), operation)
            }
            _ => return None,
        };
        let operation = ShadowOperation::ALL
            .into_iter()
            .find(|known| known.word() == operation)?;
        Some((ShadowName::new(thing, shadow)?, operation))
    }

    /// The topic of this shadow with this end.
    pub(super) fn topic(&self, end: &str) -> String {
        match &self.shadow {
            None => format!("$aws/things/{}/shadow/{end}", self.thing),
            Some(shadow) => format!("$aws/things/{}/shadow/name/{shadow}/{end}", self.thing),
        }
    }
}

impl fmt::Display for ShadowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shadow {
            None => write!(f, "{}", self.thing),
            Some(shadow) => write!(f, "{}~{shadow}", self.thing),
        }
    }
}

impl ShadowOperation {
    const ALL: [ShadowOperation; 3] = [
        ShadowOperation::Get,
        ShadowOperation::Update,
        ShadowOperation::Delete,
    ];

    /// As in the topic.
    pub(super) fn word(self) -> &'static str {
        match self {
            ShadowOperation::Get => "get",
            ShadowOperation::Update => "update",
            ShadowOperation::Delete => "delete",
        }
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
    (1..=longest).contains(&text.len()) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_says_which_shadow_and_what() {
        let check = |topic: &str, expected: Option<(&str, &str)>| {
            let found = ShadowName::of_request(topic);
            let found = found.map(|(name, operation)| (name.to_string(), operation.word()));
            let expected = expected.map(|(name, word)| (name.to_owned(), word));
            assert_eq!(found, expected, "{topic}");
        };
        check("$aws/things/t/shadow/get", Some(("t", "get")));
        check("$aws/things/t:1_-/shadow/update", Some(("t:1_-", "update")));
        check("$aws/things/t/shadow/delete", Some(("t", "delete")));
        check("$aws/things/t/shadow/name/s/get", Some(("t~s", "get")));
        check("$aws/things/t/shadow/s/get", None);
        check("$aws/things/t/shadow/update/accepted", None);
        check("$aws/things/t/shadow/name/s", None);
        check("$aws/things/t/shadow/list", None);
        check("$aws/things/t t/shadow/get", None);
        check("$aws/things//shadow/get", None);
        check("$aws/things/t/jobs/get", None);
        check("a/things/t/shadow/get", None);
    }

    #[test]
    fn names_have_limits() {
        assert!(ShadowName::new(&"t".repeat(128), Some(&"s".repeat(64))).is_some());
        assert!(ShadowName::new(&"t".repeat(129), None).is_none());
        assert!(ShadowName::new("t", Some(&"s".repeat(65))).is_none());
        assert!(ShadowName::new("t", Some("")).is_none());
        assert!(ShadowName::new("t~s", None).is_none());
    }

    #[test]
    fn topics_of_named_shadows_have_the_literal_name() {
        let named = ShadowName::new("t", Some("s")).unwrap();
        assert_eq!(
            named.topic("get/accepted"),
            "$aws/things/t/shadow/name/s/get/accepted"
        );
        let classic = ShadowName::new("t", None).unwrap();
        assert_eq!(
            classic.topic("update/delta"),
            "$aws/things/t/shadow/update/delta"
        );
    }
}
