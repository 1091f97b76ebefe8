//! A key that is made in a token, and the request to certify it, which the token signs.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use chariotd_pkcs11::scheme::Scheme;
use chariotd_pkcs11::{Identity, KeyError, KeyKind, KeyUri, Keys, Problem, der};
use log::{info, warn};
use rcgen::{PublicKeyData, SigningKey};

use super::keys::{DeviceKey, KeyType, request};
use super::{Provisioning, ProvisioningError};
use crate::offload;

const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(128);
/// The label of keys where the address has none.
const LABEL: &str = "chariotd";

impl Provisioning {
    /// The key for the next certificate, where a token is to have it. A token that is absent or takes no PIN is
    /// waited for: a new process would show it the same PIN again.
    pub(super) async fn token_key(&self) -> Result<Option<DeviceKey>, ProvisioningError> {
        let (Some(kind), Some(place)) = (self.settings.own_key, &self.settings.key_uri) else {
            return Ok(None);
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let (uri, keys) = (
                self.address(place, kind)?,
                self.keyring.keys().map_err(anyhow::Error::msg)?,
            );
            let name = self.connection.client_id.clone();
            let shown = uri.key_name();
            let made = offload::run(move || make(&*keys, &uri, kind, &name)).await;
            match made.context("cannot make a key")? {
                Ok(key) => {
                    info!("the token has the key with {shown}");
                    return Ok(Some(key));
                }
                Err(error) if passes(error.problem) => warn!(
                    "the token makes no key: {error}; next attempt in {} s",
                    pause.as_secs()
                ),
                Err(error) => return Err(ProvisioningError::Other(error.into())),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// That of an earlier attempt, as long as it has no certificate: a token has room for few keys.
    fn address(&self, place: &KeyUri, kind: KeyType) -> anyhow::Result<KeyUri> {
        let word = match kind {
            KeyType::EcP256 => "ec",
            KeyType::Rsa2048 => "rsa",
        };
        let label = format!("{}-{word}-", place.object.as_deref().unwrap_or(LABEL));
        let fits = |uri: &KeyUri| {
            let here = uri.with_key("", &[]) == place.with_key("", &[]);
            here && uri.object.as_ref().is_some_and(|it| it.starts_with(&label))
        };
        if let Some(uri) = self.store.new_key().filter(fits) {
            return Ok(uri);
        }
        let id = fastrand::u64(..).to_be_bytes();
        let uri = place.with_key(&format!("{label}{:016x}", u64::from_be_bytes(id)), &id);
        self.store.remember_new_key(&uri)?;
        Ok(uri)
    }
}

fn passes(problem: Problem) -> bool {
    match problem {
        Problem::Pin | Problem::Locked => true,
        Problem::Absent | Problem::Token | Problem::Helper => true,
        Problem::Setting | Problem::Key => false,
    }
}

fn make(keys: &dyn Keys, uri: &KeyUri, kind: KeyType, name: &str) -> Result<DeviceKey, KeyError> {
    let made = match kind {
        KeyType::EcP256 => KeyKind::EcP256,
        KeyType::Rsa2048 => KeyKind::Rsa2048,
    };
    let key = InToken {
        keys,
        uri,
        kind,
        identity: keys.make(uri, made)?,
        failed: Mutex::new(None),
    };
    let request = request(&key, name).map_err(|error| key.failure(error))?;
    Ok(DeviceKey {
        private_key: format!("{uri}\n"),
        request,
    })
}

/// What signs the request.
struct InToken<'a> {
    keys: &'a dyn Keys,
    uri: &'a KeyUri,
    kind: KeyType,
    identity: Identity,
    /// Why it did not.
    failed: Mutex<Option<KeyError>>,
}

impl InToken<'_> {
    fn failure(&self, error: anyhow::Error) -> KeyError {
        let failed = self.failed.lock().ok().and_then(|mut failed| failed.take());
        failed.unwrap_or_else(|| KeyError::new(Problem::Key, format!("{error:#}")))
    }
}

impl PublicKeyData for InToken<'_> {
    fn der_bytes(&self) -> &[u8] {
        der::key_bits(&self.identity.public_key).unwrap_or_default()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.kind {
            KeyType::EcP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyType::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for InToken<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let scheme = match self.kind {
            KeyType::EcP256 => Scheme::EcdsaP256Sha256,
            KeyType::Rsa2048 => Scheme::RsaPkcs1Sha256,
        };
        let signed = self
            .keys
            .sign(self.uri, scheme.number(), &scheme.digest(message));
        signed.map_err(|error| {
            if let Ok(mut failed) = self.failed.lock() {
                *failed = Some(error);
            }
            rcgen::Error::RemoteKeyError
        })
    }
}
