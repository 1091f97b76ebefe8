//! `--services`, `--updates` and `--defaultshadow`: settings of a thing's shadow become files and
//! notified services, and their updates become reported state.

mod answer;
pub mod document;
mod outbox;
pub mod definitions;
pub mod javascript;
pub mod script;
pub mod service;
mod thing;
mod topics;
mod view;

pub use topics::ShadowId;
