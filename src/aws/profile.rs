//! Pure: access keys in a file of AWS's own format, as its tools write it.

use super::keys::AccessKeys;
use crate::date::iso_8601;
use crate::text::shortened;

/// Names of profiles in an error.
const MOST_NAMES: usize = 5;
const LONGEST_NAME: usize = 40;

/// The keys of one profile. A name that is given twice counts as it is given last.
///
/// # Errors
/// What is missing or wrong, without any value.
pub fn keys(text: &str, profile: &str) -> Result<AccessKeys, String> {
    let settings = settings(text, profile)?;
    let value = |wanted: &[&str]| {
        let found = settings.iter().rev();
        let mut found = found.filter(|(name, _)| wanted.contains(&name.as_str()));
        found.next().map(|(_, value)| *value)
    };
    let mandatory =
        |name: &str| value(&[name]).ok_or_else(|| format!("profile '{profile}' has no {name}"));
    let expiration = value(&[
        "aws_credential_expiration",
        "x_security_token_expires",
        "expiration",
    ]);
    AccessKeys::new(
        mandatory("aws_access_key_id")?,
        mandatory("aws_secret_access_key")?,
        value(&["aws_session_token", "aws_security_token"]),
        expiration.and_then(iso_8601),
    )
    .map_err(|why| format!("profile '{profile}': {why}"))
}

/// Names, in small letters, and values of a profile.
fn settings<'a>(text: &'a str, profile: &str) -> Result<Vec<(String, &'a str)>, String> {
    let mut names: Vec<&str> = Vec::new();
    let mut settings = Vec::new();
    let mut ours = false;
    for line in text.lines().map(without_comment) {
        if let Some(name) = section(line) {
            ours = name == profile;
            names.push(name);
        } else if ours && let Some((name, value)) = line.split_once('=') {
            settings.push((name.trim().to_ascii_lowercase(), value.trim()));
        }
    }
    if names.contains(&profile) {
        Ok(settings)
    } else {
        Err(unknown(profile, &names))
    }
}

/// A comment begins at the first column, or behind white space, which no value holds.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return "";
    }
    let end = [" #", " ;", "\t#", "\t;"]
        .iter()
        .filter_map(|mark| line.find(mark))
        .min();
    line[..end.unwrap_or(line.len())].trim_end()
}

/// `[name]`, and `[profile name]` as in AWS's other file.
fn section(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?.trim();
    let named = name.strip_prefix("profile").map(str::trim_start);
    Some(
        named
            .filter(|rest| rest.len() + 7 < name.len())
            .unwrap_or(name),
    )
}

fn unknown(profile: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return format!("holds no profile, write [{profile}] before the keys");
    }
    let shown = names.iter().take(MOST_NAMES);
    let shown: Vec<_> = shown
        .map(|name| format!("'{}'", shortened(name, LONGEST_NAME).escape_debug()))
        .collect();
    format!("holds no profile '{profile}', it has {}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# made by hand\r\n\
[default]\r\n\
aws_access_key_id = AKIDEXAMPLE ; the old one\r\n\
AWS_SECRET_ACCESS_KEY=wJalr/K7+MDENG=\r\n\
region = eu-west-1\n\
[profile  plant]\n\
aws_access_key_id=ASIA\n\
; aws_access_key_id=NO\n\
aws_secret_access_key = s\n\
aws_session_token = AQoD/+==\n\
aws_credential_expiration = 2026-09-22T10:00:00Z\n\
[empty]\n\
[default]\n\
aws_access_key_id = AKIDEXAMPLE2\n";

    #[test]
    fn a_profile_is_read_as_tools_write_it() {
        let keys = keys(FILE, "default").unwrap();
        assert_eq!(keys.id, "AKIDEXAMPLE2");
        assert_eq!(keys.secret, "wJalr/K7+MDENG=");
        assert_eq!((keys.session_token, keys.expiration), (None, None));
        let keys = super::keys(FILE, "plant").unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str()), ("ASIA", "s"));
        assert_eq!(keys.session_token.as_deref(), Some("AQoD/+=="));
        assert!(keys.expiration.is_some());
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, profile, words) in [
            ("", "default", "holds no profile, write [default]"),
            ("aws_access_key_id=AKID\n", "default", "holds no profile"),
            (
                FILE,
                "other",
                "no profile 'other', it has 'default', 'plant', 'empty', 'default'",
            ),
            (FILE, "empty", "profile 'empty' has no aws_access_key_id"),
            (
                "[a]\naws_access_key_id=AKID",
                "a",
                "profile 'a' has no aws_secret_access_key",
            ),
            (
                "[a]\naws_access_key_id=AKID\naws_secret_access_key=\"hush\"",
                "a",
                "profile 'a': the secret access key has a character",
            ),
            (
                "[profile]\n[profile x]\n[profiles]",
                "y",
                "'profile', 'x', 'profiles'",
            ),
        ] {
            let why = keys(text, profile).unwrap_err();
            assert!(why.contains(words) && !why.contains("hush"), "{why}");
        }
    }
}
