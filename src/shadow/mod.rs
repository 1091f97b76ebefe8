//! `--services`, `--updates` and `--defaultshadow`: settings of a thing's shadow become files and
//! notified services, and their updates become reported state.

pub mod script;
pub mod service;
