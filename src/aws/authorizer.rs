//! Pure: what a custom authoriser is told, as the user name of CONNECT or as headers of a WebSocket.

use std::fmt;

use super::encode::percent;

const NAME: &str = "x-amz-customauthorizer-name";
const SIGNATURE: &str = "x-amz-customauthorizer-signature";

/// What the authoriser judges, as it is for one connection.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorizer {
    /// Without a name the endpoint's default authoriser is asked.
    pub name: Option<String>,
    pub username: Option<String>,
    pub token: Option<SignedToken>,
}

/// A token under the name that the authoriser expects, and its signature if that is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedToken {
    pub key: String,
    pub value: String,
    /// In base64.
    pub signature: Option<String>,
}

impl Authorizer {
    /// For MQTT without a WebSocket: everything is in the user name. `None`: there is nothing to tell.
    pub fn composed_username(&self) -> Option<String> {
        let query: Vec<_> = self
            .parameters()
            .into_iter()
            .map(|(name, value)| format!("{name}={}", percent(value)))
            .collect();
        let username = self.username.as_deref();
        if query.is_empty() {
            return username.map(str::to_owned);
        }
        let username = username.unwrap_or_default();
        Some(format!("{username}?{}", query.join("&")))
    }

    /// For the request of a WebSocket: names and values of headers. The user name stays in CONNECT.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        self.parameters()
    }

    fn parameters(&self) -> Vec<(&str, &str)> {
        let name = self.name.as_deref().map(|name| (NAME, name));
        let token = self.token.as_ref();
        let value = token.map(|token| (token.key.as_str(), token.value.as_str()));
        let signature = token.and_then(|token| token.signature.as_deref());
        let signature = signature.map(|signature| (SIGNATURE, signature));
        [name, value, signature].into_iter().flatten().collect()
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorizer({:?})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(authorizer: &Authorizer, username: Option<&str>, headers: &[(&str, &str)]) {
        assert_eq!(authorizer.composed_username().as_deref(), username);
        assert_eq!(authorizer.headers(), headers);
    }

    #[test]
    fn the_user_name_carries_what_the_authorizer_wants() {
        let mut authorizer = Authorizer {
            name: Some("Fleet".into()),
            username: Some("pump42".into()),
            token: Some(SignedToken {
                key: "tok".into(),
                value: "a b&c".into(),
                signature: Some("q/+w==".into()),
            }),
        };
        check(
            &authorizer,
            Some(
                "pump42?x-amz-customauthorizer-name=Fleet&tok=a%20b%26c&x-amz-customauthorizer-signature=q%2F%2Bw%3D%3D",
            ),
            &[(NAME, "Fleet"), ("tok", "a b&c"), (SIGNATURE, "q/+w==")],
        );
        authorizer.token = None;
        check(
            &authorizer,
            Some("pump42?x-amz-customauthorizer-name=Fleet"),
            &[(NAME, "Fleet")],
        );
        authorizer.username = None;
        let username = Some("?x-amz-customauthorizer-name=Fleet");
        check(&authorizer, username, &[(NAME, "Fleet")]);
    }

    #[test]
    fn the_default_authorizer_of_an_endpoint_needs_no_name() {
        let authorizer = Authorizer {
            username: Some("pump42".into()),
            ..Authorizer::default()
        };
        check(&authorizer, Some("pump42"), &[]);
        check(&Authorizer::default(), None, &[]);
    }

    #[test]
    fn debug_output_holds_no_token() {
        let authorizer = Authorizer {
            name: Some("Fleet".into()),
            username: Some("hush".into()),
            token: None,
        };
        assert_eq!(format!("{authorizer:?}"), "Authorizer(Some(\"Fleet\"))");
    }
}
