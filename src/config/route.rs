//! Pure: how connections leave the device.

use super::problems::Problems;
use crate::cli::Cli;
use crate::net::{IpVersion, Route};

/// The kernel's limit for the name of an interface.
const LONGEST_NAME: usize = 15;

pub fn resolve(cli: &Cli, problems: &mut Problems) -> Route {
    Route {
        ip: problems
            .optional("ip", cli.ip.as_ref(), ip_version)
            .unwrap_or_default(),
        interface: problems.optional("bind-interface", cli.bind_interface.as_ref(), interface),
        // It is not known before files and the environment are looked at.
        proxy: None,
    }
}

fn ip_version(text: &str) -> Result<IpVersion, String> {
    match text {
        "any" => Ok(IpVersion::Any),
        "4" => Ok(IpVersion::V4),
        "6" => Ok(IpVersion::V6),
        _ => Err("unknown version of IP, use 4, 6 or any".into()),
    }
}

/// Whether there is one of this name shows only when it is used: it may come and go.
fn interface(text: &str) -> Result<String, String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    if text.is_empty() {
        Err("is empty, use the name of an interface, such as eth0".into())
    } else if text.len() > LONGEST_NAME {
        Err(format!(
            "is longer than the {LONGEST_NAME} bytes that the name of an interface has"
        ))
    } else if text.contains(bad) {
        Err("is not the name of an interface, such as eth0".into())
    } else {
        Ok(text.to_owned())
    }
}
