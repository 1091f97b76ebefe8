//! From the device through a proxy to a host: TCP, TLS to the proxy where it wants that, and the
//! question for a tunnel. All of it is the proxy's stage, and fails with its class.

use super::server::Proxy;
use super::tunnel::Tunnel;
use super::url::ProxyScheme;
use super::{connect, socks};
use crate::identity::Endpoint;
use crate::net::errors::PROXY;
use crate::net::failure::{Class, Ending};
use crate::net::handshake::handshake_with;
use crate::net::names::Names;
use crate::net::route::Route;
use crate::net::stream::Stream;
use crate::net::tcp;

/// The host is looked up by the proxy, and only the proxy's own name here.
pub async fn reach(
    route: &Route,
    names: &mut Names,
    proxy: &Proxy,
    endpoint: &Endpoint,
) -> Result<Box<dyn Stream>, Ending> {
    let mut stream = to_proxy(route, names, proxy)
        .await
        .map_err(|ending| of_proxy(proxy, ending))?;
    let login = proxy.url.login.as_ref();
    let asked = match proxy.url.scheme {
        ProxyScheme::Http | ProxyScheme::Https => {
            connect::connect(&mut stream, &target(endpoint), login).await
        }
        ProxyScheme::Socks5 => socks::connect(&mut stream, endpoint, login).await,
    };
    match asked {
        Ok(()) => Ok(Box::new(Tunnel::new(stream))),
        Err(why) => Err(Ending::new(Class::Proxy, format!("{proxy} {why}"))),
    }
}

async fn to_proxy(
    route: &Route,
    names: &mut Names,
    proxy: &Proxy,
) -> Result<Box<dyn Stream>, Ending> {
    let url = &proxy.url;
    let stream: Box<dyn Stream> = Box::new(tcp::connect(route, names, &url.host, url.port).await?);
    match &proxy.tls {
        Some(tls) => handshake_with(PROXY, tls, &url.host, stream).await,
        None => Ok(stream),
    }
}

/// A shortage is ours, and so is a clock that is not set: both pass, and are waited for.
fn of_proxy(proxy: &Proxy, ending: Ending) -> Ending {
    let class = match ending.class {
        Class::Shortage | Class::Credentials | Class::TlsClock => ending.class,
        Class::Dns
        | Class::Tcp
        | Class::Proxy
        | Class::TlsCa
        | Class::TlsCert
        | Class::Tls
        | Class::Http
        | Class::Refused
        | Class::Timeout
        | Class::TakenOver
        | Class::KeepAlive
        | Class::Server
        | Class::Network
        | Class::Protocol
        | Class::Key => Class::Proxy,
    };
    // What speaks no TLS is silent, or answers in the clear.
    let hint = match matches!(ending.class, Class::Tls | Class::Timeout) {
        true => "; if it does not speak TLS, use http://",
        false => "",
    };
    Ending::new(
        class,
        format!("{proxy} cannot be used: {}{hint}", ending.reason),
    )
}

/// The endpoint as HTTP writes it.
fn target(Endpoint { host, port }: &Endpoint) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::proxy::{ProxyChoice, ProxyOptions};

    fn proxy(url: &str) -> Proxy {
        let options = ProxyOptions {
            choice: ProxyChoice::Given(url.parse().unwrap()),
            ..ProxyOptions::default()
        };
        options.resolve(|_| None).unwrap().unwrap().proxy
    }

    #[test]
    fn whatever_fails_before_the_tunnel_is_the_proxys_but_for_what_passes_by_itself() {
        let proxy = proxy("http://dev:s3cr3t@p:1");
        let of = |class| of_proxy(&proxy, Ending::new(class, "reason"));
        for class in [
            Class::Dns,
            Class::Tcp,
            Class::TlsCa,
            Class::TlsCert,
            Class::Tls,
        ] {
            let ending = of(class);
            assert_eq!((ending.class, ending.certificate), (Class::Proxy, false));
            assert!(
                ending
                    .reason
                    .starts_with("http://p:1 cannot be used: reason")
            );
        }
        assert_eq!(of(Class::Shortage).class, Class::Shortage);
        assert_eq!(of(Class::TlsClock).class, Class::TlsClock);
        assert!(of(Class::Timeout).reason.ends_with("use http://"));
    }

    #[test]
    fn an_ipv6_address_is_asked_for_in_brackets() {
        assert_eq!(target(&"[::1]:443".parse().unwrap()), "[::1]:443");
        assert_eq!(target(&"host:443".parse().unwrap()), "host:443");
    }
}
