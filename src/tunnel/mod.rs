//! `--tunnelmappings`: a tunnel that the cloud asks for becomes a local proxy of AWS's.
//!
//! | file | subject |
//! |---|---|
//! | `agent` | the task of one thing |
//! | `state` | which proxy is to run, and when the old one has to go (pure) |
//! | `request` | what is asked for, and what is asked wrongly (pure) |
//! | `proxy` | the process |
//! | `commands` | the commands `open-tunnel` and `close-tunnel` |

mod agent;
mod commands;
mod proxy;
mod request;
mod state;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::net::ProxyVariables;

pub use agent::TunnelAgent;
pub use commands::{CommandKind, CommandReceiver, Tunnels};
pub use request::invalid_service;

/// The local proxy's usual name, looked up in `PATH`.
pub const PROXY: &str = "localproxy";

/// One thing, and what tunnels to it may reach.
#[derive(Clone, Debug)]
pub struct TunnelOptions {
    pub thing: String,
    /// Names of services and their ports on this machine.
    pub services: Vec<(String, u16)>,
    /// Run without a shell; a bare name is looked up in `PATH`.
    pub proxy: PathBuf,
    /// CA certificates for the proxy.
    pub ca_dir: Option<PathBuf>,
    /// How the proxy's own connection leaves the device.
    pub variables: ProxyVariables,
}

impl TunnelOptions {
    /// What would make a start fail. The proxy is looked at, not run.
    pub fn problems(&self) -> Vec<String> {
        let proxy = match self.proxy.components().count() {
            // A bare name is looked up when it is run.
            1 => None,
            _ => not_executable(&self.proxy),
        };
        let ca_dir = self.ca_dir.as_deref().and_then(not_readable);
        proxy.into_iter().chain(ca_dir).collect()
    }
}

fn not_executable(path: &Path) -> Option<String> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) => Some(format!("cannot use tunnel proxy {shown}: {error}")),
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => None,
        Ok(_) => Some(format!("tunnel proxy {shown} is not executable")),
    }
}

fn not_readable(dir: &Path) -> Option<String> {
    let error = fs::read_dir(dir).err()?;
    Some(format!(
        "cannot read the CA certificates in {}: {error}",
        dir.display()
    ))
}
