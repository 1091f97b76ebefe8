//! Pure: the messages that the shadow service publishes, and how the fault script garbles and shuffles them.

use serde_json::{Value, json};

use super::event::ShadowKind;
use super::fault::Garbage;
use super::name::ShadowOperation;

/// Something that the cloud publishes about a shadow.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Publication {
    /// The kind that is recorded.
    pub kind: ShadowKind,
    /// What the topic ends with.
    pub end: String,
    /// The JSON of the payload; null if it is not JSON.
    pub content: Value,
    pub payload: Vec<u8>,
}

impl Publication {
    pub(super) fn accepted(operation: ShadowOperation, content: Value) -> Publication {
        let end = format!("{}/accepted", operation.word());
        Publication::new(ShadowKind::Accepted(operation), end, content)
    }

    pub(super) fn rejected(operation: ShadowOperation, code: u16, content: Value) -> Publication {
        let end = format!("{}/rejected", operation.word());
        Publication::new(ShadowKind::Rejected(operation, code), end, content)
    }

    pub(super) fn delta(content: Value) -> Publication {
        Publication::new(ShadowKind::Delta, "update/delta", content)
    }

    pub(super) fn stale_delta(content: Value) -> Publication {
        Publication::new(ShadowKind::StaleDelta, "update/delta", content)
    }

    pub(super) fn documents(content: Value) -> Publication {
        Publication::new(ShadowKind::Documents, "update/documents", content)
    }

    fn new(kind: ShadowKind, end: impl Into<String>, content: Value) -> Publication {
        Publication {
            kind,
            end: end.into(),
            payload: content.to_string().into_bytes(),
            content,
        }
    }

    /// This answer, garbled.
    pub(super) fn garbled(self, operation: ShadowOperation, garbage: Garbage) -> Publication {
        let payload = match garbage {
            Garbage::NotJson => self.payload[..self.payload.len() / 2].to_vec(),
            Garbage::MembersMissing => {
                let token = self.content.get("clientToken");
                let rest = token.map_or(json!({}), |token| json!({ "clientToken": token }));
                rest.to_string().into_bytes()
            }
            Garbage::WrongTypes => self.with("version", json!("7")).with_odd_members(),
            Garbage::OtherToken => self.with("clientToken", json!("somebody-else")).payload,
            Garbage::NoToken => self.without("clientToken"),
        };
        Publication {
            kind: ShadowKind::Garbled(operation),
            end: self.end,
            content: serde_json::from_slice(&payload).unwrap_or_default(),
            payload,
        }
    }

    fn with_odd_members(self) -> Vec<u8> {
        let odd = self.with("timestamp", json!("now"));
        let odd = odd.with("state", json!([1])).with("metadata", json!(7));
        odd.with("code", json!({}))
            .with("message", json!(0))
            .payload
    }

    fn with(&self, member: &str, value: Value) -> Publication {
        let mut content = self.content.clone();
        content[member] = value;
        Publication::new(self.kind, self.end.clone(), content)
    }

    fn without(&self, member: &str) -> Vec<u8> {
        let mut content = self.content.clone();
        content
            .as_object_mut()
            .map(|members| members.remove(member));
        content.to_string().into_bytes()
    }
}

/// A generator of pseudo-random numbers: the same seed gives the same numbers.
pub(super) struct SeededRandom(u64);

impl SeededRandom {
    /// For the update that led to this version.
    pub(super) fn new(seed: u64, version: u64) -> SeededRandom {
        SeededRandom(seed ^ version.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// A number below `limit`; 0 if `limit` is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 33) as usize % limit.max(1)
    }

    /// The publications in random order, each possibly twice.
    pub(super) fn shuffle(&mut self, publications: Vec<Publication>) -> Vec<Publication> {
        let mut shuffled = Vec::new();
        for publication in publications {
            if self.below(2) == 1 {
                shuffled.insert(self.below(shuffled.len() + 1), publication.clone());
            }
            shuffled.insert(self.below(shuffled.len() + 1), publication);
        }
        shuffled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn garbage_is_what_it_says() {
        let check = |garbage: Garbage, payload: &str| {
            let content = json!({ "clientToken": "t", "version": 3 });
            let answer = Publication::accepted(ShadowOperation::Get, content);
            let garbled = answer.garbled(ShadowOperation::Get, garbage);
            assert_eq!(String::from_utf8_lossy(&garbled.payload), payload);
            assert_eq!(garbled.end, "get/accepted");
        };
        check(Garbage::NotJson, r#"{"clientToken":"#);
        check(Garbage::MembersMissing, r#"{"clientToken":"t"}"#);
        check(
            Garbage::OtherToken,
            r#"{"clientToken":"somebody-else","version":3}"#,
        );
        check(Garbage::NoToken, r#"{"version":3}"#);
    }

    #[test]
    fn no_member_of_wrong_types_is_right() {
        let answer = Publication::accepted(ShadowOperation::Get, json!({ "clientToken": "t" }));
        let content = answer
            .garbled(ShadowOperation::Get, Garbage::WrongTypes)
            .content;
        assert_eq!(content["clientToken"], "t", "its request still finds it");
        assert!(content["version"].is_string() && content["timestamp"].is_string());
        assert!(content["state"].is_array() && content["metadata"].is_number());
        assert!(content["code"].is_object() && content["message"].is_number());
    }

    fn order(seed: u64, version: u64) -> Vec<u64> {
        let publications = (0..3).map(|n| Publication::delta(json!(n))).collect();
        let shuffled = SeededRandom::new(seed, version).shuffle(publications);
        let numbers = shuffled
            .iter()
            .map(|publication| publication.content.as_u64());
        numbers.map(|number| number.expect("a number")).collect()
    }

    #[test]
    fn shuffling_depends_on_seed_and_version_alone() {
        assert_eq!(order(1, 1), order(1, 1));
        let orders: BTreeSet<Vec<u64>> = (0..10_000).map(|version| order(1, version)).collect();
        // Each of 3 comes once or twice: 6 orders of three, 3 * 12 of four, 3 * 30 of five, 90 of six.
        assert_eq!(orders.len(), 222, "every order comes up");
        assert!((0..100).any(|seed| order(seed, 1) != order(1, 1)));
    }
}
