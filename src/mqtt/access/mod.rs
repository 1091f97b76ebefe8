//! How the broker learns who we are, and what MQTT runs on.

mod authorizer;
mod cache;
mod kinds;
mod login;
mod options;
mod proof;
mod provider;
mod refusals;
mod secrets;
mod signer;
mod upgrade;

pub use kinds::{Access, WITH_AUTHORIZER, WITH_WEBSOCKET, WebSocketIdentity, certificate_alpn};
pub use login::Login;
pub use options::{
    AccessOptions, AuthorizerOptions, KeySource, ProviderOptions, SigningOptions, TokenOptions,
};
pub use signer::Signer;
pub(super) use upgrade::upgrade;
