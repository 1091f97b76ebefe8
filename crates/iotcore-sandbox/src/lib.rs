//! A local AWS IoT Core to run and test a device daemon against: a broker over TLS and WebSocket that has AWS's limits and
//! deviations, the device shadow service, fleet provisioning, and a script of faults. It listens on the loopback interface
//! only. Its state is in memory, except for the CA, and for shadows if they are kept as files.
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
//! To read the source, begin with `broker/mod.rs`, where all decisions about packets are made. The rest:
//!
//! | file | subject |
//! |---|---|
//! | `sandbox.rs`, `builder.rs` | the handle, and the settings before the start |
//! | `broker/` | connections, sessions, publishes, subscriptions, the cloud's clock; `service.rs` is the interface to `cloud/` |
//! | `cloud/shadow/` | the device shadow service; [`Shadow`] is the handle of a test on one shadow, [`ShadowFault`] a fault |
//! | `cloud/provisioning/` | fleet provisioning by claim; [`Provisioning`] is the handle of a test, [`Template`] a template, [`ProvisioningFault`] a fault |
//! | `access/` | access keys, custom authorisers, role aliases, and whether an upgrade to WebSocket is accepted |
//! | `faults.rs`, `policy.rs`, `limits.rs`, `topic.rs` | pure: faults, policies, limits, and which topics match |
//! | `record/`, `journal.rs` | the record of what happened, and waiting for it |
//! | `packet.rs`, `codec/` | packets, and their bytes: the only folder that uses the MQTT library |
//! | `net/`, `http.rs` | the thread, the listeners, TLS, HTTP, WebSockets, one task for each connection |
//! | `pki/` | throw-away certificates, certstores, and the status of certificates |
//!
//! Every sandbox has the shadow service:
//!
//! ```
//! # let sandbox = iotcore_sandbox::Sandbox::start()?;
//! let shadow = sandbox.shadow("kitchen-light");
//! shadow.desire(serde_json::json!({ "lamp": { "on": true } }));
//! // ... wait until the device has reported it:
//! shadow.wait_for(std::time::Duration::ZERO, |document| document["state"].get("delta").is_none());
//! # anyhow::Ok(())
//! ```
//!
//! And it has fleet provisioning, with a template called `fleet` that requires a `SerialNumber`:
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
//! // ... start the device, and wait until it is registered:
//! let registered = sandbox.provisioning().wait_for_registered(1, std::time::Duration::ZERO);
//! # assert_eq!(registered, []);
//! # anyhow::Ok(())
//! ```
//!
//! Devices without a certificate come over WebSocket with a signed upgrade, or by a custom authoriser:
//!
//! ```
//! use iotcore_sandbox::{Authorizer, Event, Proof, Sandbox, Transport};
//!
//! let gate = Authorizer::new("gate").token_key("ticket").token("open").username("pump");
//! let sandbox = Sandbox::builder().access_key("AKID", "secret", None).authorizer(gate).start()?;
//! let endpoint = format!("localhost:{}", sandbox.wss_port());
//! // ... start the device with this endpoint, and see how it came:
//! let signed = |event: &Event| {
//!     let by_key = Proof::AccessKey;
//!     matches!(event, Event::Admitted { transport: Transport::WebSocket, proof, .. } if *proof == by_key)
//! };
//! let came = sandbox.wait_for_event(std::time::Duration::ZERO, signed);
//! # assert!(came.is_none() && !endpoint.is_empty());
//! # anyhow::Ok(())
//! ```
//!
//! A test may add a service of its own, such as jobs, as a [`Service`]: the broker shows it each accepted publish and
//! delivers its answers, at once or when they are due. The sandbox shares no code with the daemon that it tests: two
//! independent readings of AWS's rules find mistakes in both.

mod access;
mod broker;
mod builder;
mod cloud;
mod codec;
mod faults;
mod http;
mod journal;
mod limits;
mod net;
mod packet;
mod pki;
mod policy;
mod record;
mod sandbox;
mod topic;

pub use access::{
    Authorizer, AuthorizerCall, Channel, CredentialFault, CredentialTrouble, Proof, RoleAlias,
    Transport, example,
};
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

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
