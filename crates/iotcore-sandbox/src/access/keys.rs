//! The access keys with which clients sign: of the account, and temporary ones.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::role::RoleAlias;
use crate::pki::{random_hex, write_private};

/// An access key of AWS.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AccessKey {
    pub id: String,
    pub secret: String,
    /// What a client with a temporary key shows besides.
    pub session_token: Option<String>,
    /// When it ends, in seconds since the epoch; `None` if never.
    pub ends: Option<u64>,
    /// For whom policies are made: the id, or the role of a temporary key.
    pub identity: Arc<str>,
}

impl AccessKey {
    /// One without an end, whose identity is its id.
    pub(crate) fn new(id: &str, secret: &str, session_token: Option<&str>) -> AccessKey {
        AccessKey {
            id: id.to_owned(),
            secret: secret.to_owned(),
            session_token: session_token.map(str::to_owned),
            ends: None,
            identity: id.into(),
        }
    }

    /// A new one for this role alias, from this time on. Its token has characters that must be encoded in a query.
    pub(crate) fn temporary(role: &RoleAlias, now: u64) -> anyhow::Result<AccessKey> {
        Ok(AccessKey {
            id: format!("ASIA{}", random_hex(8)?.to_uppercase()),
            secret: random_hex(20)?,
            session_token: Some(format!("IQoJb3JpZ2lu/+{}==", random_hex(200)?)),
            ends: Some(now + role.lifetime.as_secs()),
            identity: role.name.as_str().into(),
        })
    }

    /// The one in this file of AWS's format, or a new one, which is written there.
    pub(crate) fn kept(file: &Path) -> anyhow::Result<AccessKey> {
        if file.exists() {
            let text = std::fs::read_to_string(file);
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            let unusable = || anyhow!("{}: no access key, remove the file", file.display());
            return AccessKey::read(&text).ok_or_else(unusable);
        }
        let id = format!("AKIA{}", random_hex(8)?.to_uppercase());
        let key = AccessKey::new(&id, &random_hex(20)?, None);
        let secret = &key.secret;
        let text =
            format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        write_private(file, &text)?;
        Ok(key)
    }

    /// Of all profiles together, the last values count.
    fn read(text: &str) -> Option<AccessKey> {
        let value = |name: &str| {
            let settings = text.lines().filter_map(|line| line.split_once('='));
            let mut values = settings.filter(|(key, _)| key.trim() == name);
            values.next_back().map(|(_, value)| value.trim())
        };
        let (id, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
        Some(AccessKey::new(id, secret, value("aws_session_token")))
    }
}

/// The keys of the account by their ids.
pub(crate) struct AccessKeys(HashMap<String, AccessKey>);

impl AccessKeys {
    pub(crate) fn new(keys: Vec<AccessKey>) -> AccessKeys {
        AccessKeys(keys.into_iter().map(|key| (key.id.clone(), key)).collect())
    }

    pub(crate) fn add(&mut self, key: AccessKey) {
        self.0.insert(key.id.clone(), key);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    pub(crate) fn find(&self, id: &str) -> Option<&AccessKey> {
        self.0.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_in_a_file_of_awss_format() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("aws-credentials");
        let made = AccessKey::kept(&file).unwrap();
        assert!(AccessKey::kept(&file).unwrap() == made);

        let own = "# mine\n[default]\naws_access_key_id=A\n aws_secret_access_key = s=\naws_session_token = t\n";
        std::fs::write(&file, own).unwrap();
        assert!(AccessKey::kept(&file).unwrap() == AccessKey::new("A", "s=", Some("t")));

        std::fs::write(&file, "[default]\naws_access_key_id=A\n").unwrap();
        let error = AccessKey::kept(&file).map(|key| key.id).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("no access key, remove the file")
        );
    }
}
