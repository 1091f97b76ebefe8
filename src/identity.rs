//! Pure: who we are to the cloud and where it is. What the certificate store gives and the connection takes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use chariotd_pkcs11::{KeyUri, Keys};

/// The default port of MQTT over TLS.
pub const MQTTS: u16 = 8883;

/// The host and port of the broker, as in `endpoint.txt` or `--endpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    /// As [`Endpoint::read`], with the port of MQTT over TLS.
    fn from_str(text: &str) -> Result<Self, String> {
        Endpoint::read(text, MQTTS)
    }
}

impl Endpoint {
    /// Accepts `HOST` and `HOST:PORT` with white space around it; an IPv6 address goes in brackets.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(text: &str, default_port: u16) -> Result<Self, String> {
        let text = text.trim();
        if let Some(why) = pasted(text) {
            return Err(why);
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, rest.strip_prefix(':').or(Some(""))),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() {
            return Err("no host name, write HOST or HOST:PORT".into());
        }
        if let Some(bad) = host
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || "-._:".contains(*c)))
        {
            return Err(format!(
                "host name {host:?} contains {bad:?}, write HOST or HOST:PORT on one line"
            ));
        }
        let port = match port {
            None => default_port,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(format!("port {port:?} is not a number from 1 to 65535")),
            },
        };
        Ok(Endpoint {
            host: host.to_owned(),
            port,
        })
    }
}

/// What people paste from a browser, a console or another program: more than a host.
fn pasted(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before an '@' may be a password.
    let host = authority.rsplit('@').next().unwrap_or_default();
    if let Some(scheme) = scheme {
        return Some(format!(
            "holds an address with the scheme '{scheme}://', write HOST or HOST:PORT alone: {host}"
        ));
    }
    if host.len() < authority.len() {
        return Some(format!(
            "has a name or password before the host, which the address of a broker does not hold, write HOST or HOST:PORT alone: {host}"
        ));
    }
    if authority.len() < rest.len() {
        let path = &rest[authority.len()..];
        return Some(format!(
            "has '{path}' behind the host, write HOST or HOST:PORT alone: {host}"
        ));
    }
    let quoted = text.len() > 1 && (text.starts_with('"') || text.starts_with('{'));
    quoted.then(|| {
        "holds JSON, write HOST or HOST:PORT alone, without quotes (the value of \"endpointAddress\")"
            .to_owned()
    })
}

impl Endpoint {
    /// Whether it is one of AWS's own names. A custom domain of an account cannot be recognised.
    pub fn is_aws(&self) -> bool {
        let host = self.host.to_ascii_lowercase();
        [".amazonaws.com", ".amazonaws.com.cn"]
            .iter()
            .any(|domain| host.ends_with(domain))
    }
}

/// So that it is read as the same.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Who holds the keys in tokens: the helper, this process, or nobody. Cheap to clone; asks nobody by itself.
#[derive(Clone)]
pub struct Keyring(pub Option<Arc<dyn Keys>>);

impl Keyring {
    /// # Errors
    /// Nobody does, because this process cannot load modules, and what to do then.
    pub fn keys(&self) -> Result<Arc<dyn Keys>, &'static str> {
        self.0.clone().ok_or("this build cannot load the PKCS#11 modules of tokens: start the helper that is shipped beside it by --key-helper=/usr/bin/chariotd-pkcs11, or use a build with the feature pkcs11")
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

/// Where the key is.
#[derive(Clone)]
pub enum PrivateKey {
    /// PEM text. Secret.
    Pem(Vec<u8>),
    /// In a token, and who asks it.
    Token {
        uri: Box<KeyUri>,
        keys: Arc<dyn Keys>,
    },
}

/// A certificate as PEM text with its private key, and where each came from for error messages.
#[derive(Clone)]
pub struct Credentials {
    pub certificate: Vec<u8>,
    pub private_key: PrivateKey,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.certificate_file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(&str, u16), &str>) {
        match (text.parse::<Endpoint>(), expect) {
            (Ok(endpoint), Ok((host, port))) => {
                assert_eq!(
                    (endpoint.host.as_str(), endpoint.port),
                    (host, port),
                    "{text:?}"
                )
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{text:?}: {error}"),
            (got, _) => panic!("{text:?}: {got:?}"),
        }
    }

    #[test]
    fn an_endpoint_is_shown_as_it_is_read() {
        for text in ["[::1]:8883", "broker.example:443"] {
            let endpoint = Endpoint::read(text, 1);
            assert_eq!(endpoint.map(|it| it.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_pasted_with_the_host_is_named() {
        for (text, words) in [
            (
                "https://x.iot.eu-west-1.amazonaws.com/",
                "scheme 'https://', write HOST or HOST:PORT alone: x.iot.eu-west-1.amazonaws.com",
            ),
            (
                "mqtts://x:8883",
                "scheme 'mqtts://', write HOST or HOST:PORT alone: x:8883",
            ),
            (
                "wss://x/mqtt",
                "scheme 'wss://', write HOST or HOST:PORT alone: x",
            ),
            ("https://user:secret@x/", "HOST or HOST:PORT alone: x"),
            ("user:secret@x", "name or password before the host"),
            ("x.example/", "has '/' behind the host"),
            ("x.example:443/mqtt?a", "has '/mqtt?a' behind the host"),
            ("{\"endpointAddress\":\"x\"}", "holds JSON"),
            ("\"x.example\"", "without quotes"),
        ] {
            let why = text.parse::<Endpoint>().unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
            assert!(!why.contains("secret"), "{text}: {why}");
        }
    }

    #[test]
    fn an_endpoint_is_a_host_with_an_optional_port() {
        check(
            "abc-ats.iot.eu-west-1.amazonaws.com\n",
            Ok(("abc-ats.iot.eu-west-1.amazonaws.com", 8883)),
        );
        check(" host:443\r\n", Ok(("host", 443)));
        check("[::1]:8884", Ok(("::1", 8884)));
        check("[::1]", Ok(("::1", 8883)));
        check("", Err("no host name"));
        check(" \r\n", Err("no host name"));
        check(":8883", Err("no host name"));
        check("host:", Err("port \"\""));
        check("host:0", Err("port \"0\""));
        check("host:99999", Err("port \"99999\""));
        check("two\nlines", Err("contains '\\n'"));
        check("mqtts://host", Err("scheme 'mqtts://'"));
        assert_eq!(Endpoint::read("host", 443).unwrap().port, 443);
        assert_eq!(Endpoint::read("host:8883", 443).unwrap().port, 8883);
    }

    #[test]
    fn debug_output_of_credentials_holds_no_key() {
        let credentials = Credentials {
            certificate: b"CERT".to_vec(),
            private_key: PrivateKey::Pem(b"SECRET".to_vec()),
            certificate_file: "/c/a.crt".into(),
            key_file: "/c/a.key".into(),
        };
        assert_eq!(format!("{credentials:?}"), "Credentials(/c/a.crt)");
    }
}
