//! Who may connect: how a client proves who it is, and which access keys and authorisers there are.

mod authorizer;
mod authorizers;
mod call;
pub(crate) mod date;
pub mod example;
mod handle;
mod keys;
pub(crate) mod query;
mod role;
mod settings;
mod sigv4;
mod upgrade;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

pub use authorizer::Authorizer;
pub(crate) use authorizers::{Authorizers, Shown, split_username};
pub use call::{AuthorizerCall, Channel};
pub(crate) use keys::{AccessKey, AccessKeys};
pub use role::{CredentialFault, CredentialTrouble, RoleAlias};
pub(crate) use role::{CredentialFaults, alias, grant, thing};
pub(crate) use settings::AccessSettings;
pub(crate) use upgrade::{Accepted, consider};

/// What MQTT runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS.
    Tls,
    /// WebSocket over TLS.
    WebSocket,
}

/// How a client has proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its certificate, in the TLS handshake. Its identity is the certificate's id.
    Certificate,
    /// The signature of its upgrade request with an access key (SigV4). Its identity is the key's id, or the role alias
    /// of a temporary key.
    AccessKey,
    /// A custom authoriser has admitted it, and says which identity it has.
    Authorizer,
}

/// What is known of a client before its CONNECT.
pub(crate) struct Arrival {
    pub transport: Transport,
    pub standing: Standing,
}

/// Whether a client has proved who it is before its CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Proved {
        proof: Proof,
        identity: Arc<str>,
    },
    /// An authoriser decides about the CONNECT: the one that the upgrade request named, whose token is checked already, or
    /// the one that the CONNECT names.
    Undecided(Option<Arc<Authorizer>>),
}

/// Why a client is turned away, with the HTTP status that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub why: String,
    /// The authoriser that turns it away, if it is one.
    pub by: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, why: impl Into<String>) -> Refusal {
        let (why, by) = (why.into(), None);
        Refusal { status, why, by }
    }

    fn of(self, authorizer: &Authorizer) -> Refusal {
        let by = Some(authorizer.name().to_owned());
        Refusal { by, ..self }
    }

    /// Of the fault script.
    pub(crate) fn fault(status: u16) -> Refusal {
        Refusal::new(status, "refused by the fault script")
    }
}

/// The access keys and authorisers of the account, and its clock.
pub(crate) struct Access {
    pub region: String,
    pub authorizers: Authorizers,
    pub roles: Vec<RoleAlias>,
    keys: Mutex<AccessKeys>,
    credential_faults: Mutex<CredentialFaults>,
    /// Seconds that the clock for signatures is ahead of this machine's.
    skew: AtomicI64,
}

impl Access {
    pub(crate) fn new(settings: AccessSettings) -> Access {
        Access {
            region: settings.region,
            authorizers: Authorizers::new(settings.authorizers),
            roles: settings.roles,
            keys: Mutex::new(AccessKeys::new(settings.keys)),
            credential_faults: Mutex::default(),
            skew: settings.clock_skew.into(),
        }
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, AccessKeys> {
        self.keys
            .lock()
            .expect("no thread panics while it holds this lock")
    }

    pub(crate) fn credential_faults(&self) -> MutexGuard<'_, CredentialFaults> {
        self.credential_faults
            .lock()
            .expect("no thread panics while it holds this lock")
    }

    pub(crate) fn set_skew(&self, seconds: i64) {
        self.skew.store(seconds, Ordering::Relaxed);
    }

    /// The time in the cloud, in seconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        let here = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
        here.as_secs()
            .saturating_add_signed(self.skew.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transport::Tls => write!(f, "TLS"),
            Transport::WebSocket => write!(f, "WebSocket"),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Certificate => write!(f, "certificate"),
            Proof::AccessKey => write!(f, "access key"),
            Proof::Authorizer => write!(f, "authoriser"),
        }
    }
}
