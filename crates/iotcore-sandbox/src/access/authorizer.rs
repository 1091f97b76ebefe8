//! Pure: custom authorisers: what they expect of a client, and whether a client has it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Refusal, Shown};

pub(super) const SIGNATURE: &str = "x-amz-customauthorizer-signature";

/// A custom authoriser: it stands for AWS's authoriser and for the Lambda function behind it. A new one has no
/// signing and admits every client.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorizer {
    name: String,
    token_key: String,
    token: Option<String>,
    /// PKCS #1, DER.
    public_key: Option<Vec<u8>>,
    username: Option<String>,
    password: Option<Vec<u8>>,
    identity: Arc<str>,
    is_default: bool,
    disconnect_after: Option<Duration>,
}

impl Authorizer {
    pub fn new(name: &str) -> Authorizer {
        Authorizer {
            name: name.to_owned(),
            token_key: "token".to_owned(),
            token: None,
            public_key: None,
            username: None,
            password: None,
            identity: name.into(),
            is_default: false,
            disconnect_after: None,
        }
    }

    /// The name of the header or parameter with the token. Default: `token`.
    pub fn token_key(mut self, name: &str) -> Authorizer {
        self.token_key = name.to_owned();
        self
    }

    /// The token that clients must show. Default: any, and with signing any that is signed.
    pub fn token(mut self, token: &str) -> Authorizer {
        self.token = Some(token.to_owned());
        self
    }

    /// Requires that the token is signed, RSA with SHA-256 in PKCS #1 v1.5, with the private key of this public one,
    /// which is PEM (`BEGIN PUBLIC KEY`) and has at least 2048 bits.
    pub fn signed_by(mut self, public_key: &str) -> anyhow::Result<Authorizer> {
        let what = || anyhow!("no RSA public key as PEM (BEGIN PUBLIC KEY)");
        let pem = pem::parse(public_key).with_context(what)?;
        let (_, info) = SubjectPublicKeyInfo::from_der(pem.contents()).map_err(|_| what())?;
        info.parsed()
            .map_err(|_| what())
            .and_then(|key| match key {
                x509_parser::public_key::PublicKey::RSA(_) => Ok(()),
                _ => Err(what()),
            })?;
        self.public_key = Some(info.subject_public_key.data.into_owned());
        Ok(self)
    }

    /// The user name that clients must have: their CONNECT's up to a question mark. Default: any.
    pub fn username(mut self, username: &str) -> Authorizer {
        self.username = Some(username.to_owned());
        self
    }

    /// The password that the CONNECT must have. Default: any, or none.
    pub fn password(mut self, password: impl Into<Vec<u8>>) -> Authorizer {
        self.password = Some(password.into());
        self
    }

    /// The identity of clients that it admits, for policies; AWS's `principalId`. Default: the authoriser's name.
    pub fn identity(mut self, identity: &str) -> Authorizer {
        self.identity = identity.into();
        self
    }

    /// Makes it the endpoint's default: it decides about clients that name no authoriser.
    pub fn by_default(mut self) -> Authorizer {
        self.is_default = true;
        self
    }

    /// Ends the connections that it admits this long after their CONNECT, on the cloud's clock; AWS's
    /// `disconnectAfterInSeconds`. Default: never.
    pub fn disconnect_after(mut self, time: Duration) -> Authorizer {
        self.disconnect_after = Some(time);
        self
    }

    pub(crate) fn connection_lifetime(&self) -> Option<Duration> {
        self.disconnect_after
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn admits_as(&self) -> Arc<str> {
        Arc::clone(&self.identity)
    }

    pub(super) fn is_default(&self) -> bool {
        self.is_default
    }

    /// The name of the parameter with the token.
    pub(super) fn key(&self) -> &str {
        &self.token_key
    }

    /// Whether the token and its signature are as expected.
    pub(super) fn check_token(&self, shown: &Shown) -> Result<(), Refusal> {
        let token = shown.find(&self.token_key);
        if let Some(public_key) = &self.public_key {
            let token = token.ok_or_else(|| missing(&self.token_key))?;
            let signature = shown.find(SIGNATURE).ok_or_else(|| missing(SIGNATURE))?;
            let wrong = || Refusal::new(401, "the signature of the token is wrong");
            let signature = STANDARD.decode(signature).map_err(|_| wrong())?;
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key);
            let verified = key.verify(token.as_bytes(), &signature);
            verified.map_err(|_| wrong())?;
        }
        match (&self.token, token) {
            (Some(_), None) => Err(missing(&self.token_key)),
            (Some(expected), Some(token)) if expected != token => {
                Err(Refusal::new(401, "the token is wrong"))
            }
            _ => Ok(()),
        }
    }

    /// Whether user name and password of a CONNECT are as expected.
    pub(crate) fn check_login(
        &self,
        username: Option<&str>,
        password: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        let user = self.username.as_deref();
        if user.is_some_and(|expected| username != Some(expected)) {
            return Err(Refusal::new(401, "the user name is wrong").of(self));
        }
        let secret = self.password.as_deref();
        if secret.is_some_and(|expected| password != Some(expected)) {
            return Err(Refusal::new(401, "the password is wrong").of(self));
        }
        Ok(())
    }
}

/// Without token and password.
impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("name", &self.name)
            .field("token_key", &self.token_key)
            .finish_non_exhaustive()
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::new(401, format!("{name} is missing"))
}
