//! A local AWS IoT Core: a broker with mutual TLS that keeps AWS's limits, deviations and ways to fail, for running and
//! testing a device daemon without a cloud. One thread, loopback only, everything in memory, but for shadows, which may
//! be files as well.
//!
//! ```
//! use iotcore_sandbox::{Fault, Sandbox, What, When};
//!
//! let sandbox = Sandbox::start()?;
//! sandbox.faults(vec![Fault::once(When::Publish(3), What::SwallowPuback)]);
//! let certstore = tempfile::tempdir()?;
//! sandbox.pki().write_certstore(certstore.path(), sandbox.port());
//! // ... start the device, then look at sandbox.published() and sandbox.record()
//! # anyhow::Ok(())
//! ```
//!
//! Where to begin reading: `broker/mod.rs`, which is told what happens and decides what to do. Around it:
//!
//! | file | subject |
//! |---|---|
//! | `sandbox.rs`, `builder.rs` | the handle, and what can be set before the start |
//! | `broker/` | connections, sessions, publishes, subscriptions, the cloud's clock; `service.rs` is the seam to `cloud/` |
//! | `cloud/shadow/` | the device shadow service, [`Shadow`], the handle that a test has on one, [`ShadowFault`], what goes wrong |
//! | `cloud/provisioning/` | fleet provisioning by claim, [`Template`], [`Provisioning`], the handle that a test has, [`ProvisioningFault`] |
//! | `faults.rs`, `policy.rs`, `limits.rs`, `topic.rs` | pure: what goes wrong, what is denied, what is allowed, what matches |
//! | `record.rs`, `journal.rs` | what was seen, and waiting for it |
//! | `packet.rs`, `codec.rs` | packets, and their bytes: the only file that knows the MQTT library |
//! | `net/` | thread, listener, TLS, one task for each connection |
//! | `pki/` | throw-away certificates, certstores, and what the cloud knows of certificates |
//!
//! Every sandbox has the shadow service:
//!
//! ```
//! # let sandbox = iotcore_sandbox::Sandbox::start()?;
//! let shadow = sandbox.shadow("kitchen-light");
//! shadow.desire(serde_json::json!({ "lamp": { "on": true } }));
//! // ... until the device has reported it:
//! shadow.wait_for(std::time::Duration::ZERO, |document| document["state"].get("delta").is_none());
//! # anyhow::Ok(())
//! ```
//!
//! And it has fleet provisioning, with a template called `fleet`, which wants a `SerialNumber`:
//!
//! ```
//! # use serde_json::json;
//! use iotcore_sandbox::{Sandbox, Template};
//!
//! let pumps = Template::new("pumps").thing("pump-{SerialNumber}");
//! let pumps = pumps.configuration(json!({ "url": "https://pumps.test/{SerialNumber}" }));
//! let sandbox = Sandbox::builder().template(pumps).start()?;
//! let claims = tempfile::tempdir()?;
//! sandbox.pki().write_claim_store(claims.path(), sandbox.port());
//! // ... let the device provision itself, and wait until it is a thing:
//! let registered = sandbox.provisioning().wait_for_registered(1, std::time::Duration::ZERO);
//! # assert_eq!(registered, []);
//! # anyhow::Ok(())
//! ```
//!
//! Jobs go into `cloud/` as well, each such thing as a [`Service`]: the broker shows it each accepted publish and
//! delivers what it answers, at once or when it is due. The sandbox shares no code with the daemon it tests: two
//! independent readings of AWS's rules are the point.

mod broker;
mod builder;
mod cloud;
mod codec;
mod faults;
mod journal;
mod limits;
mod net;
mod packet;
mod pki;
mod policy;
mod record;
mod sandbox;
mod topic;

pub use broker::{Cut, Moment, Service};
pub use builder::Builder;
pub use cloud::provisioning::{
    HookAnswer, HookRequest, ProvisionedCertificate, Provisioning, ProvisioningEvent,
    ProvisioningFault, ProvisioningGarbage, ProvisioningKind, ProvisioningLimits,
    ProvisioningOperation, ProvisioningRejection, ProvisioningTrouble, RegisteredThing, Template,
};
pub use cloud::shadow::{
    FirstPrevious, Garbage, Shadow, ShadowEvent, ShadowFault, ShadowKind, ShadowLimits, ShadowName,
    ShadowOperation, ShadowRejection, ShadowTrouble,
};
pub use faults::{Fault, What, When};
pub use limits::{DeniedSubscription, Limits};
pub use packet::{CloudMessage, Properties, Version};
pub use pki::{CertificateKind, CertificateStatus, Issued, KeyKind, Pki, ServerCertificate};
pub use policy::Deny;
pub use record::{Event, Received, Record};
pub use sandbox::Sandbox;
