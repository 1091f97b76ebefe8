//! What is AWS's own about showing who we are: its signatures, its access keys and where they stand,
//! its regions, and the parameters of a custom authoriser. All of it pure; `mqtt` sends it.

mod authorizer;
mod encode;
mod keys;
mod profile;
mod provider;
mod region;
mod sigv4;

pub use authorizer::{Authorizer, SignedToken};
pub use keys::AccessKeys;
pub use profile::keys as keys_of_profile;
pub use provider::{credentials as provided_credentials, path as provider_path};
pub use region::{is_region, of_endpoint as region_of_endpoint};
pub use sigv4::presigned;
