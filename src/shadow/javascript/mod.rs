//! Definitions in JavaScript: what they export, and what their `validate` says. Each call runs in an
//! interpreter of its own that is gone afterwards: calls know nothing of each other, and between
//! them no memory is held.

#[cfg(feature = "javascript")]
mod answer;
#[cfg(feature = "javascript")]
mod call;
#[cfg(feature = "javascript")]
mod engine;
#[cfg(feature = "javascript")]
pub use call::{exported, validate};

#[cfg(not(feature = "javascript"))]
mod absent;
#[cfg(not(feature = "javascript"))]
pub use absent::{exported, validate};
