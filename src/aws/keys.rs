//! Pure: access keys of AWS, for a while or for ever. Never shown but for the part that is no secret.

use std::fmt;
use std::time::SystemTime;

/// Longer ones are none.
const LONGEST_ID: usize = 128;
const LONGEST_SECRET: usize = 256;
const LONGEST_TOKEN: usize = 16 * 1024;

/// What a request is signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKeys {
    pub id: String,
    pub secret: String,
    pub session_token: Option<String>,
    /// From when on they are refused, as far as that is known.
    pub expiration: Option<SystemTime>,
}

impl AccessKeys {
    /// # Errors
    /// Which of them cannot be right, in words without its value.
    pub fn new(
        id: &str,
        secret: &str,
        session_token: Option<&str>,
        expiration: Option<SystemTime>,
    ) -> Result<AccessKeys, String> {
        plausible("access key id", id, LONGEST_ID)?;
        plausible("secret access key", secret, LONGEST_SECRET)?;
        let session_token = session_token.filter(|token| !token.is_empty());
        if let Some(token) = session_token {
            plausible("session token", token, LONGEST_TOKEN)?;
        }
        Ok(AccessKeys {
            id: id.to_owned(),
            secret: secret.to_owned(),
            session_token: session_token.map(str::to_owned),
            expiration,
        })
    }

    /// When they ended, if that was before `now`.
    pub fn expired(&self, now: SystemTime) -> Option<SystemTime> {
        self.expiration.filter(|end| *end <= now)
    }
}

fn plausible(what: &str, text: &str, longest: usize) -> Result<(), String> {
    if text.is_empty() {
        Err(format!("the {what} is empty"))
    } else if text.len() > longest {
        Err(format!("the {what} is longer than {longest} bytes"))
    } else if text
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || b"'\"".contains(&byte))
    {
        Err(format!(
            "the {what} has a character that none has, write it without quotes and spaces"
        ))
    } else {
        Ok(())
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKeys({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_key_is_named_without_its_value() {
        for (id, secret, token, words) in [
            ("", "s", None, "access key id is empty"),
            ("AKID", "", None, "secret access key is empty"),
            (
                "AKID",
                "\"hush\"",
                None,
                "secret access key has a character",
            ),
            ("AK ID", "hush", None, "access key id has a character"),
            (
                "AKID",
                "hush",
                Some("a\nb"),
                "session token has a character",
            ),
        ] {
            let why = AccessKeys::new(id, secret, token, None).unwrap_err();
            assert!(why.contains(words) && !why.contains("hush"), "{why}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let keys = AccessKeys::new("AKID", "hush", Some("token"), None).unwrap();
        assert_eq!(format!("{keys:?}"), "AccessKeys(AKID)");
    }
}
