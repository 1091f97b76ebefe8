//! Pure: the credential provider of AWS IoT, which gives access keys for a device's certificate.

use serde::Deserialize;

use super::keys::AccessKeys;
use crate::date::iso_8601;

/// What is asked for the credentials of a role alias.
pub fn path(role_alias: &str) -> String {
    format!(
        "/role-aliases/{}/credentials",
        super::encode::percent(role_alias)
    )
}

#[derive(Deserialize)]
struct ProviderAnswer {
    credentials: ProvidedKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProvidedKeys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

/// The keys in an answer.
///
/// # Errors
/// What it lacks, without anything of it.
pub fn credentials(body: &[u8]) -> Result<AccessKeys, String> {
    // No error of the parser: it may show a key.
    let answer: ProviderAnswer = serde_json::from_slice(body).map_err(|_| {
        "holds no credentials with accessKeyId, secretAccessKey, sessionToken and expiration"
            .to_owned()
    })?;
    let given = answer.credentials;
    let expiration = iso_8601(&given.expiration).ok_or("has an expiration that is no date")?;
    AccessKeys::new(
        &given.access_key_id,
        &given.secret_access_key,
        Some(&given.session_token),
        Some(expiration),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_keys_with_their_end() {
        let body = br#"{"credentials":{"accessKeyId":"ASIA1","secretAccessKey":"s","sessionToken":"t/+=","expiration":"2026-09-22T10:00:00Z","new":1}}"#;
        let keys = credentials(body).unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str()), ("ASIA1", "s"));
        assert_eq!(keys.session_token.as_deref(), Some("t/+="));
        assert_eq!(keys.expiration, iso_8601("2026-09-22T10:00:00Z"));
    }

    #[test]
    fn an_answer_without_keys_is_named_without_its_contents() {
        for body in [
            &b""[..],
            b"hush",
            b"{}",
            br#"{"credentials":{"accessKeyId":"hush"}}"#,
            br#"{"credentials":{"accessKeyId":"A","secretAccessKey":"hush","sessionToken":"t","expiration":"soon"}}"#,
            br#"{"credentials":{"accessKeyId":"A\r\n","secretAccessKey":"hush","sessionToken":"t","expiration":"2026-09-22T10:00:00Z"}}"#,
        ] {
            let why = credentials(body).unwrap_err();
            assert!(!why.contains("hush"), "{why}");
        }
    }

    #[test]
    fn a_role_alias_is_one_part_of_the_path() {
        assert_eq!(path("a/b=c"), "/role-aliases/a%2Fb%3Dc/credentials");
    }
}
