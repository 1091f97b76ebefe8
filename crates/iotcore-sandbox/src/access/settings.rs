//! The settings of a sandbox for access keys, authorisers and the credential provider.

use super::{AccessKey, Authorizer, RoleAlias};
use crate::builder::Builder;

/// What a sandbox starts with.
pub(crate) struct AccessSettings {
    pub region: String,
    pub keys: Vec<AccessKey>,
    pub authorizers: Vec<Authorizer>,
    /// The first one of a name counts.
    pub roles: Vec<RoleAlias>,
    pub clock_skew: i64,
}

impl Default for AccessSettings {
    fn default() -> AccessSettings {
        AccessSettings {
            region: "eu-west-1".to_owned(),
            keys: Vec::new(),
            authorizers: Vec::new(),
            roles: vec![RoleAlias::default()],
            clock_skew: 0,
        }
    }
}

impl Builder {
    /// Adds an access key, with which clients may sign their upgrade to WebSocket. A temporary one has a session token.
    pub fn access_key(mut self, id: &str, secret: &str, session_token: Option<&str>) -> Builder {
        self.access
            .keys
            .push(AccessKey::new(id, secret, session_token));
        self
    }

    /// The region for which upgrades must be signed. Default: `eu-west-1`.
    pub fn region(mut self, region: &str) -> Builder {
        region.clone_into(&mut self.access.region);
        self
    }

    /// Adds a custom authoriser.
    pub fn authorizer(mut self, authorizer: Authorizer) -> Builder {
        self.access.authorizers.push(authorizer);
        self
    }

    /// Adds a role alias of the credential provider, or replaces the one of the same name. The default one, `device`,
    /// always exists.
    pub fn role_alias(mut self, role: RoleAlias) -> Builder {
        self.access.roles.insert(0, role);
        self
    }

    /// How many seconds the clock that checks signatures and writes `Date` is ahead of this machine's; behind it, if
    /// negative. See also [`Sandbox::clock_skew`](crate::Sandbox::clock_skew).
    pub fn clock_skew(mut self, seconds: i64) -> Builder {
        self.access.clock_skew = seconds;
        self
    }
}
