//! The access keys with which clients sign: of the account, and temporary ones.

use std::collections::HashMap;
use std::sync::Arc;

use super::role::RoleAlias;
use crate::pki::random_hex;

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
