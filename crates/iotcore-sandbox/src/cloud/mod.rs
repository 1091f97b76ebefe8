//! The cloud's own services, each in a folder of its own and each behind [`Service`](crate::Service).

pub(crate) mod provisioning;
pub(crate) mod shadow;
