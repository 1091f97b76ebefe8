//! The device shadow service, classic and named, as AWS documents it; a test may make it hostile.
//!
//! | file | subject |
//! |---|---|
//! | `name.rs` | pure: names of things and shadows, topics |
//! | `asked.rs`, `request.rs`, `rejection.rs` | pure: what a request may be, and the codes and texts of those that are refused |
//! | `document.rs`, `delta.rs` | pure: merging, metadata, differences |
//! | `store.rs`, `answer.rs` | pure: the shadows with their versions, and what is published about them |
//! | `desk.rs`, `in_flight.rs` | requests of devices and operators, one after the other |
//! | `fault.rs`, `publication.rs` | pure: what goes wrong, and what the messages are like then |
//! | `service.rs` | what the broker sees of all this |
//! | `handle.rs` | a shadow in the hands of a test |
//! | `disk.rs`, `files.rs` | shadows as files that a person may edit |
//! | `mirror.rs` | pure: what such an edit means |
//! | `event.rs`, `limits.rs` | what is recorded, what can be set |

mod answer;
mod asked;
mod delta;
mod desk;
mod disk;
mod document;
mod event;
mod fault;
mod files;
mod handle;
mod in_flight;
mod limits;
mod mirror;
mod name;
mod publication;
mod rejection;
mod request;
mod service;
mod store;

pub(crate) use disk::Disk;
pub use event::{ShadowEvent, ShadowKind};
pub use fault::{Garbage, ShadowFault, ShadowTrouble};
pub use handle::Shadow;
pub use limits::{FirstPrevious, ShadowLimits};
pub use name::{ShadowName, ShadowOperation};
pub use rejection::ShadowRejection;
pub(crate) use service::Shadows;
