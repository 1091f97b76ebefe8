//! What others learn of the connection: events in order for those who watch it, and lines for the
//! log.

pub mod event;
pub mod sender;
pub mod session_log;
