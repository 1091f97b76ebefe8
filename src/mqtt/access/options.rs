//! Pure: what the options say about an access without a certificate in the handshake with the broker.

use std::path::PathBuf;

use crate::aws::{self, AccessKeys};
use crate::identity::Endpoint;

/// How the broker learns who we are, when it is not by our certificate.
#[derive(Clone, Debug)]
pub enum AccessOptions {
    /// MQTT directly on TLS.
    Authorizer(AuthorizerOptions),
    /// MQTT in a WebSocket, judged by a custom authoriser.
    WebSocketAuthorizer(AuthorizerOptions),
    /// MQTT in a WebSocket that access keys ask for.
    WebSocketSigned(SigningOptions),
}

/// What a custom authoriser is told. Files are read anew for each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizerOptions {
    /// `None`: the endpoint's default authoriser.
    pub name: Option<String>,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    pub token: Option<TokenOptions>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// The name under which the authoriser expects the token.
    pub key: String,
    pub file: PathBuf,
    /// Its signature in base64, for an authoriser that checks signatures.
    pub signature_file: Option<PathBuf>,
}

/// What requests are signed with.
#[derive(Clone, Debug)]
pub struct SigningOptions {
    pub keys: KeySource,
    /// By option.
    pub region: Option<String>,
    /// By a variable of the environment, where nothing else tells it.
    pub default_region: Option<String>,
}

/// Where access keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A file in AWS's format, read anew for each connection.
    File {
        file: PathBuf,
        profile: String,
    },
    /// The environment, which does not change.
    Environment(AccessKeys),
    Provider(ProviderOptions),
}

/// The credential provider of AWS IoT, which gives keys for our certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderOptions {
    pub endpoint: Endpoint,
    pub role_alias: String,
    pub thing: String,
}

impl AccessOptions {
    /// Whether a certificate is needed all the same.
    pub fn needs_certificate(&self) -> bool {
        match self {
            AccessOptions::WebSocketSigned(signing) => {
                matches!(signing.keys, KeySource::Provider(_))
            }
            AccessOptions::Authorizer(_) | AccessOptions::WebSocketAuthorizer(_) => false,
        }
    }
}

impl SigningOptions {
    /// The region that requests to `host` are signed for. Its name tells it best: no other is right.
    pub fn region(&self, host: &str) -> Option<String> {
        self.region
            .clone()
            .or_else(|| aws::region_of_endpoint(host))
            .or_else(|| self.default_region.clone())
    }
}

impl AuthorizerOptions {
    /// For a sentence.
    pub fn described(&self) -> String {
        match &self.name {
            Some(name) => format!("the authoriser '{name}'"),
            None => "the endpoint's default authoriser".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_told_by_the_option_then_the_name_then_the_environment() {
        let signing = |region: Option<&str>| SigningOptions {
            keys: KeySource::File {
                file: "/f".into(),
                profile: "default".into(),
            },
            region: region.map(str::to_owned),
            default_region: Some("us-east-1".into()),
        };
        let aws = "x-ats.iot.eu-west-1.amazonaws.com";
        for (option, host, expect) in [
            (Some("eu-north-1"), aws, "eu-north-1"),
            (None, aws, "eu-west-1"),
            (None, "iot.example.com", "us-east-1"),
        ] {
            assert_eq!(signing(option).region(host).as_deref(), Some(expect));
        }
    }
}
