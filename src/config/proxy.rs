//! Pure: what the options say about proxies. No value of `--proxy` is ever quoted: it may hold a
//! password.

use super::problems::Problems;
use crate::cli::Cli;
use crate::net::{ProxyChoice, ProxyOptions, ProxyScheme};

/// No proxy, whatever the environment says.
const NONE: &str = "none";

/// Resolves `--proxy`, `--proxy-password-file` and `--proxy-cacert`. Wrong values become problems.
pub fn resolve(cli: &Cli, problems: &mut Problems) -> ProxyOptions {
    let choice = match cli.proxy.as_deref() {
        None => ProxyChoice::Environment,
        Some(NONE) => ProxyChoice::Direct,
        Some(text) => match choice(text) {
            Ok(choice) => choice,
            Err(why) => {
                problems.0.push(format!("--proxy: {why}"));
                return ProxyOptions::default();
            }
        },
    };
    let mut file = |option: &str, value: Option<&String>, needed: Result<(), &str>| {
        let value = value?;
        match needed {
            _ if value.is_empty() => problems.add(option, value, "is empty, name a file"),
            Err(why) => problems.add(option, value, why),
            Ok(()) => {}
        }
        Some(value.into())
    };
    ProxyOptions {
        password_file: file(
            "proxy-password-file",
            cli.proxy_password_file.as_ref(),
            has_user(&choice),
        ),
        authorities: file(
            "proxy-cacert",
            cli.proxy_cacert.as_ref(),
            may_speak_tls(&choice),
        ),
        choice,
    }
}

fn choice(text: &str) -> Result<ProxyChoice, String> {
    if text.trim().is_empty() {
        return Err("is empty, use SCHEME://HOST:PORT, or none for no proxy".into());
    }
    text.parse().map(ProxyChoice::Given)
}

fn has_user(choice: &ProxyChoice) -> Result<(), &'static str> {
    match choice {
        ProxyChoice::Given(url) if url.has_password() => {
            Err("--proxy holds a password already, use one of them")
        }
        ProxyChoice::Given(url) if url.login.is_some() => Ok(()),
        ProxyChoice::Given(_) | ProxyChoice::Environment | ProxyChoice::Direct => {
            Err("is for a user, use --proxy=SCHEME://USER@HOST:PORT too")
        }
    }
}

/// The environment may name a proxy with TLS.
fn may_speak_tls(choice: &ProxyChoice) -> Result<(), &'static str> {
    match choice {
        ProxyChoice::Environment => Ok(()),
        ProxyChoice::Given(url) if url.scheme == ProxyScheme::Https => Ok(()),
        ProxyChoice::Given(_) | ProxyChoice::Direct => {
            Err("is for a proxy with https://, and --proxy names none")
        }
    }
}
