//! The local proxy's process. It belongs to its tunnel and not to the daemon: nothing of the daemon
//! is in its hands, so that it goes on when the daemon ends.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{future, io};

use nix::sys::signal::Signal;
use tokio::process::Child;

use super::TunnelOptions;
use super::request::TunnelRequest;
use crate::clock::now;
use crate::process;

/// A proxy that runs, or has ended and was not asked for its end yet.
#[derive(Debug)]
pub struct LocalProxy {
    child: Child,
    since: Instant,
}

/// How a proxy ended.
pub struct ProxyExit {
    pub status: io::Result<ExitStatus>,
    pub after: Duration,
}

impl LocalProxy {
    /// Starts it in destination mode for these services. The access token and the region are in its
    /// environment alone: everybody may read the arguments of a process.
    ///
    /// # Errors
    /// It cannot be started. Nothing of the request is in the error.
    pub fn start(
        options: &TunnelOptions,
        request: &TunnelRequest,
        services: &str,
    ) -> io::Result<LocalProxy> {
        let mut command = process::command(&options.proxy);
        command.arg("-d").arg(services);
        if let Some(dir) = &options.ca_dir {
            command.arg("-c").arg(dir);
        }
        command
            .env("AWSIOT_TUNNEL_ACCESS_TOKEN", request.token.reveal())
            .env("AWSIOT_TUNNEL_REGION", &request.region)
            // A pipe to the daemon would end the proxy when the daemon goes, and the daemon's own
            // stderr would keep whoever reads it waiting for the proxy.
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (name, value) in options.variables.iter() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = process::spawn(&mut command)?;
        Ok(LocalProxy {
            child,
            since: now(),
        })
    }

    /// Signals the proxy and whatever it has started.
    pub fn signal(&self, signal: Signal) {
        process::signal(&self.child, signal);
    }
}

/// Waits for the end of the proxy, which is then taken away. Never, while there is none.
pub async fn ended(proxy: &mut Option<LocalProxy>) -> ProxyExit {
    let Some(running) = proxy else {
        return future::pending().await;
    };
    let status = running.child.wait().await;
    let after = now().saturating_duration_since(running.since);
    *proxy = None;
    ProxyExit { status, after }
}
