//! Definitions in JavaScript: what they export, and what their `validate` says. Each call runs in an
//! interpreter of its own that is gone afterwards: calls know nothing of each other, and between
//! them no memory is held.

use std::time::Duration;

/// A call has this long.
#[cfg(feature = "javascript")]
const LIMIT: Duration = Duration::from_secs(5);
/// After this it will not come to its end: the interpreter looks at the time between its steps, and
/// hangs within one.
pub const PATIENCE: Duration = Duration::from_secs(10);

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
