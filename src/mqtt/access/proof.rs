//! What is told to get a WebSocket, as it stands for one connection.

use super::authorizer::Told;
use super::login::Login;
use crate::aws::AccessKeys;

/// Who asks for a WebSocket.
pub enum Proof {
    Signature { keys: AccessKeys, region: String },
    Authorizer(Told),
}

impl Proof {
    /// What CONNECT says besides.
    pub fn login(&self) -> Option<Login> {
        match self {
            Proof::Signature { .. } => None,
            Proof::Authorizer(told) => told.login_in_websocket(),
        }
    }

    /// What is never to be logged, although an answer may repeat it.
    pub fn secrets(&self) -> Vec<String> {
        match self {
            Proof::Signature { keys, .. } => {
                let token = keys.session_token.clone();
                token.into_iter().chain([keys.secret.clone()]).collect()
            }
            Proof::Authorizer(told) => told.secrets(),
        }
    }
}
