//! The broker as devices see it: over TLS, with packets of another codec than its own, in both protocol versions.

mod authorizers;
mod claims;
mod common;
mod connect;
mod credentials;
mod faults;
mod handle;
mod program;
mod provisioning;
mod provisioning_faults;
mod publish;
mod sessions;
mod shadow;
mod shadow_files;
mod subscribe;
mod tls;
mod websocket;
