//! The device shadow service, classic and named, as AWS documents it; a test may make it fail.
//!
//! | file | subject |
//! |---|---|
//! | `name.rs` | pure: names of things and shadows, topics |
//! | `request.rs`, `payload.rs`, `rejection.rs` | pure: which requests are valid, and the codes and texts of rejections |
//! | `document.rs`, `delta.rs` | pure: merging, metadata, differences |
//! | `store.rs`, `answer.rs` | pure: the shadows with their versions, and what is published about them |
//! | `request_handler.rs`, `in_flight.rs` | requests of devices and operators, one after the other |
//! | `fault.rs`, `publication.rs` | pure: the fault script, and what it does to messages |
//! | `service.rs`, `handle.rs` | the interfaces to the broker and to a test |
//! | `file_sync.rs`, `files.rs` | shadows as files that a person may edit |
//! | `desired_file.rs` | pure: what such an edit means |
//! | `event.rs`, `limits.rs` | what is recorded, what can be configured |

mod answer;
mod delta;
mod desired_file;
mod document;
mod event;
mod fault;
mod file_sync;
mod files;
mod handle;
mod in_flight;
mod limits;
mod name;
mod payload;
mod publication;
mod rejection;
mod request;
mod request_handler;
mod service;
mod store;

pub use event::{ShadowEvent, ShadowKind};
pub use fault::{Garbage, ShadowFault, ShadowTrouble};
pub(crate) use file_sync::FileSync;
pub use handle::Shadow;
pub use limits::{FirstPrevious, ShadowLimits};
pub use name::{ShadowName, ShadowOperation};
pub use rejection::ShadowRejection;
pub(crate) use service::Shadows;
