//! How connections leave the device: what the options say, and which proxy is used.

use std::env;

use anyhow::Result;
use log::{info, warn};

use crate::config::Config;
use crate::identity::Endpoint;
use crate::net::{ChosenProxy, ProxyVariables, Route};

/// What the options say, else the environment, with the file of the password read.
///
/// # Errors
/// The file or the variable, and what is wrong with it.
pub fn proxy(config: &Config) -> Result<Option<ChosenProxy>> {
    let variable = |name: &str| Some(env::var_os(name)?.to_string_lossy().into_owned());
    config.proxy.resolve(variable)
}

/// The same as part of the route of all connections; says once which proxy leads to the endpoint.
///
/// # Errors
/// As [`proxy`].
pub fn route(config: &Config, endpoint: &Endpoint) -> Result<Route> {
    let mut route = config.route.clone();
    let Some(chosen) = proxy(config)? else {
        return Ok(route);
    };
    for problem in &chosen.problems {
        warn!("{problem}");
    }
    let ChosenProxy { proxy, origin, .. } = chosen;
    if proxy.is_for(endpoint) {
        info!("connecting through the proxy {proxy}, from {origin}");
    } else {
        info!("connecting to {endpoint} without the proxy {proxy} of {origin}, as no_proxy says");
    }
    route.proxy = Some(proxy);
    Ok(route)
}

/// What the local proxies of tunnels find in their environment, besides our own.
pub fn variables(config: &Config, route: &Route) -> ProxyVariables {
    let url = route.proxy.as_ref().map(|proxy| &proxy.url);
    ProxyVariables::new(&config.proxy.choice, url)
}
