//! Pure: for which hosts no proxy is used, as `NO_PROXY` says it.

use core::net::IpAddr;

use crate::identity::Endpoint;

/// The hosts that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions(Vec<Exception>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// `None`: any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// In lower case: itself, and what ends with it behind a dot.
    Domain(String),
    /// The addresses that have so many bits in common with this one.
    Network(IpAddr, u8),
}

impl Exceptions {
    /// Reads a list with commas or spaces in between, as curl does: `*`, names with their subdomains,
    /// addresses, networks as `10.0.0.0/8`; and as Go does, each with a port if wanted. What makes no
    /// sense is left out.
    pub fn read(list: &str) -> Exceptions {
        let words = list.split(|c: char| c == ',' || c.is_whitespace());
        Exceptions(words.filter_map(exception).collect())
    }

    /// Whether this one is reached without a proxy.
    pub fn has(&self, endpoint: &Endpoint) -> bool {
        let name = endpoint.host.trim_end_matches('.').to_ascii_lowercase();
        let address = name.parse::<IpAddr>().ok();
        self.0.iter().any(|exception| {
            exception.port.is_none_or(|port| port == endpoint.port)
                && exception.hosts.has(&name, address)
        })
    }
}

fn exception(word: &str) -> Option<Exception> {
    let (hosts, port) = match host_and_port(word) {
        Some((host, port)) => (hosts(host)?, Some(port.parse().ok()?)),
        None => (hosts(word)?, None),
    };
    Some(Exception { hosts, port })
}

/// Where there is a port: one colon, or one behind a bracket.
fn host_and_port(word: &str) -> Option<(&str, &str)> {
    let (host, port) = word.rsplit_once(':')?;
    (!host.contains(':') || host.ends_with(']')).then_some((host, port))
}

fn hosts(word: &str) -> Option<Hosts> {
    if word == "*" {
        return Some(Hosts::All);
    }
    let (host, bits) = match word.split_once('/') {
        Some((host, bits)) => (host, Some(bits.parse::<u8>().ok()?)),
        None => (word, None),
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match (bare.unwrap_or(host).parse::<IpAddr>(), bits) {
        (Ok(address), bits) => {
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(all);
            (bits <= all).then_some(Hosts::Network(address, bits))
        }
        (Err(_), Some(_)) => None,
        (Err(_), None) => {
            let domain = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
            (!domain.is_empty()).then(|| Hosts::Domain(domain.to_ascii_lowercase()))
        }
    }
}

impl Hosts {
    fn has(&self, name: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Hosts::All, _) => true,
            (Hosts::Domain(domain), None) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            (Hosts::Network(network, bits), Some(address)) => in_common(*network, address, *bits),
            (Hosts::Domain(_), Some(_)) | (Hosts::Network(..), None) => false,
        }
    }
}

fn in_common(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let difference = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    difference.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(list: &str, endpoint: &str) -> bool {
        Exceptions::read(list).has(&endpoint.parse().unwrap())
    }

    #[test]
    fn names_are_meant_with_their_subdomains() {
        for list in [
            "example.com",
            ".example.com",
            "*.Example.COM",
            "x, example.com.",
        ] {
            assert!(has(list, "example.com"), "{list}");
            assert!(has(list, "a.b.example.COM."), "{list}");
            assert!(!has(list, "notexample.com"), "{list}");
            assert!(!has(list, "example.com.evil"), "{list}");
        }
        assert!(has("a b\tc", "b") && has("a,b,c", "c") && !has("a b", "d"));
        assert!(has("*", "any.host") && has("x,*", "10.0.0.1"));
        assert!(!has("", "host") && !has(" , .,*.", "host") && !has("om", "example.com"));
    }

    #[test]
    fn addresses_are_compared_as_addresses_and_networks_by_their_bits() {
        assert!(has("127.0.0.1", "127.0.0.1") && !has("127.0.0.1", "127.0.0.10"));
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("192.168.4.0/22", "192.168.7.9") && !has("192.168.4.0/22", "192.168.8.1"));
        assert!(has("0.0.0.0/0", "8.8.8.8") && !has("0.0.0.0/0", "[::1]"));
        assert!(has("::1", "[0:0:0:0:0:0:0:1]") && has("[::1]", "[::1]"));
        assert!(has("fd00::/8", "[fd12::3]") && !has("fd00::/8", "[fe80::3]"));
        assert!(has("::/0", "[fe80::3]"));
        // A name is not looked up, and an address has no subdomains.
        assert!(!has("127.0.0.1", "localhost") && !has("0.0.1", "127.0.0.1"));
    }

    #[test]
    fn an_exception_may_be_about_one_port() {
        assert!(has("broker:8883", "broker:8883") && !has("broker:8883", "broker:443"));
        assert!(has("10.0.0.1:443", "10.0.0.1:443") && !has("10.0.0.1:443", "10.0.0.1:8883"));
        assert!(has("[::1]:443", "[::1]:443") && !has("[::1]:443", "[::1]:8883"));
    }

    #[test]
    fn what_makes_no_sense_excepts_nobody() {
        for list in [
            "10.0.0.0/33",
            "10.0.0.0/",
            "::/129",
            "x/8",
            "host:0x1",
            "host:",
        ] {
            assert!(!has(list, "10.0.0.1"), "{list}");
            assert!(!has(list, "host"), "{list}");
        }
    }
}
