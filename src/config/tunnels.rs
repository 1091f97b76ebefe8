//! Everything that the options say about tunnels to one thing, put together.

use std::path::PathBuf;

use super::problems::Problems;
use super::split::tunnel_mapping;
use super::values::trimmed;
use crate::cli::Cli;
use crate::net::ProxyVariables;
use crate::tunnel::{PROXY, TunnelOptions};

/// Resolves `--tunnelmappings`, `--tunnelproxy` and `--tunnelcadir`. Wrong values become problems.
pub fn resolve(cli: &Cli, problems: &mut Problems) -> Vec<TunnelOptions> {
    let proxy = path("tunnelproxy", cli.tunnelproxy.as_ref(), true, cli, problems);
    let ca_dir = path(
        "tunnelcadir",
        cli.tunnelcadir.as_ref(),
        false,
        cli,
        problems,
    );
    let mut all: Vec<TunnelOptions> = Vec::new();
    for value in &cli.tunnelmappings {
        let (thing, services) = match tunnel_mapping(value) {
            Ok((id, services)) => (id.thing, services),
            Err(why) => {
                problems.add("tunnelmappings", value, &why);
                continue;
            }
        };
        let known = all.iter().position(|options| options.thing == thing);
        let index = known.unwrap_or_else(|| {
            all.push(TunnelOptions {
                thing,
                services: Vec::new(),
                proxy: proxy.clone().unwrap_or_else(|| PROXY.into()),
                ca_dir: ca_dir.clone(),
                // The file of the proxy's password is not read yet.
                variables: ProxyVariables::default(),
            });
            all.len() - 1
        });
        for (name, port) in services {
            if all[index].services.iter().any(|(other, _)| *other == name) {
                let why = format!("service '{name}' has a port already");
                problems.add("tunnelmappings", value, &why);
            }
            all[index].services.push((name, port));
        }
    }
    all
}

/// The proxy runs in `/`, so that a relative path would not be what it seems.
fn path(
    option: &str,
    value: Option<&String>,
    bare: bool,
    cli: &Cli,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let value = value?;
    let bare_name = bare && !value.is_empty() && !value.contains('/');
    if !value.starts_with('/') && !bare_name {
        let or = if bare { " or a bare name" } else { "" };
        problems.add(option, value, &format!("use an absolute path{or}"));
    }
    if cli.tunnelmappings.is_empty() {
        let why = "is for tunnels, and no --tunnelmappings option names one";
        problems.add(option, value, why);
    }
    Some(trimmed(value).into())
}
