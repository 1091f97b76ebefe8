//! From the name of a host to a stream: addresses, TCP, TLS, each stage with its own deadline and its
//! own words for what can go wrong. The only folder that names the TLS crate.

mod dialer;
mod errors;
mod failure;
mod handshake;
mod http;
mod keys;
mod names;
pub mod proxy;
mod race;
mod route;
mod stream;
mod tcp;
mod tls;
mod websocket;

pub use dialer::Dialer;
pub use errors::by_io;
pub use failure::{Class, Ending, closed};
pub use handshake::handshake;
pub use http::{Get, HttpAnswer, get};
pub use keys::keyring;
pub use proxy::{
    ChosenProxy, Proxy, ProxyChoice, ProxyOptions, ProxyScheme, ProxyUrl, ProxyVariables,
};
pub use route::{IpVersion, Route};
pub use stream::Stream;
pub use tls::{Roots, Tls};
pub use websocket::{NoWebSocket, websocket};
