//! What a custom authoriser is told, read from the files of the options.

use super::login::Login;
use super::options::AuthorizerOptions;
use super::secrets;
use crate::aws::{Authorizer, SignedToken};
use crate::net::Ending;

/// Everything as it stands in the files now.
#[derive(Clone)]
pub struct Told {
    pub authorizer: Authorizer,
    password: Option<String>,
}

impl AuthorizerOptions {
    /// What is wrong with the files, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let password = self.password().map(drop);
        let token = self.token().map(drop);
        [password, token]
            .into_iter()
            .filter_map(Result::err)
            .collect()
    }

    pub(in crate::mqtt) async fn read(&self) -> Result<Told, Ending> {
        let options = self.clone();
        secrets::read(move || {
            Ok(Told {
                password: options.password()?,
                authorizer: Authorizer {
                    token: options.token()?,
                    name: options.name,
                    username: options.username,
                },
            })
        })
        .await
    }

    fn password(&self) -> Result<Option<String>, String> {
        let file = self.password_file.as_deref();
        file.map(|file| secrets::text("authorizer-password-file", file))
            .transpose()
    }

    fn token(&self) -> Result<Option<SignedToken>, String> {
        let Some(token) = &self.token else {
            return Ok(None);
        };
        let signature = token.signature_file.as_deref();
        let signature = signature.map(|file| secrets::word("authorizer-signature-file", file));
        Ok(Some(SignedToken {
            key: token.key.clone(),
            value: secrets::word("authorizer-token-file", &token.file)?,
            signature: signature.transpose()?,
        }))
    }
}

impl Told {
    /// For MQTT directly on TLS: the user name says everything.
    pub fn login(&self) -> Option<Login> {
        self.login_as(self.authorizer.composed_username())
    }

    /// For a WebSocket, whose request has said the rest.
    pub fn login_in_websocket(&self) -> Option<Login> {
        self.login_as(self.authorizer.username.clone())
    }

    fn login_as(&self, username: Option<String>) -> Option<Login> {
        if username.is_none() && self.password.is_none() {
            return None;
        }
        Some(Login {
            username: username.unwrap_or_default(),
            password: self.password.clone(),
        })
    }

    /// What is never to be logged.
    pub fn secrets(&self) -> Vec<String> {
        let token = self.authorizer.token.as_ref();
        let token = token.map(|token| [Some(token.value.clone()), token.signature.clone()]);
        let token = token.into_iter().flatten().flatten();
        token.chain(self.password.clone()).collect()
    }
}
