//! Pure: how every connection leaves the device, whatever it is for.

use core::net::IpAddr;
use std::fmt;

use super::proxy::Proxy;
use super::race::Family;
use crate::identity::Endpoint;

/// What `--ip`, `--bind-interface` and `--proxy` say.
#[derive(Clone, Debug, Default)]
pub struct Route {
    pub ip: IpVersion,
    /// The interface through which alone packets leave. `None`: as the routing table says.
    pub interface: Option<String>,
    pub proxy: Option<Proxy>,
}

impl Route {
    /// The proxy that leads there, if not all by itself.
    pub fn proxy_for(&self, endpoint: &Endpoint) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| proxy.is_for(endpoint))
    }
}

/// The addresses of a name that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersion {
    #[default]
    Any,
    V4,
    V6,
}

impl IpVersion {
    /// Whether names are looked up for addresses of this family.
    pub fn has(self, family: Family) -> bool {
        match self {
            IpVersion::Any => true,
            IpVersion::V4 => family == Family::V4,
            IpVersion::V6 => family == Family::V6,
        }
    }

    pub fn uses(self, address: IpAddr) -> bool {
        self.has(if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        })
    }
}

impl fmt::Display for IpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpVersion::Any => "IP",
            IpVersion::V4 => "IPv4",
            IpVersion::V6 => "IPv6",
        })
    }
}
