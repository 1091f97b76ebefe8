//! Pure: what a program that connects to AWS by itself finds in its environment about proxies.

use std::fmt;

use super::options::ProxyChoice;
use super::url::{ProxyScheme, ProxyUrl};

/// Those that may name a proxy.
const ALL: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// Those that AWS's local proxy reads; of both the first counts there.
const FOR_HTTPS: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];

/// Variables with their values; those without one are removed. They hold a password, and do not show
/// themselves.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables(Vec<(&'static str, Option<String>)>);

impl ProxyVariables {
    /// What differs from our own environment, when this proxy is used because of `choice`.
    pub fn new(choice: &ProxyChoice, proxy: Option<&ProxyUrl>) -> ProxyVariables {
        ProxyVariables(match (choice, proxy) {
            (ProxyChoice::Direct, _) => ALL.map(|name| (name, None)).into(),
            (ProxyChoice::Given(_), Some(url)) if url.scheme != ProxyScheme::Socks5 => {
                let value = |name| (name, Some(url.revealed()));
                FOR_HTTPS.map(value).into()
            }
            (ProxyChoice::Given(_) | ProxyChoice::Environment, _) => Vec::new(),
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (*name, value.as_deref()))
    }
}

impl fmt::Debug for ProxyVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(choice: &ProxyChoice) -> ProxyVariables {
        let url = match choice {
            ProxyChoice::Given(url) => Some(url.clone()),
            ProxyChoice::Environment | ProxyChoice::Direct => None,
        };
        ProxyVariables::new(choice, url.as_ref())
    }

    #[test]
    fn an_option_replaces_what_the_environment_says_and_nothing_else_does() {
        let given = |url: &str| variables(&ProxyChoice::Given(url.parse().unwrap()));
        let http = given("http://dev:s3%20cr3t@p:1");
        let value = Some("http://dev:s3%20cr3t@p:1");
        let all: Vec<_> = http.iter().collect();
        assert_eq!(all, [("https_proxy", value), ("HTTPS_PROXY", value)]);
        assert!(!format!("{http:?}").contains("cr3t"), "{http:?}");
        assert_eq!(given("socks5://p:1"), ProxyVariables::default());
        assert_eq!(
            variables(&ProxyChoice::Environment),
            ProxyVariables::default()
        );
        let direct = variables(&ProxyChoice::Direct);
        assert_eq!(
            direct.iter().filter(|(_, value)| value.is_none()).count(),
            4
        );
    }
}
