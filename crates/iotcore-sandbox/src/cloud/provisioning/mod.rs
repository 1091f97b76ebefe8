//! Fleet provisioning by claim, as AWS documents it; a test may make it hostile. JSON only: what is asked on the CBOR
//! topics is accepted by the broker and never answered.
//!
//! | file | subject |
//! |---|---|
//! | `topic.rs`, `request.rs`, `rejection.rs`, `asked.rs` | pure: what can be asked, and how it is refused |
//! | `template.rs`, `hook.rs` | pure: what a device has to say to become a thing |
//! | `registry.rs` | pure: certificates, their tokens, and their things |
//! | `office.rs` | carrying requests out |
//! | `fault.rs`, `garbage.rs` | pure: what goes wrong, and what answers look like then |
//! | `desk.rs` | requests recorded and answered, well or badly |
//! | `service.rs`, `handle.rs` | what the broker and a test see of all this |
//! | `event.rs`, `limits.rs` | what is recorded, what can be set |

mod asked;
mod desk;
mod event;
mod fault;
mod garbage;
mod handle;
mod hook;
mod limits;
mod office;
mod registry;
mod rejection;
mod request;
mod service;
mod template;
mod topic;

pub use event::{ProvisioningEvent, ProvisioningKind};
pub use fault::{ProvisioningFault, ProvisioningTrouble};
pub use garbage::ProvisioningGarbage;
pub use handle::Provisioning;
pub use hook::{HookAnswer, HookRequest};
pub use limits::ProvisioningLimits;
pub(crate) use office::Office;
pub use registry::{ProvisionedCertificate, RegisteredThing};
pub use rejection::ProvisioningRejection;
pub(crate) use service::Provisioner;
pub use template::Template;
pub use topic::ProvisioningOperation;
