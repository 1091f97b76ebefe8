//! A proxy that can be used as far as that is known before the first connection: its password was
//! read, and the CAs that may sign its certificate.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::authorities::authorities;
use super::environment;
use super::exceptions::Exceptions;
use super::options::{ProxyChoice, ProxyOptions};
use super::url::{ProxyScheme, ProxyUrl};
use crate::file::{self, without_byte_order_mark};
use crate::identity::Endpoint;
use crate::net::tls::Tls;

/// Far more than a password.
const LARGEST: u64 = 4096;

/// Cheap to clone, and shows no password.
#[derive(Clone)]
pub struct Proxy {
    pub url: ProxyUrl,
    /// For the connection to the proxy itself.
    pub tls: Option<Tls>,
    exceptions: Exceptions,
}

/// A proxy, and where it comes from.
pub struct ChosenProxy {
    pub proxy: Proxy,
    /// The option or the variable of the environment that names it.
    pub origin: &'static str,
    /// What is worth a warning.
    pub problems: Vec<String>,
}

impl ProxyOptions {
    /// The proxy that is to be used. Reads the files that the options name. `variable` is the
    /// environment, which is asked only where no option says anything.
    ///
    /// # Errors
    /// The file or the variable, and what is wrong with it.
    pub fn resolve(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<ChosenProxy>> {
        match &self.choice {
            ProxyChoice::Direct => Ok(None),
            ProxyChoice::Given(url) => {
                let mut problems = Vec::new();
                if url.has_password() {
                    problems.push("--proxy holds a password, which everybody on this machine can see in the list of processes: use --proxy-password-file".to_owned());
                }
                let url = match &self.password_file {
                    Some(file) => with_password_of(url.clone(), file)?,
                    None => url.clone(),
                };
                let exceptions = Exceptions::default();
                self.chosen(url, exceptions, "--proxy", problems).map(Some)
            }
            ProxyChoice::Environment => {
                let found = environment::proxy(&variable).map_err(|why| anyhow!(why))?;
                let exceptions = environment::exceptions(&variable);
                let chosen =
                    found.map(|(url, name)| self.chosen(url, exceptions, name, Vec::new()));
                chosen.transpose()
            }
        }
    }

    fn chosen(
        &self,
        url: ProxyUrl,
        exceptions: Exceptions,
        origin: &'static str,
        mut problems: Vec<String>,
    ) -> Result<ChosenProxy> {
        let tls = match url.scheme {
            ProxyScheme::Http | ProxyScheme::Socks5 => None,
            ProxyScheme::Https => {
                let roots = authorities(self.authorities.as_deref())?;
                problems.extend(roots.problems.iter().cloned());
                Some(Tls::anonymous(&roots, &[])?)
            }
        };
        Ok(ChosenProxy {
            proxy: Proxy {
                url,
                tls,
                exceptions,
            },
            origin,
            problems,
        })
    }
}

/// The file's only line.
fn with_password_of(url: ProxyUrl, file: &Path) -> Result<ProxyUrl> {
    let shown = file.display();
    let contents = file::read_secret(file, LARGEST)
        .with_context(|| format!("cannot read the proxy's password from {shown}"))?;
    let text = std::str::from_utf8(without_byte_order_mark(&contents))
        .map_err(|_| anyhow!("{shown}: the proxy's password is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let password = line.strip_suffix('\r').unwrap_or(line);
    url.with_password(password)
        .map_err(|why| anyhow!("{shown}: {why}"))
}

impl Proxy {
    /// Whether this one is reached through it.
    pub fn is_for(&self, endpoint: &Endpoint) -> bool {
        !self.exceptions.has(endpoint)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.url)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
