//! Fleet provisioning by claim, as AWS documents it; a test may make it fail. JSON only: a request on one of the CBOR
//! topics is accepted by the broker and never answered.
//!
//! | file | subject |
//! |---|---|
//! | `topic.rs`, `request.rs`, `payload.rs`, `rejection.rs` | pure: which requests there are, and how they are rejected |
//! | `template.rs`, `hook.rs` | pure: what a device needs to be registered as a thing |
//! | `registry.rs` | pure: certificates, their tokens, and their things |
//! | `registrar.rs` | carries out requests |
//! | `fault.rs`, `garbage.rs` | pure: the fault script, and garbled answers |
//! | `request_handler.rs` | records and answers requests, with the faults of the script |
//! | `service.rs`, `handle.rs` | the interfaces to the broker and to a test |
//! | `event.rs`, `limits.rs` | what is recorded, what can be configured |

mod event;
mod fault;
mod garbage;
mod handle;
mod hook;
mod limits;
mod payload;
mod registrar;
mod registry;
mod rejection;
mod request;
mod request_handler;
mod service;
mod template;
mod topic;

pub use event::{ProvisioningEvent, ProvisioningKind};
pub use fault::{ProvisioningFault, ProvisioningTrouble};
pub use garbage::ProvisioningGarbage;
pub use handle::Provisioning;
pub use hook::{HookAnswer, HookRequest};
pub use limits::ProvisioningLimits;
pub(crate) use registrar::Registrar;
pub use registry::{ProvisionedCertificate, RegisteredThing};
pub use rejection::ProvisioningRejection;
pub(crate) use service::Provisioner;
pub use template::Template;
pub use topic::ProvisioningOperation;
