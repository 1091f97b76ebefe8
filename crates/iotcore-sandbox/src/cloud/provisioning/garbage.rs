//! Pure: garbled answers.

use serde_json::{Value, json};

/// What is published instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvisioningGarbage {
    /// The first half of the answer: not JSON.
    NotJson,
    /// An object without members.
    NoMembers,
    /// The answer without this member.
    Without(&'static str),
    /// The answer with this value for a member, such as a thing name that leads out of a directory.
    With(&'static str, Value),
    /// The answer with members of types that AWS never uses.
    WrongTypes,
    /// The first half of the certificate, so that its PEM does not end.
    CutCertificate,
    /// Valid PEM around something that is no certificate.
    NoCertificate,
    /// The first half of the private key.
    CutKey,
}

/// PEM labelled as a certificate.
const NO_CERTIFICATE: &str =
    "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";

impl ProvisioningGarbage {
    /// The payload that replaces this answer.
    pub(super) fn of(&self, answer: &Value) -> Vec<u8> {
        let mut garbled = answer.clone();
        let garbled = match self {
            ProvisioningGarbage::NotJson => {
                let whole = answer.to_string().into_bytes();
                return whole[..whole.len() / 2].to_vec();
            }
            ProvisioningGarbage::NoMembers => json!({}),
            ProvisioningGarbage::Without(member) => {
                garbled.as_object_mut().map(|all| all.remove(*member));
                garbled
            }
            ProvisioningGarbage::With(member, value) => {
                garbled[*member] = value.clone();
                garbled
            }
            ProvisioningGarbage::WrongTypes => odd(garbled),
            ProvisioningGarbage::CutCertificate => cut(garbled, "certificatePem"),
            ProvisioningGarbage::NoCertificate => {
                garbled["certificatePem"] = json!(NO_CERTIFICATE);
                garbled
            }
            ProvisioningGarbage::CutKey => cut(garbled, "privateKey"),
        };
        garbled.to_string().into_bytes()
    }
}

/// The answer with the first half of this text.
fn cut(mut answer: Value, member: &str) -> Value {
    let text = answer[member].as_str().unwrap_or_default();
    let half = text.get(..text.len() / 2).unwrap_or_default().to_owned();
    answer[member] = Value::String(half);
    answer
}

fn odd(mut answer: Value) -> Value {
    let members = answer.as_object_mut().into_iter().flatten();
    members.for_each(|(_, value)| {
        *value = match value {
            Value::String(_) => json!(7),
            Value::Object(_) => json!(["x"]),
            _ => json!("odd"),
        }
    });
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(garbage: ProvisioningGarbage, answer: Value, payload: &str) {
        let found = garbage.of(&answer);
        assert_eq!(String::from_utf8_lossy(&found), payload, "{garbage:?}");
    }

    #[test]
    fn garbage_is_what_it_says() {
        let answer = || json!({ "deviceConfiguration": { "a": "b" }, "thingName": "t" });
        check(
            ProvisioningGarbage::NotJson,
            answer(),
            r#"{"deviceConfiguration":{"#,
        );
        check(ProvisioningGarbage::NoMembers, answer(), "{}");
        check(
            ProvisioningGarbage::Without("deviceConfiguration"),
            answer(),
            r#"{"thingName":"t"}"#,
        );
        check(
            ProvisioningGarbage::With("thingName", json!("../t")),
            answer(),
            r#"{"deviceConfiguration":{"a":"b"},"thingName":"../t"}"#,
        );
        check(
            ProvisioningGarbage::WrongTypes,
            answer(),
            r#"{"deviceConfiguration":["x"],"thingName":7}"#,
        );
        check(
            ProvisioningGarbage::WrongTypes,
            json!({ "statusCode": 400 }),
            r#"{"statusCode":"odd"}"#,
        );
    }

    #[test]
    fn certificates_and_keys_are_cut() {
        let answer = || json!({ "certificatePem": "certificate", "privateKey": "secret" });
        check(
            ProvisioningGarbage::CutCertificate,
            answer(),
            r#"{"certificatePem":"certi","privateKey":"secret"}"#,
        );
        check(
            ProvisioningGarbage::CutKey,
            answer(),
            r#"{"certificatePem":"certificate","privateKey":"sec"}"#,
        );
        let garbled = ProvisioningGarbage::NoCertificate.of(&answer());
        let garbled: Value = serde_json::from_slice(&garbled).unwrap();
        let text = garbled["certificatePem"].as_str().unwrap();
        assert_eq!(pem::parse(text).unwrap().contents(), b"no certificate");
    }
}
