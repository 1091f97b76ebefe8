//! How connections go through a proxy: which one, for which hosts, and what is said to it.

use std::time::Duration;

pub mod answer;
mod authorities;
mod connect;
mod environment;
mod exceptions;
mod options;
mod reach;
mod server;
mod socks;
mod tunnel;
mod url;
mod variables;

/// For all that a proxy is asked once it is connected to.
const DEADLINE: Duration = Duration::from_secs(30);

pub use options::{ProxyChoice, ProxyOptions};
pub(super) use reach::reach;
pub use server::{ChosenProxy, Proxy};
pub(super) use tunnel::TunnelCut;
pub use url::{ProxyScheme, ProxyUrl};
pub use variables::ProxyVariables;
