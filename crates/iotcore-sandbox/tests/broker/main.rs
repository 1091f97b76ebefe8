//! The broker as devices see it: over TLS, with packets of another codec than its own, in both protocol versions.

mod claims;
mod common;
mod connect;
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
