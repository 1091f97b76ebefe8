//! Pure: what the address of a proxy says. No error and no text of it holds a user or a password.

use std::fmt;
use std::str::FromStr;

/// RFC 1929 has one byte for the length.
const LONGEST_IN_SOCKS: usize = 255;
const LONGEST: usize = 1024;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// CONNECT in the clear.
    Http,
    /// CONNECT within TLS to the proxy.
    Https,
    Socks5,
}

/// A user of a proxy. Does not show itself: some have a secret in place of the name.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyLogin {
    pub user: String,
    /// Empty where there is none.
    pub password: String,
}

/// Where a proxy is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    pub scheme: ProxyScheme,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub login: Option<ProxyLogin>,
}

impl FromStr for ProxyUrl {
    type Err = String;

    /// Reads `SCHEME://[USER[:PASSWORD]@]HOST:PORT`; without a scheme it is `http`, as for curl.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("holds white space or a control character".into());
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (ProxyScheme::named(scheme)?, rest),
            None => (ProxyScheme::Http, text),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let tail = &rest[authority.len()..];
        if tail.contains('@') {
            return Err("write / ? # in a user or password as %2F %3F %23".into());
        }
        if !["", "/"].contains(&tail) {
            return Err(format!(
                "has something behind the port, write {scheme}://HOST:PORT alone"
            ));
        }
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address, scheme)?;
        let url = ProxyUrl {
            scheme,
            host,
            port,
            login: login.map(read_login).transpose()?,
        };
        url.is_possible().map(|()| url)
    }
}

fn host_and_port(address: &str, scheme: ProxyScheme) -> Result<(String, u16), String> {
    let no_port = || format!("no port, write {scheme}://HOST:PORT");
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a [ without its ]")?;
            (host, rest.strip_prefix(':').ok_or_else(no_port)?)
        }
        None => address.rsplit_once(':').ok_or_else(no_port)?,
    };
    if host.contains(':') && !address.starts_with('[') {
        return Err("put an IPv6 address in brackets: [ADDRESS]:PORT".into());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    match host.chars().find(|c| !allowed(*c)) {
        Some(bad) => return Err(format!("the host's name contains {bad:?}")),
        None if host.is_empty() => {
            return Err(format!("no host's name, write {scheme}://HOST:PORT"));
        }
        None => {}
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((host.to_owned(), port)),
        // It is not quoted: without an '@' it may be a password.
        _ => Err("the port behind the host is not a number from 1 to 65535".into()),
    }
}

fn read_login(text: &str) -> Result<ProxyLogin, String> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Ok(ProxyLogin {
        user: decoded(user)?,
        password: decoded(password)?,
    })
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let decoded = match byte {
            b'%' => digit()
                .zip(digit())
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok()),
            byte => Some(byte),
        };
        bytes.push(decoded.ok_or("a % in the user or password without its two digits, write %25")?);
    }
    String::from_utf8(bytes).map_err(|_| "the user or password is not UTF-8".into())
}

impl ProxyUrl {
    /// The same with this password.
    ///
    /// # Errors
    /// There is no user who could have it, there is another one already, or it cannot be one.
    pub fn with_password(mut self, password: &str) -> Result<ProxyUrl, String> {
        match &mut self.login {
            None => return Err("is for a user, and the address of the proxy names none".into()),
            Some(login) if !login.password.is_empty() => {
                return Err("gives a password, and so does the address of the proxy".into());
            }
            Some(login) => password.clone_into(&mut login.password),
        }
        if password.is_empty() {
            return Err("holds no password".into());
        }
        self.is_possible().map(|()| self)
    }

    fn is_possible(&self) -> Result<(), String> {
        let Some(ProxyLogin { user, password }) = &self.login else {
            return Ok(());
        };
        let longest = match self.scheme {
            ProxyScheme::Socks5 => LONGEST_IN_SOCKS,
            ProxyScheme::Http | ProxyScheme::Https => LONGEST,
        };
        if user.is_empty() {
            Err("no user before the '@'".into())
        } else if user.len() > longest || password.len() > longest {
            Err(format!(
                "the user or the password is longer than {longest} bytes"
            ))
        } else if user.contains(':') && self.scheme != ProxyScheme::Socks5 {
            Err("the user contains a colon, which HTTP does not allow".into())
        } else if user.chars().chain(password.chars()).any(char::is_control) {
            Err("the user or the password contains a control character".into())
        } else {
            Ok(())
        }
    }

    pub fn has_password(&self) -> bool {
        self.login
            .as_ref()
            .is_some_and(|login| !login.password.is_empty())
    }

    /// With user and password, for the environment of another program.
    pub fn revealed(&self) -> String {
        let login = self.login.as_ref().map(|login| {
            let (user, password) = (encoded(&login.user), encoded(&login.password));
            format!("{user}:{password}@")
        });
        let login = login.unwrap_or_default();
        format!("{}://{login}{}", self.scheme, self.address())
    }

    /// Host and port.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Also what need not be: the local proxy of AWS reads a + as a space.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl ProxyScheme {
    fn named(name: &str) -> Result<ProxyScheme, String> {
        match name.to_ascii_lowercase().as_str() {
            "http" => Ok(ProxyScheme::Http),
            "https" => Ok(ProxyScheme::Https),
            "socks5" | "socks5h" => Ok(ProxyScheme::Socks5),
            _ => Err("unknown scheme, use http://, https:// or socks5://".into()),
        }
    }
}

impl fmt::Display for ProxyScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyScheme::Http => "http",
            ProxyScheme::Https => "https",
            ProxyScheme::Socks5 => "socks5",
        })
    }
}

impl fmt::Debug for ProxyLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyLogin(...)")
    }
}

/// Without the user and the password.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address())
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
